"""Planes of image files that `imaging.read_image` knows. A place is `(page,)`, or `()` for a single plane."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cytoimagenet_hf.imaging.read import read_planes


def read(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """The pages of one file."""
    pages = [int(place[0]) if place else None for place in places]
    return read_planes(path, pages, max_pixels=max_pixels)


def stamp(path: Path, places: Sequence[tuple[int | str, ...]]) -> str:
    """Name, size and time of the file."""
    try:
        stat = path.stat()
    except OSError:
        return f"{path.name}:absent"
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"
