"""How the pixels of each kind of container are read; every function opens what it needs and closes it again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

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


STORES: dict[str, Store] = {
    "file": Store(file.read, file.stamp),
    "zarr": Store(zarr.read, zarr.stamp),
    "czi": Store(czi.read, czi.stamp),
    "nd2": Store(nd2.read, nd2.stamp),
    "lif": Store(lif.read, lif.stamp),
    "dataset": Store(dataset.read, dataset.stamp),
    "hdf5": Store(array.read_hdf5, array.stamp),
    "npy": Store(array.read_npy, array.stamp),
    "strip": Store(parts.read_strips, file.stamp),
    "hdf5-flat": Store(parts.read_flat, file.stamp),
}
"""Kind of a `PlaneRef` → how it is read."""
