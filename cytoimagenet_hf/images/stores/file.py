"""Planes of image files that `imaging.read_image` knows. A place is `(page,)`, or `()` for a single plane."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.remote import change_mark, local_file
from cytoimagenet_hf.imaging.read import read_planes


def read(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """The pages of one file."""
    pages = [int(place[0]) if place else None for place in places]
    with local_file(path) as file:
        return read_planes(file, pages, max_pixels=max_pixels)


def stamp(path: Path, places: Sequence[tuple[int | str, ...]]) -> str:
    """Name, size and time of the file; of an object, its e-tag instead of the time."""
    try:
        return f"{path.name}:{change_mark(path)}"
    except (OSError, InputError):  # why it cannot be reached is said when it is read
        return f"{path.name}:absent"
