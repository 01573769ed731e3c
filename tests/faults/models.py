"""Model folders as people hold them: name → what becomes of a sound one."""

import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WEIGHTS, CONFIG, PROCESSOR = "model.safetensors", "config.json", "preprocessor_config.json"


def written(name: str, content: bytes) -> Callable[[Path], None]:
    """Other bytes in one file."""
    return lambda folder: (folder / name).write_bytes(content) and None


def gone(name: str) -> Callable[[Path], None]:
    """One file removed."""
    return lambda folder: (folder / name).unlink()


def cut(name: str, part: float) -> Callable[[Path], None]:
    """The first part of a file only."""

    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * part)])

    return change


def changed(name: str, **values: Any) -> Callable[[Path], None]:
    """Other values in a JSON file."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | values))

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    """Other weights."""

    def rewrite(folder: Path) -> None:
        save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})

    return rewrite


def folder_in_the_way(name: str) -> Callable[[Path], None]:
    """A folder where a file should be."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def emptied(folder: Path) -> None:
    """Nothing left."""
    for path in folder.iterdir():
        path.unlink()


MODELS: dict[str, Callable[[Path], None]] = {
    "empty_folder": emptied,
    "no_config": gone(CONFIG),
    "no_weights": gone(WEIGHTS),
    "empty_config": written(CONFIG, b""),
    "text_config": written(CONFIG, b"not JSON"),
    "list_config": written(CONFIG, b"[]"),
    "latin_1_config": written(CONFIG, b'{"model_type": "M\xfcller"}'),
    "nul_config": written(CONFIG, bytes(100)),
    "unknown_type": changed(CONFIG, model_type="no_such_model"),
    "type_is_a_number": changed(CONFIG, model_type=5),
    "size_is_text": changed(CONFIG, image_size="large"),
    "width_is_text": changed(CONFIG, width_coefficient="wide"),
    "width_is_negative": changed(CONFIG, width_coefficient=-1.0),
    "width_of_another": changed(CONFIG, width_coefficient=0.5),
    "channels_are_a_list": changed(CONFIG, num_channels=[3]),
    "channels_are_null": changed(CONFIG, num_channels=None),
    "kernels_are_a_number": changed(CONFIG, kernel_sizes=3),
    "top_width_is_text": changed(CONFIG, hidden_dim="many"),
    "config_without_type": written(CONFIG, b"{}"),
    "config_is_a_folder": folder_in_the_way(CONFIG),
    "empty_weights": written(WEIGHTS, b""),
    "text_weights": written(WEIGHTS, b"not weights" * 30),
    "cut_weights": cut(WEIGHTS, 0.5),
    "cut_header": cut(WEIGHTS, 0.0001),
    "header_too_long": written(WEIGHTS, struct.pack("<Q", 1 << 60) + b"{}"),
    "header_of_nonsense": written(WEIGHTS, struct.pack("<Q", 8) + b"nonsense"),
    "lfs_weights": written(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"),
    "weights_are_a_folder": folder_in_the_way(WEIGHTS),
    "none_of_the_tensors": tensors(lambda _: {"stranger": torch.ones(3)}),
    "half_of_the_tensors": tensors(lambda own: dict(list(own.items())[::2])),
    "tensors_of_other_shape": tensors(lambda own: {name: value[None] for name, value in own.items()}),
    "nan_weights": tensors(lambda own: {n: v.fill_(math.nan) if v.is_floating_point() else v for n, v in own.items()}),
    "infinite_weights": tensors(
        lambda own: {n: v.fill_(math.inf) if v.is_floating_point() else v for n, v in own.items()}
    ),
    "empty_processor": written(PROCESSOR, b""),
    "text_processor": written(PROCESSOR, b"not JSON"),
    "list_processor": written(PROCESSOR, b"[]"),
    "number_processor": written(PROCESSOR, b"5"),
    "binary_processor": written(PROCESSOR, b"\xff\xfe\x00"),
    "cut_processor": cut(PROCESSOR, 0.5),
    "no_processor": gone(PROCESSOR),
    "std_zero": changed(PROCESSOR, image_std=[0, 0, 0]),
    "std_nan": changed(PROCESSOR, image_std=[math.nan] * 3),
    "mean_is_text": changed(PROCESSOR, image_mean="gray"),
    "mean_of_two": changed(PROCESSOR, image_mean=[0.5, 0.5]),
    "factor_is_text": changed(PROCESSOR, do_rescale=True, rescale_factor="1/255"),
    "foreign_code": changed(CONFIG, auto_map={"AutoModel": "theirs.Theirs"}),
}
"""Each of these must be refused: none may give features."""

_NAMED = {
    CONFIG: ("no_config", "empty_config", "text_config", "list_config", "config_without_type", "config_is_a_folder"),
    WEIGHTS: ("empty_weights", "text_weights", "cut_weights", "cut_header", "lfs_weights"),
    PROCESSOR: ("empty_processor", "text_processor", "list_processor", "binary_processor", "cut_processor"),
}
NAMED = {name: file for file, names in _NAMED.items() for name in names}
"""Damage → the file that the refusal must name."""
