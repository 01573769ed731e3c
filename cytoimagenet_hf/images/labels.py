"""Label images: which pixel belongs to which object of a field. Pure functions on arrays.

0 is background. An image of two values says only where objects are: each of its connected parts is one, numbered row
by row, as CellProfiler numbers them. Outlines that were drawn for the eye are refused.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cytoimagenet_hf.core.errors import InputError

Labels = npt.NDArray[Any]
_TOUCHING = np.ones((3, 3), bool)  # pixels that touch at a corner are connected
_THIN = 0.05  # of its pixels, an outline keeps fewer when a pixel is taken off on every side


@dataclass(frozen=True)
class Objects:
    """The objects of one label image, in the order of their numbers."""

    numbers: npt.NDArray[np.int64]  # (n,) labels
    centres: npt.NDArray[np.float64]  # (n, 2) centre of mass, row and column, counted from 0
    boxes: npt.NDArray[np.int64]  # (n, 4) first row, first column, row and column after the last
    areas: npt.NDArray[np.int64]  # (n,) pixels


def require_labels(labels: Labels, where: object) -> Labels:
    """The label image, if it is one."""
    if labels.ndim != 2 or labels.dtype.kind not in "bui":
        raise InputError(f"{where} is no label image: one plane of whole numbers, 0 for background")
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise InputError(f"{where} is no label image: it holds negative numbers")
    if is_outline(labels):
        raise InputError(
            f"{where} shows outlines, not areas: objects that touch share a line, so that their pixels cannot be told "
            "apart; save the objects themselves as label images (CellProfiler: ConvertObjectsToImage, then SaveImages)"
        )
    return labels


def is_outline(labels: Labels) -> bool:
    """Whether an image shows lines around objects: thin, and closed around more pixels than they have."""
    inside = labels > 0
    pixels = int(inside.sum())
    if pixels == 0:
        return False
    thin = int(ndimage.binary_erosion(inside, _TOUCHING).sum()) < _THIN * pixels
    return thin and int(ndimage.binary_fill_holes(inside).sum()) > 1.5 * pixels


def is_binary(labels: Labels) -> bool:
    """Whether an image holds one value beside the background and is to be split into its connected parts.

    One connected part whose value is neither the largest of the dtype nor 255 is one object with its number.
    """
    values = labels[labels > 0]
    if values.size == 0 or (values != values[0]).any():
        return False
    if labels.dtype.kind == "b" or values[0] in (255, np.iinfo(labels.dtype).max):
        return True
    return int(ndimage.label(labels > 0, structure=_TOUCHING)[1]) > 1


def connected_parts(labels: Labels) -> npt.NDArray[np.int32]:
    """The connected parts of what is not background, numbered from 1 row by row."""
    return np.asarray(ndimage.label(labels > 0, structure=_TOUCHING, output=np.int32)[0])


def find_objects(labels: Labels) -> Objects:
    """Numbers, centres, boxes and areas of the objects of a label image.

    Example:
        >>> cells = find_objects(np.array([[0, 70000], [3, 70000]], np.uint32))
        >>> cells.numbers.tolist(), cells.centres.tolist(), cells.boxes.tolist(), cells.areas.tolist()
        ([3, 70000], [[1.0, 0.0], [0.5, 1.0]], [[1, 0, 2, 1], [0, 1, 2, 2]], [1, 2])
    """
    rows, columns = np.nonzero(labels)
    numbers, index = np.unique(labels[rows, columns], return_inverse=True)
    count = len(numbers)
    areas = np.bincount(index, minlength=count)
    centres = np.stack([np.bincount(index, place, count) / np.maximum(areas, 1) for place in (rows, columns)], axis=1)
    boxes = np.empty((count, 4), np.int64)
    for column, place in enumerate((rows, columns)):
        first, last = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
        np.minimum.at(first, index, place)
        np.maximum.at(last, index, place)
        boxes[:, column], boxes[:, column + 2] = first, last + 1
    return Objects(numbers.astype(np.int64), centres, boxes, areas.astype(np.int64))


def overlaps(first: Labels, second: Labels) -> dict[tuple[int, int], int]:
    """Pixels that an object of one label image shares with one of another: (number, number) → pixels.

    Example:
        >>> overlaps(np.array([[1, 1, 2]]), np.array([[0, 5, 5]]))
        {(1, 5): 1, (2, 5): 1}
    """
    both = (first > 0) & (second > 0)
    firsts, of_first = np.unique(first[both], return_inverse=True)
    seconds, of_second = np.unique(second[both], return_inverse=True)
    pairs, counts = np.unique(of_first * np.int64(max(len(seconds), 1)) + of_second, return_counts=True)
    return {
        (int(firsts[pair // len(seconds)]), int(seconds[pair % len(seconds)])): int(count)
        for pair, count in zip(pairs, counts, strict=True)
    }
