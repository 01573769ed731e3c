"""The decoded cache: every image of a split decoded, resized and stored once as uint8, after which no PNG is touched.

The file is plain bytes, (rows, size, size), memory-mapped: processes of one machine share its pages. The record beside
it is written last and names the fingerprint of the data, so a half-written or foreign file is never used.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path, write_json
from cytoimagenet_hf.core.jsontext import read_json_file

from .data import DecodedCache, RowTable, Stored, decode

_FORMAT = "uint8 grayscale, PIL bilinear, 1"
_CHUNK = 256  # images read from Parquet at a time


def open_cache(rows: RowTable, *, name: str, size: int, folder: Path, workers: int, skip: bool) -> DecodedCache:
    """Open the cache of a split, writing it first where it is not there yet.

    Args:
        rows: the split.
        name: of the split, for the file name and the progress bar.
        size: side of the images.
        folder: where caches live; several runs on the same data may share it.
        workers: decoding threads.
        skip: leave unreadable rows out instead of stopping.

    Raises:
        InputError: too little disk, or an unreadable row and `skip` is off.
    """
    path = folder / f"{name}-{size}-{rows.fingerprint[:16]}.u8"
    record: dict[str, Any] = {"fingerprint": rows.fingerprint, "shape": [len(rows), size, size], "format": _FORMAT}
    if not _matches(path, record):
        unreadable = _write(path, rows, name, size, workers, skip)
        write_json(path.with_suffix(".json"), {**record, "unreadable": unreadable})
    unreadable = read_json_file(path.with_suffix(".json"))["unreadable"]
    if unreadable and not skip:
        raise InputError(
            f"{rows.where}: image {unreadable[0]!r} cannot be decoded; --on-unreadable skip leaves such rows out"
        )
    mapped = torch.from_file(str(path), shared=False, size=len(rows) * size * size, dtype=torch.uint8)
    return DecodedCache(mapped.view(len(rows), size, size), ~np.isin(rows.ids, unreadable))


def _matches(path: Path, record: dict[str, Any]) -> bool:
    beside = path.with_suffix(".json")
    if not (path.is_file() and beside.is_file()):
        return False
    try:
        stored = dict(read_json_file(beside))
    except (ValueError, TypeError):  # damaged: the cache is made again
        return False
    complete = path.stat().st_size == np.prod(stored.get("shape", [0]))
    return complete and "unreadable" in stored and all(stored.get(key) == value for key, value in record.items())


def _write(path: Path, rows: RowTable, name: str, size: int, workers: int, skip: bool) -> list[str]:
    """Decode every row in threads (decoders release the interpreter); returns the ids that could not be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = len(rows) * size * size, shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"the cache of {name} takes {needed / 1e9:.1f} GB and {path.parent} has {free / 1e9:.1f} left"
        )

    def one(content: Stored) -> NDArray[np.uint8] | InputError:
        try:
            return decode(content, size)
        except InputError as error:
            return error

    unreadable: list[str] = []
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as handle,
        ThreadPoolExecutor(max(1, workers)) as pool,
        tqdm(total=len(rows), unit="image", desc=f"decode {name}", disable=None) as progress,
    ):
        for start in range(0, len(rows), _CHUNK):
            chunk = list(range(start, min(start + _CHUNK, len(rows))))
            for row, pixels in zip(chunk, pool.map(one, rows.encoded(chunk)), strict=True):
                if isinstance(pixels, InputError):
                    item = str(rows.ids[row])
                    if not skip:
                        raise InputError(
                            f"{rows.where}: image {item!r} {pixels}; --on-unreadable skip leaves such rows out"
                        )
                    unreadable.append(item)
                    pixels = np.zeros((size, size), np.uint8)
                handle.write(np.ascontiguousarray(pixels).tobytes())
            progress.update(len(chunk))
    return unreadable
