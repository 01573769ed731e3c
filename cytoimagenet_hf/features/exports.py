"""Exported networks, kept under the user's cache folder: the second run with the same network starts at once.

    exports/KEY/model.onnx, or model.xml and model.bin
    exports/KEY/_export.json     what it was made from, and the hash of every file
    exports/rates-KEY.json       units per second of each way to run a network, as `auto` measured them

The key names the layers, their settings and weights, the runtime with the versions of what wrote the export, and the
shape it takes. An export is written aside and renamed; one whose files are damaged is made again. The folder may be
deleted at any time. It lies beside what the Hub's libraries keep: `HF_HOME` or `HF_ASSETS_CACHE` moves it.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from huggingface_hub import cached_assets_path
from torch import nn

from cytoimagenet_hf.core.boundary import explain
from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import (
    atomic_folder,
    file_sha256,
    held,
    read_json_object,
    sweep_temporary,
    write_json,
)
from cytoimagenet_hf.networks.backbones import hash_weights

_RECORD = "_export.json"
_SIMPLE = (bool, int, float, str, tuple, list, type(None))


def export_key(network: nn.Module, options: Mapping[str, object]) -> str:
    """What stands for an export: 32 hex digits of layers, their settings, weights and `options`."""
    digest = hashlib.sha256(json.dumps(dict(options), sort_keys=True, default=str).encode())
    for name, layer in network.named_modules():
        settings = {
            key: value for key, value in vars(layer).items() if key != "training" and isinstance(value, _SIMPLE)
        }
        kind = f"{type(layer).__module__}.{type(layer).__qualname__}"
        digest.update(f"{name} {kind} {sorted(settings.items(), key=lambda item: item[0])!r}".encode())
    return hash_weights(network, start=digest.hexdigest())[:32]


def find_export(key: str) -> Path | None:
    """The folder of an export that is there and undamaged."""
    folder = _place() / key
    try:
        files = read_json_object(folder / _RECORD).get("files")
        whole = isinstance(files, dict) and all(file_sha256(folder / name) == sha for name, sha in files.items())
    except (InputError, OSError):
        return None
    return folder if whole else None


def keep_export(key: str, write: Callable[[Path], None], made_from: Mapping[str, object]) -> Path:
    """The folder of an export that `write` makes now in an empty folder; a damaged one that stood there is replaced.

    What it is `made_from` is written beside it for people.
    """
    place = _place()
    folder = place / key
    try:
        _sweep(place)
        before = _made_at(folder)
        with held(_lock(place, key), wait=True):
            if _made_at(folder) != before and find_export(key) is not None:  # by another process, meanwhile
                return folder
            with atomic_folder(folder) as aside:
                write(aside)
                hashes = {file.name: file_sha256(file) for file in sorted(aside.iterdir())}
                write_json(aside / _RECORD, {"files": hashes, "made_from": dict(made_from)})
    except OSError as error:
        raise InputError(
            f"{place} cannot keep an exported network ({explain(error)}): set HF_ASSETS_CACHE to a folder that can "
            "be written, or use backend='torch'"
        ) from error
    return folder


def read_rates(key: str) -> dict[str, float]:
    """Units per second by backend, torch among them, as they were kept; empty where there are none."""
    try:
        rates = read_json_object(_place() / f"rates-{key}.json")
    except (InputError, OSError):
        return {}
    whole = "torch" in rates and all(isinstance(rate, float) and 0 < rate < math.inf for rate in rates.values())
    return rates if whole else {}


def keep_rates(key: str, rates: Mapping[str, float]) -> None:
    """Keep what was measured; a cache folder that cannot be written keeps nothing."""
    with suppress(InputError, OSError):
        write_json(_place() / f"rates-{key}.json", {name: float(rate) for name, rate in rates.items()})


def _sweep(place: Path) -> None:
    """Remove the half-made exports of processes that were killed: nobody holds the lock of their key."""
    for key in {leftover.name.split(".")[1] for leftover in place.glob(".*.tmp")}:
        with suppress(InputError), held(_lock(place, key), refusal="it is being made"):
            sweep_temporary(place, key)


def _made_at(folder: Path) -> int | None:
    """When an export was made; None where there is none."""
    try:
        return (folder / _RECORD).stat().st_mtime_ns
    except OSError:
        return None


def _lock(place: Path, key: str) -> Path:
    return place / f".{key}.lock"


def _place() -> Path:
    try:
        return Path(cached_assets_path("cytoimagenet-hf", namespace="exports"))
    except OSError as error:
        raise InputError(f"no cache folder for exported networks ({one_line(error)}): set HF_ASSETS_CACHE") from error
