"""Exact percentiles and the contrast stretch made of them.

Integer images are counted once instead of sorted: a histogram of 65,536 bins gives the same order statistics, and a
table of 65,536 entries gives the same stretched pixels, bit for bit, at a tenth of the time.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError

from .opencv import cv2

Pixels: TypeAlias = npt.NDArray[Any]
Unit: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = tuple[npt.NDArray[np.int64], int]

# Integer images that span more values than this are sorted: their histogram would not fit in the cache.
_MOST_BINS = 1 << 20
# cv2.calcHist counts in float32, which holds every integer up to here.
_EXACT_FLOAT32 = 1 << 24


def percentiles(image: Pixels, q: Sequence[float], *, counted: Counts | None = None) -> Unit:
    """Percentiles of all pixels with linear interpolation between order statistics.

    Args:
        image: any shape, integer, boolean or float; not empty, no NaN or infinity.
        q: percentages in [0, 100].
        counted: `histogram(image)`, where it is at hand.

    Returns:
        float64, one per entry of `q`; for integer images bit-equal to `np.percentile(image, q)`.

    Raises:
        InputError: an empty image, a non-finite pixel, or a percentage out of range.

    Example:
        >>> percentiles(np.array([[0, 10], [20, 4000]], np.uint16), [50, 100]).tolist()
        [15.0, 4000.0]
    """
    wanted = np.asarray(q, dtype=np.float64)
    if wanted.size and not (wanted.min() >= 0 and wanted.max() <= 100):
        raise InputError(f"percentiles {list(q)} must lie in [0, 100]")
    _require_pixels(image)
    position = (image.size - 1) * (wanted / 100)
    before = np.floor(position).astype(np.int64)
    places = np.stack([before, np.minimum(before + 1, image.size - 1)])
    left, right = _order_statistics(image, places, counted or histogram(image))
    part = position - before
    # From the nearer neighbour, as NumPy does: the two forms differ in the last bit.
    return np.where(part < 0.5, left + (right - left) * part, right - (right - left) * (1 - part))


def normalize(image: Pixels, low: float = 0.1, high: float = 99.9) -> npt.NDArray[np.float32]:
    """Clip an image at two of its percentiles and scale it to [0, 1] (paper §2.2).

    Args:
        image: any shape and dtype; left as it is.
        low: lower percentile; 0.1 is DeepLoc's range.
        high: upper percentile.

    Returns:
        float32 in [0, 1], same shape. A constant image gives zeros (I2), never NaN.

    Raises:
        InputError: an empty image, a non-finite pixel, or not 0 <= low < high <= 100.

    Example:
        >>> normalize(np.array([[100, 200, 300]], np.uint16), 0, 100).tolist()
        [[0.0, 0.5, 1.0]]
    """
    return stretcher(image, low, high)(image).astype(np.float32)


def stretcher(image: Pixels, low: float, high: float) -> Callable[[Pixels], Unit]:
    """The contrast stretch of `image` as a function of blocks of its pixels to float64 in [0, 1].

    It is `clip((x - a) / (b - a), 0, 1)` with a and b the percentiles of the whole image.
    """
    if not 0 <= low < high <= 100:
        raise InputError(f"need 0 <= low < high <= 100, not low={low} and high={high}")
    _require_pixels(image)
    counted = histogram(image)
    bottom, top = (float(value) for value in percentiles(image, (low, high), counted=counted))
    if top == bottom:
        return lambda block: np.zeros(block.shape)
    if image.dtype not in (np.uint8, np.uint16) or counted is None:
        return lambda block: np.clip((block.astype(np.float64) - bottom) / (top - bottom), 0, 1)
    table = np.ones(np.iinfo(image.dtype).max + 1)
    first, last = math.ceil(bottom), math.ceil(top)  # values from `first` on and below `last` lie inside the range
    table[:first] = 0
    table[first:last] = (np.arange(first, last) - bottom) / (top - bottom)
    return lambda block: _look_up(table, block)


def _order_statistics(image: Pixels, orders: npt.NDArray[np.int64], counted: Counts | None) -> Unit:
    """The pixels at some places (from 0) of the sorted image, as float64; same shape as `orders`."""
    if counted is not None:
        counts, smallest = counted
        return np.searchsorted(np.cumsum(counts), orders, side="right").astype(np.float64) + smallest
    flat = image.astype(np.float64).ravel()
    floor, span = float(flat.min()), float(flat.max()) - float(flat.min())
    scale = 65535 / span if span > np.finfo(np.float64).tiny else 0.0
    if flat.size < 1 << 15 or not np.isfinite(span):
        return np.asarray(np.sort(flat)[orders], dtype=np.float64)
    # Rounding down to 65,536 levels keeps the order, so only the pixels of one level have to be sorted for each place.
    level = ((flat - floor) * scale).astype(np.uint16)
    ends = np.cumsum(_count(level, 65536))
    values = np.empty(orders.shape)
    for place in np.unique(orders):
        of_place = int(np.searchsorted(ends, place, side="right"))
        inside = flat[level == of_place]
        rank = int(place) - int(ends[of_place] - len(inside))
        values[orders == place] = np.partition(inside, rank)[rank]
    return values


def histogram(image: Pixels) -> Counts | None:
    """Counts per value of an integer image and the value of the first bin; None where sorting is the better way."""
    if image.dtype.kind not in "bui":
        return None
    largest = int(image.max())
    if image.size < largest // 4:  # a single cell of 64 x 64 sorts faster than 65,536 bins fill
        return None
    if image.dtype in (np.uint8, np.uint16):
        return _count(image, largest + 1), 0
    smallest = int(image.min())
    if largest - smallest >= _MOST_BINS:
        return None
    return np.bincount(image.ravel().astype(np.int64) - smallest), smallest


def byte_counts(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """How often each of the 256 values occurs in an 8-bit image: (256,).

    Example:
        >>> byte_counts(np.array([[0, 2], [2, 2]], np.uint8))[:3].tolist()
        [1, 0, 3]
    """
    return _count(image, 256)


def _count(image: Pixels, bins: int) -> npt.NDArray[np.int64]:
    """How often each of the values 0 … bins - 1 occurs in an 8- or 16-bit image."""
    if cv2 is None or image.size >= _EXACT_FLOAT32:
        return np.bincount(image.ravel(), minlength=bins)
    flat = np.ascontiguousarray(image).reshape(1, -1)
    return np.asarray(cv2.calcHist([flat], [0], None, [bins], [0, bins]).ravel().astype(np.int64))


def _require_pixels(image: Pixels) -> None:
    if image.size == 0:
        raise InputError(f"an image of shape {image.shape} has no pixels")
    if image.dtype.kind not in "buif":
        raise InputError(f"an image has integer, boolean or float pixels, not {image.dtype}")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError("the image has NaN or infinite pixels: replace them before use")


def _look_up(table: Unit, block: Pixels) -> Unit:
    flat = np.ascontiguousarray(block).reshape(1, -1)
    if cv2 is None:
        return np.asarray(table[flat], dtype=np.float64).reshape(block.shape)
    try:
        stretched = cv2.LUT(flat, table.reshape(1, -1))
    except cv2.error:  # OpenCV 4 has no tables of 65,536 entries
        stretched = table[flat]
    return np.asarray(stretched, dtype=np.float64).reshape(block.shape)
