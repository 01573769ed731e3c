"""What users hand in as "an image", as a list of channels: arrays, pictures, multi-page files, lists of them.

Arrays and pictures differ in one point: the third axis of an array holds channels, the colours of a picture (an RGB
file or PIL image) are one brightfield channel, later averaged to gray (paper §2.2).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import tifffile

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.imaging import read_image

Channel = npt.NDArray[Any]


def split_batch(images: Any) -> list[Any]:
    """The images of a batch, or one image as a batch of one.

    A list of 2-D arrays is one image, its channels; a list of anything else is a batch, one image per entry.

    Raises:
        InputError: an empty list.

    Example:
        >>> plane = np.zeros((8, 8), np.uint16)
        >>> len(split_batch([plane, plane])), len(split_batch([[plane, plane], [plane, plane]]))
        (1, 2)
    """
    if not isinstance(images, list | tuple):
        return list(images) if getattr(images, "ndim", 0) == 4 else [images]
    if not images:
        raise InputError("no images: the list is empty")
    return [images] if all(getattr(entry, "ndim", 0) == 2 for entry in images) else list(images)


def as_channels(image: Any, *, channels_axis: str | None = None) -> list[Channel]:
    """The channels of one image, in order.

    Args:
        image: (H, W), (C, H, W) or (H, W, C) array or tensor; a PIL image; the path of a file, each page a channel; or
            a list of these, one or more channels each.
        channels_axis: `"channels_first"` or `"channels_last"` for 3-D arrays; by default the shorter of the two axes.

    Returns:
        Arrays of one height and width in their native dtype: (H, W), or (H, W, 3) for a colour picture.

    Raises:
        InputError: no pixels, NaN or infinity, another shape, or channels of different sizes.
    """
    found = _collect(image, channels_axis)
    if not found:
        raise InputError("an image without channels: the list is empty")
    for number, channel in enumerate(found):
        where = f"channel {number} of {len(found)}"
        if channel.size == 0:
            raise InputError(f"{where} is empty: its shape is {channel.shape}")
        if channel.dtype.kind not in "buif":
            raise InputError(f"{where} has {channel.dtype} values: pixels are integers or floats")
        if channel.dtype.kind == "f" and not np.isfinite(channel).all():
            raise InputError(f"{where} has NaN or infinite pixels: replace them before use")
        if channel.shape[:2] != found[0].shape[:2]:
            raise InputError(
                f"{where} is {channel.shape[:2]} but channel 0 is {found[0].shape[:2]}: one size per image"
            )
    return found


def _collect(image: Any, axis: str | None) -> list[Channel]:
    if isinstance(image, str | Path):
        return [read_image(image, page=page) for page in range(_count_pages(Path(image)))]
    if isinstance(image, PIL.Image.Image):
        return [_from_pillow(image)]
    if isinstance(image, Sequence):
        return [channel for entry in image for channel in _collect(entry, axis)]
    array = np.asarray(image)  # CPU tensors too
    if array.ndim == 2:
        return [array]
    if array.ndim != 3:
        raise InputError(f"an image is (H, W), (C, H, W) or (H, W, C), not {array.shape}")
    return list(array) if _is_channels_first(array.shape, axis) else [array[..., c] for c in range(array.shape[2])]


def _is_channels_first(shape: tuple[int, ...], axis: str | None) -> bool:
    if axis is not None:
        return str(getattr(axis, "value", axis)) == "channels_first"
    if shape[0] == shape[2] != 1:
        raise InputError(
            f"either axis of {shape} may hold the channels: pass input_data_format='channels_first' or -'last'"
        )
    return shape[0] < shape[2] or shape[0] == 1


def _from_pillow(picture: PIL.Image.Image) -> Channel:
    if picture.mode in ("L", "F", "I") or picture.mode.startswith("I;16"):
        return np.asarray(picture)
    return np.asarray(picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB"))


def _count_pages(path: Path) -> int:
    """Planes of a TIFF; 1 for every other kind of file, so that an unreadable one fails when it is read."""
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = len(tiff.pages)
            # ImageJ writes one directory for a whole stack.
            return pages if pages != 1 else max(1, tiff.series[0].size // tiff.pages[0].size)
    except (OSError, tifffile.TiffFileError):
        return 1
