"""Planes that are a part of something larger: a strip of channels side by side, rows of flattened images in HDF5."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging.limits import check_pixels

from . import file as files


def read_strips(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Columns of a picture whose channels lie side by side: a place is (first column, columns)."""
    whole = files.read(path, [()], max_pixels)[0]  # (H, W * C)
    found = []
    for left, width in places:
        first, last = int(left), int(left) + int(width)
        if whole.ndim != 2 or last > whole.shape[1]:
            raise InputError(f"{path} is {' x '.join(map(str, whole.shape))}: columns {first} to {last} are not there")
        found.append(np.ascontiguousarray(whole[:, first:last]))
    return found


def read_flat(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Parts of rows of a table of flattened images: a place is (array, row, first number, height, width)."""
    import h5py

    from cytoimagenet_hf.core.hdf5 import own_array

    try:
        for _, _, _, height, width in places:
            check_pixels(path, int(width), int(height), max_pixels=max_pixels)
        with h5py.File(path, "r") as content:
            return [
                np.asarray(
                    own_array(content, str(key))[int(row), int(start) : int(start) + int(height) * int(width)]
                ).reshape(int(height), int(width))
                for key, row, start, height, width in places
            ]
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
