"""Planes of image files that `imaging.read_image` knows. A place is `(page,)`, or `()` for a single plane."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.remote import RemotePath, change_mark, local_file
from cytoimagenet_hf.imaging.ranges import RangedFile, ScatteredError
from cytoimagenet_hf.imaging.read import read_fetched_tiff, read_planes
from cytoimagenet_hf.imaging.tiff import count_pages

_LARGE = 1 << 23  # bytes of a file that is worth several requests


def read(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """The pages of one file."""
    pages = [int(place[0]) if place else None for place in places]
    if (planes := _by_ranges(path, pages, max_pixels)) is not None:
        return planes
    with local_file(path) as file:
        return read_planes(file, pages, max_pixels=max_pixels)


def _by_ranges(path: Path, pages: Sequence[int | None], max_pixels: int) -> list[npt.NDArray[Any]] | None:
    """Some pages of a large TIFF in a store; None where at least half of its pages are asked for, or it is small."""
    if not isinstance(path, RemotePath) or path.suffix.lower() not in (".tif", ".tiff") or path.place.storage.keep:
        return None
    facts = path.memory.facts.get(path.key)
    if facts is None or facts.st_size < _LARGE:
        return None
    handle, name = RangedFile(path, facts.st_size), cast(Path, path)
    try:
        if count_pages(name, 2 * len(pages) + 1, handle=handle) <= 2 * len(pages):
            return None
        handle.seek(0)
        return read_fetched_tiff(handle, name, pages, max_pixels=max_pixels)
    except (ScatteredError, FileNotFoundError, struct.error):
        return None  # read whole, which says what is wrong


def stamp(path: Path, places: Sequence[tuple[int | str, ...]]) -> str:
    """Name, size and time of the file; of an object, its e-tag instead of the time."""
    try:
        return f"{path.name}:{change_mark(path)}"
    except (OSError, InputError):  # why it cannot be reached is said when it is read
        return f"{path.name}:absent"
