"""Planes of arrays in `.npy` and HDF5 files, of tables of flattened images, and of strips of channels side by side.

The place of a plane is its index in the array, for HDF5 behind the name of the array. `("", "", 2)` is `[:, :, 2]`: an
empty text stands for a whole axis.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.hdf5 import own_array
from cytoimagenet_hf.imaging.errors import check_pixels
from cytoimagenet_hf.imaging.npy import npy_header, read_npy_part

from . import file as files

Places = Sequence[tuple[int | str, ...]]


def read_npy(path: Path, places: Places, max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of one saved array."""
    try:
        header = npy_header(path)
        planes, whole = [], None
        for place in places:
            _limited(header, place, path, max_pixels)
            index = _index(place)
            if isinstance(index[0], int):
                planes.append(read_npy_part(path, header, index))
            else:  # its values lie all over the file, which is read once for all such planes
                whole = read_npy_part(path, header) if whole is None else whole
                planes.append(np.array(whole[index]))
        return planes
    except InputError:
        raise
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"cannot read {path} as an array: {error}") from error


def read_hdf5(path: Path, places: Places, max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of arrays of one HDF5 file."""
    with _hdf5(path) as content:
        return [
            np.asarray(_limited(own_array(content, str(key)), place, path, max_pixels)[_index(place)])
            for key, *place in places
        ]


def read_flat(path: Path, places: Places, max_pixels: int) -> list[npt.NDArray[Any]]:
    """Parts of rows of a table of flattened images: a place is (array, row, first number, height, width)."""
    planes = []
    with _hdf5(path) as content:
        for key, *numbers in places:
            row, start, height, width = map(int, numbers)
            check_pixels(path, width, height, max_pixels=max_pixels)
            values = own_array(content, str(key))[row, start : start + height * width]
            planes.append(np.asarray(values).reshape(height, width))
    return planes


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    import h5py

    try:
        with h5py.File(path, "r") as content:
            yield content
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def read_strips(path: Path, places: Places, max_pixels: int) -> list[npt.NDArray[Any]]:
    """Columns of a picture whose channels lie side by side: a place is (first column, columns)."""
    whole = files.read(path, [()], max_pixels)[0]  # (H, W * C)
    planes = []
    for left, width in places:
        first, last = int(left), int(left) + int(width)
        if whole.ndim != 2 or last > whole.shape[1]:
            raise InputError(f"{path} is {' x '.join(map(str, whole.shape))}: columns {first} to {last} are not there")
        planes.append(np.ascontiguousarray(whole[:, first:last]))
    return planes


def _limited(array: Any, place: Sequence[int | str], path: Path, max_pixels: int) -> Any:
    """The array, if the plane at this place is not too large."""
    if chunks := getattr(array, "chunks", None):  # of HDF5: each is unpacked whole, however little is read of it
        check_pixels(path, chunks[-1], math.prod(chunks[:-1]), max_pixels=4 * max_pixels)
    kept = [side for side, part in zip(array.shape, [*place, *[""] * len(array.shape)], strict=False) if part == ""]
    if len(kept) >= 2:
        check_pixels(path, kept[1], kept[0], max_pixels=max_pixels, values=math.prod(kept[2:]))
    return array


def _index(place: Sequence[int | str]) -> tuple[int | slice, ...]:
    return tuple(slice(None) if part == "" else int(part) for part in place)
