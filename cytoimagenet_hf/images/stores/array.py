"""Planes of arrays: `.npy` files and HDF5. A place is the index of the plane, for HDF5 behind the name of the array.

`("", "", 2)` is `[:, :, 2]`: an empty text stands for a whole axis.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.hdf5 import own_array
from cytoimagenet_hf.imaging.limits import check_pixels

from .file import stamp

__all__ = ["read_hdf5", "read_npy", "stamp"]


def read_npy(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of one saved array."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return [np.array(_limited(array, place, path, max_pixels)[_index(place)]) for place in places]
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"cannot read {path} as an array: {error}") from error


def read_hdf5(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of arrays of one HDF5 file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return [
                np.asarray(_limited(own_array(file, str(key)), place, path, max_pixels)[_index(place)])
                for key, *place in places
            ]
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _limited(array: Any, place: Sequence[int | str], path: Path, max_pixels: int) -> Any:
    """The array, if the plane at this place is not too large."""
    kept = [side for side, part in zip(array.shape, [*place, *[""] * array.ndim], strict=False) if part == ""]
    if len(kept) >= 2:
        check_pixels(path, kept[1], kept[0], max_pixels=max_pixels, values=math.prod(kept[2:]))
    return array


def _index(place: Sequence[int | str]) -> tuple[int | slice, ...]:
    return tuple(slice(None) if part == "" else int(part) for part in place)
