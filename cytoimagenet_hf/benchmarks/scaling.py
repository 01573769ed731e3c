"""Standardised features: mean 0 and standard deviation 1 per feature, as seen from chosen rows (E3, docs/paper.md)."""

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.profiles.shrinkage import DEAD

Array = npt.NDArray[np.floating]
_ROWS = 1 << 16  # at a time: what scikit-learn makes of them on the way is float64, and several times as large
_IN_MEMORY = 1 << 30  # bytes of scaled features


def standardise(values: Array, *, fitted_on: Array | None = None) -> Array:
    """Scale each feature by the mean and sd of `fitted_on` (default: of `values`); constant features become 0.

    So do features that hardly vary in `fitted_on` beside what they do in `values`: dead units of a network, whose
    rounding would be blown up beyond all others.

    Example:
        >>> standardise(np.array([[0.0, 5.0], [2.0, 5.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    scaler = StandardScaler()
    for part in _blocks(values if fitted_on is None else fitted_on):
        scaler.partial_fit(part)
    # scikit-learn has set the scale of exactly constant features to 1; these are the ones just above.
    farthest = np.maximum(values.max(axis=0) - scaler.mean_, scaler.mean_ - values.min(axis=0))
    dead = scaler.scale_ < DEAD * farthest
    scaled = _empty(values.shape, values.dtype if values.dtype.kind == "f" else np.dtype(float))
    for part, place in zip(_blocks(values), _blocks(scaled), strict=True):
        place[:] = scaler.transform(part)
        place[:, dead] = 0
    return scaled


def _blocks(values: Array) -> Iterator[Array]:
    return (values[start : start + _ROWS] for start in range(0, max(1, len(values)), _ROWS))


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A matrix to fill; on the disk, in a file that goes with it, where it would crowd the memory."""
    if np.prod(shape, dtype=np.int64) * dtype.itemsize <= _IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, shape=shape)


def standardise_by_controls(values: Array, *, plates: npt.ArrayLike, controls: npt.ArrayLike) -> Array:
    """Scale each plate of values (n, d) by the mean and sd of its own control rows, two at least."""
    plate_of, control = np.asarray(plates), np.asarray(controls, bool)
    scaled = np.empty_like(values)
    for plate in np.unique(plate_of):
        rows = plate_of == plate
        if (rows & control).sum() < 2:
            raise InputError(
                f"plate {plate!r} has {(rows & control).sum()} control rows, two are needed for a standard deviation: "
                "add its DMSO features, or use another scaler (all)"
            )
        scaled[rows] = standardise(values[rows], fitted_on=values[rows & control])
    return scaled


def unit_rows(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each row divided by its length, so that products are cosines; rows of zeros stay.

    Example:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(length == 0, 1, length))
