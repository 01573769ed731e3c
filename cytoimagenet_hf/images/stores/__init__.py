"""How the pixels of each kind of container are read; every function opens what it needs and closes it again.

Images, Zarr arrays and saved arrays are read from the internet as well. A container of a whole acquisition would be
fetched for each of its images, so that it is read only where it is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cytoimagenet_hf.images.remote import local_file

from . import acquisitions, dataset, files, zarr

Address = tuple[int | str, ...]
"""Where a plane lies in its container; store-specific address."""

Read = Callable[[Path, Sequence[Address], int], list[npt.NDArray[Any]]]
"""(path, places, max_pixels) → the planes at these places, (H, W) or (H, W, 3) in native dtype; a plane of more pixels
is refused before it is read."""


@dataclass(frozen=True)
class Store:
    """One kind of container: how its planes are read, and a text that changes with the pixels at some places."""

    read: Read
    stamp: Callable[[Path, Sequence[Address]], str] = files.stamp


def _from_file(read: Read, *, large: bool = False) -> Store:
    """A reader of local files, made to read objects as well; `large` ones only where they are kept."""

    def read_anywhere(path: Path, places: Sequence[Address], max_pixels: int) -> list[npt.NDArray[Any]]:
        with local_file(path, large=large) as local:
            return read(local, places, max_pixels)

    return Store(read_anywhere)


STORES: dict[str, Store] = {
    "file": Store(files.read_pages),
    "labels": _from_file(files.read_label_image),
    "zarr": Store(zarr.read, zarr.stamp),
    "czi": _from_file(acquisitions.read_czi, large=True),
    "nd2": _from_file(acquisitions.read_nd2, large=True),
    "lif": _from_file(acquisitions.read_lif, large=True),
    "dataset": Store(dataset.read, dataset.stamp),
    "hdf5": _from_file(files.read_hdf5, large=True),
    "npy": _from_file(files.read_npy),
    "strip": Store(files.read_strips),
    "hdf5-flat": _from_file(files.read_flat, large=True),
}
"""Kind of a `PlaneRef` → how it is read."""
