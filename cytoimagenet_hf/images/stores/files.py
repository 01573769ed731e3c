"""Planes of image files, of arrays in `.npy` and HDF5, of tables of flattened images, and of strips of channels.

The place of a plane in an array is its index there, for HDF5 behind the name of the array. `("", "", 2)` is
`[:, :, 2]`: an empty text stands for a whole axis.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.hdf5 import own_array
from cytoimagenet_hf.images.remote import RemotePath, change_mark, local_file
from cytoimagenet_hf.imaging.errors import check_pixels
from cytoimagenet_hf.imaging.npy import npy_header, read_npy_part
from cytoimagenet_hf.imaging.ranges import RangedFile, ScatteredError
from cytoimagenet_hf.imaging.read import read_fetched_tiff, read_labels, read_planes
from cytoimagenet_hf.imaging.tiff import count_pages

Places = Sequence[tuple[int | str, ...]]

_LARGE = 1 << 23  # bytes of a file that is worth several requests


def read_pages(path: Path, places: Places, max_pixels: int) -> list[npt.NDArray[Any]]:
    """The pages of an image file that `imaging.read_image` knows: a place is `(page,)`, or `()` for a single plane."""
    pages = [int(place[0]) if place else None for place in places]
    if (planes := _by_ranges(path, pages, max_pixels)) is not None:
        return planes
    with local_file(path) as file:
        return read_planes(file, pages, max_pixels=max_pixels)


def read_label_image(path: Path, places: Places, max_pixels: int) -> list[npt.NDArray[Any]]:
    """The one plane of a label image, see `imaging.read.read_labels`."""
    return [read_labels(path, max_pixels=max_pixels)] * len(places)


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
    whole = read_pages(path, [()], max_pixels)[0]  # (H, W * C)
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


def stamp(path: Path, places: Places) -> str:
    """Name, size and time of the file; of an object, its e-tag instead of the time."""
    try:
        return f"{path.name}:{change_mark(path)}"
    except (OSError, InputError):  # why it cannot be reached is said when it is read
        return f"{path.name}:absent"
