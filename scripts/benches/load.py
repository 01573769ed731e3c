"""Images per second into batches, without a network: the Keras-style loader, PNG through ours, and our cache."""

import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from scipy import ndimage

from cytoimagenet_hf.training import TrainConfig
from cytoimagenet_hf.training.augment import Augmentation
from cytoimagenet_hf.training.data import RowSource, open_cache
from cytoimagenet_hf.training.network import Preprocessing
from cytoimagenet_hf.training.tables import RowTable, load_tables

from .common import side_by_side
from .images import write_images
from .load_full import measure

_KERAS, _PLAIN = "Keras-style, rotated per image", "Keras-style, not rotated"
_GOALS = {"PNG, ours": 5.0, "cache, ours": 100.0}


def run(
    images: Annotated[
        int | None, typer.Option(help="Images in the data set: 1024, or with --full 890,737.", show_default=False)
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Every way to open a dataset of the published size.")] = False,
    classes: Annotated[int, typer.Option(help="Classes, with --full.")] = 894,
    side: Annotated[int, typer.Option(help="Side of the stored images.")] = 224,
    size: Annotated[int, typer.Option(help="Side they are resized to.")] = 224,
    workers: Annotated[int, typer.Option(help="Decoding processes of ours.")] = 0,
    repeat: Annotated[int, typer.Option(help="Runs of each; the median counts.")] = 3,
) -> dict[str, Any]:
    """Loading alone, on one thread unless `--workers` says otherwise.

    With `--full`: a dataset of the published size, opened whole, streamed, by subset, in the explorer and more.

    Example: python scripts/bench.py load --size 64
    """
    if full:
        return measure(images=images or 890_737, classes=classes)
    images = images or 1024
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = write_images(Path(name) / "data", count=images, side=side)
        config = TrainConfig(dataset=str(folder), output=name, image_size=size, batch_size=64, workers=workers)
        tables = load_tables(config)
        caches = {
            split: open_cache(table, name=split, size=size, folder=Path(name), workers=1, skip=False).warm()
            for split, table in tables.items()
        }
        direct = RowSource(tables, config, caches=None, rank=0, processes=1)
        cached = RowSource(tables, config, caches=caches, rank=0, processes=1)
        few = max(64, images // 8)
        ways: dict[str, tuple[int, Callable[[], Any]]] = {
            _KERAS: (few, lambda: _keras_epoch(tables["train"], few, size, rotate=True)),
            _PLAIN: (few, lambda: _keras_epoch(tables["train"], few, size, rotate=False)),
            "PNG, ours": (images, lambda: _drain(direct.training(0))),
            "cache, ours": (images, lambda: _drain(cached.training(0))),
            "cache, ours, rotated and scaled": (images, lambda: _inputs(cached, config)),
        }
        seconds = side_by_side({way: call for way, (_, call) in ways.items()}, repeat=repeat)
    rates = {way: count / seconds[way] for way, (count, _) in ways.items()}
    table = [
        {"way": way, "images/s": rate, "times Keras-style": rate / rates[_KERAS], "goal": _GOALS.get(way)}
        for way, rate in rates.items()
    ]
    return {
        "table": table,
        "options": {"images": images, "side": side, "size": size, "workers": workers, "repeat": repeat},
        "notes": [
            "Keras-style: Pillow to RGB, resized, float32, rotated by scipy with reflected borders, one at a time, "
            "as the published loader does; ours rotates on the device, which the last line includes.",
            "All read the same PNG bytes; files are in the page cache.",
        ],
    }


def _keras_epoch(table: RowTable, count: int, size: int, *, rotate: bool) -> None:
    rng = np.random.default_rng(0)
    for start in range(0, count, 64):
        batch = np.stack(
            [_keras_image(table.encoded([row])[0], size, rng, rotate) for row in range(start, start + 64)]
        )
        batch /= 255.0


def _keras_image(content: bytes | None, size: int, rng: np.random.Generator, rotate: bool) -> Any:
    image = Image.open(io.BytesIO(content or b"")).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32)
    if not rotate:
        return pixels
    angle = rng.uniform(0, 360)
    channels = [ndimage.rotate(pixels[..., c], angle, reshape=False, order=1, mode="reflect") for c in range(3)]
    return np.stack(channels, axis=-1)


def _drain(batches: Iterator[Any]) -> None:
    for _ in batches:
        pass


def _inputs(source: RowSource, config: TrainConfig) -> None:
    preprocessing, augmentation = Preprocessing(config.image_size), Augmentation()
    for step, batch in enumerate(source.training(0)):
        preprocessing(batch.pixels, augmentation.draw(config.batch_size, seed=0, epoch=0, step=step))
