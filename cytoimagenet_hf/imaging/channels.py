"""Colour to gray, channels to one image, [0, 1] to bytes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError

from .percentile import Pixels, Unit, stretcher

# Pixels per block: a block in float64 (256 KiB) stays in the cache over all channels.
_BLOCK = 1 << 15


def to_gray(image: Pixels) -> Pixels:
    """Gray image: a 2-D image itself, or the mean of the colours in float (I3).

    Args:
        image: (H, W), or (H, W, 3) RGB.

    Returns:
        (H, W): the native dtype for 2-D input, float64 on the scale of the input for RGB.

    Raises:
        InputError: another shape.

    Example:
        >>> to_gray(np.array([[[10, 20, 60]]], np.uint8)).tolist()
        [[30.0]]
    """
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"an image is (H, W) or (H, W, 3), not {image.shape}")
    red, green, blue = (image[..., colour].astype(np.float64) for colour in range(3))
    return (red + green + blue) / 3


def merge_channels(
    channels: Sequence[Pixels], normalized: bool = True, *, low: float = 0.1, high: float = 99.9
) -> npt.NDArray[np.uint8]:
    """One 8-bit gray image from the channels of a field (paper §2.2).

    Args:
        channels: one or more images of one shape, any dtype; RGB ones become gray first.
        normalized: stretch each channel between its percentiles first. If not, integers are scaled by the range of
            their dtype, and floats must lie in [0, 1].
        low: lower percentile of the stretch.
        high: upper percentile.

    Returns:
        (H, W) uint8: the mean in float64, times 255, cut to a byte.

    Raises:
        InputError: no channels, different shapes, or floats out of [0, 1] with `normalized=False`.

    Example:
        >>> dark, bright = np.array([[0, 4000, 2000]], np.uint16), np.array([[0, 255, 255]], np.uint8)
        >>> merge_channels([dark, bright], low=0, high=100).tolist()
        [[0, 255, 191]]
    """
    if normalized:
        return Merger(channels, low=low, high=high).bytes()
    gray = _same_shape(channels)
    return _merged_bytes(
        gray, [_range_scaler(plane, given.dtype) for given, plane in zip(channels, gray, strict=True)]
    )


def to_gray_bytes(channels: Sequence[Pixels]) -> npt.NDArray[np.uint8]:
    """One 8-bit gray image of whatever a dataset holds in a row.

    An 8-bit image stays as it is, a colour picture becomes the mean of its colours (I3). Of deeper images the range
    is not known, and several channels are not of one brightness: these are stretched and merged.

    Args:
        channels: one or more images of one shape, (H, W) or (H, W, 3).

    Returns:
        (H, W) uint8.

    Raises:
        InputError: as `merge_channels`.

    Example:
        >>> to_gray_bytes([np.array([[7, 9]], np.uint8)]).tolist()
        [[7, 9]]
        >>> to_gray_bytes([np.array([[0, 4095]], np.uint16)]).tolist()
        [[0, 255]]
    """
    if len(channels) == 1 and channels[0].dtype == np.uint8:
        return to_gray(channels[0]).astype(np.uint8)
    return merge_channels(channels)


class Merger:
    """The channels of a field with the stretch of each, merged where pixels are asked for.

    Args:
        channels: one or more images of one shape, any dtype; RGB ones become gray first.
        low: lower percentile of the stretch, which all pixels of a channel decide.
        high: upper percentile.

    Raises:
        InputError: no channels, or channels of different shapes.

    Example:
        >>> dna, actin = np.array([[0, 10, 20]], np.uint16), np.array([[200, 200, 100]], np.uint8)
        >>> Merger([dna, actin], low=0, high=100).unit().tolist()
        [[0.5, 0.75, 0.5]]
    """

    def __init__(self, channels: Sequence[Pixels], *, low: float = 0.1, high: float = 99.9) -> None:
        self._gray = _same_shape(channels)
        self._scale = [stretcher(channel, low, high) for channel in self._gray]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self._gray[0].shape
        return height, width

    def unit(self, rows: slice = slice(None), columns: slice = slice(None)) -> Unit:
        """Mean of the stretched channels (paper §2.2) in a box: float64 in [0, 1]."""
        parts = [channel[rows, columns] for channel in self._gray]
        merged = np.empty(parts[0].shape, dtype=np.float64)
        for block, mean in _means(parts, self._scale):
            merged[block] = mean
        return merged

    def bytes(self) -> npt.NDArray[np.uint8]:
        """`merge_channels`: all pixels."""
        return _merged_bytes(self._gray, self._scale)


def _merged_bytes(channels: Sequence[Pixels], scale: Sequence[Callable[[Pixels], Unit]]) -> npt.NDArray[np.uint8]:
    merged = np.empty(channels[0].shape, dtype=np.uint8)
    for rows, mean in _means(channels, scale):
        merged[rows] = _cut_to_bytes(mean)
    return merged


def to_bytes(unit: Unit) -> npt.NDArray[np.uint8]:
    """[0, 1] to 0..255, cut, not rounded: the published cast, so 255 is reached by 1.0 alone.

    Example:
        >>> to_bytes(np.array([[0.0, 0.5, 0.999, 1.0]])).tolist()
        [[0, 127, 254, 255]]
    """
    pixels = np.empty(unit.shape, dtype=np.uint8)
    for rows in _blocks(unit.shape):
        pixels[rows] = _cut_to_bytes(unit[rows])
    return pixels


def _cut_to_bytes(unit: Unit) -> npt.NDArray[np.uint8]:
    return (unit * 255).astype(np.uint8)


def _same_shape(channels: Sequence[Pixels]) -> list[Pixels]:
    gray = [to_gray(channel) for channel in channels]
    if not gray:
        raise InputError("no channels to merge")
    if len({channel.shape for channel in gray}) > 1:
        raise InputError(f"channels of one field differ in shape: {[channel.shape for channel in gray]}")
    return gray


def _means(channels: Sequence[Pixels], scale: Sequence[Callable[[Pixels], Unit]]) -> Iterator[tuple[slice, Unit]]:
    """The mean of the scaled channels, block by block of rows."""
    for rows in _blocks(channels[0].shape):
        total = scale[0](channels[0][rows])
        for channel, scaled in zip(channels[1:], scale[1:], strict=True):
            total += scaled(channel[rows])
        total /= len(channels)
        yield rows, total


def _range_scaler(gray: Pixels, dtype: "np.dtype[Any]") -> Callable[[Pixels], Unit]:
    """[0, 1] by the range of the dtype the file had, which for colour is no longer that of `gray`."""
    if dtype.kind in "bui":
        largest = 1 if dtype.kind == "b" else np.iinfo(dtype).max
        return lambda block: np.maximum(block.astype(np.float64) / largest, 0)
    if not (gray.size and gray.min() >= 0 and gray.max() <= 1):
        raise InputError("float channels must lie in [0, 1] when they are not normalised: scale them first")
    return lambda block: block.astype(np.float64, copy=True)


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    height, width = shape
    step = max(1, _BLOCK // max(1, width))
    return (slice(start, start + step) for start in range(0, height, step))
