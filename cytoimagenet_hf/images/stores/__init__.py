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

from . import array, czi, dataset, file, lif, nd2, parts, zarr

Place = tuple[int | str, ...]
"""Where a plane lies in its container; store-specific address."""


@dataclass(frozen=True)
class Store:
    """One kind of container.

    Attributes:
        read: (path, places, max_pixels) → the planes at these places, (H, W) or (H, W, 3) in native dtype; a plane of
            more pixels is refused before it is read.
        stamp: (path, places) → text that changes with the pixels at these places.
    """

    read: Callable[[Path, Sequence[Place], int], list[npt.NDArray[Any]]]
    stamp: Callable[[Path, Sequence[Place]], str]


Read = Callable[[Path, Sequence[Place], int], list[npt.NDArray[Any]]]


def _from_file(read: Read, *, large: bool = False) -> Read:
    """A reader of local files, made to read objects as well; `large` ones only where they are kept."""

    def read_anywhere(path: Path, places: Sequence[Place], max_pixels: int) -> list[npt.NDArray[Any]]:
        with local_file(path, large=large) as file:
            return read(file, places, max_pixels)

    return read_anywhere


STORES: dict[str, Store] = {
    "file": Store(file.read, file.stamp),
    "zarr": Store(zarr.read, zarr.stamp),
    "czi": Store(_from_file(czi.read, large=True), czi.stamp),
    "nd2": Store(_from_file(nd2.read, large=True), nd2.stamp),
    "lif": Store(_from_file(lif.read, large=True), lif.stamp),
    "dataset": Store(dataset.read, dataset.stamp),
    "hdf5": Store(_from_file(array.read_hdf5, large=True), array.stamp),
    "npy": Store(_from_file(array.read_npy), array.stamp),
    "strip": Store(parts.read_strips, file.stamp),
    "hdf5-flat": Store(_from_file(parts.read_flat, large=True), file.stamp),
}
"""Kind of a `PlaneRef` → how it is read."""
