"""What users hand in as "an image", as a list of channels: arrays, pictures, files of several channels, lists of them.

Arrays and pictures differ in one point: the third axis of an array holds channels, the colours of a picture (an RGB
file or PIL image) are one brightfield channel, later averaged to gray (paper §2.2).
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import PIL.Image
from huggingface_hub.utils import get_session

from cytoimagenet_hf.core.arrays import as_array
from cytoimagenet_hf.core.boundary import explain
from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.imaging import AmbiguousAxesError, describe_stack, read_planes
from cytoimagenet_hf.imaging.read import picture_pixels

Plane = npt.NDArray[Any]
_PATIENCE = 60
"""Seconds for a file on the internet."""


def split_batch(images: Any) -> list[Any]:
    """The images of a batch, or one image as a batch of one.

    A list of 2-D arrays is one image, its channels; a list of anything else is a batch, one image per entry; so is a
    4-D array. Nested lists of numbers, which may be channels or images, are refused.
    """
    if not isinstance(images, Sequence) or isinstance(images, str | bytes):  # a column of `datasets` is one, too
        return list(images) if getattr(images, "ndim", 0) == 4 and len(images) else [images]
    if not images:
        raise InputError("no images: the list is empty")
    if not all(_depth(entry) == 2 for entry in images):
        return list(images)
    if len(images) > 1 and not any(hasattr(entry, "ndim") for entry in images):
        # Rows of an Array2D column, or one cell of an Array3D: nothing tells which.
        raise InputError(
            f"{len(images)} nested lists of numbers may be the channels of one image or as many gray images: pass "
            "arrays, (H, W) each for channels, (1, H, W) each for images"
        )
    return [images]


def _depth(entry: Any) -> int:
    """Axes of an array, also of nested lists of numbers; 0 for a picture, a path or a list of either."""
    if not isinstance(entry, list | tuple) or not _is_nested_numbers(entry):
        return int(getattr(entry, "ndim", 0))
    return 1 + (_depth(entry[0]) if isinstance(entry[0], list | tuple) else 0)


def as_channels(image: Any, *, channels_axis: str | None = None, axes: str | None = None) -> list[Plane]:
    """The channels of one image, in order.

    Args:
        image: (H, W), (C, H, W) or (H, W, C) array or tensor; a PIL image; the path or the `http(s)` address of a
            file, whose metadata say which of its planes are channels; or a list of these, one or more channels each.
            Nested lists of numbers, as `datasets` gives arrays, are arrays of 64-bit integers or floats.
        channels_axis: `"channels_first"` or `"channels_last"` for 3-D arrays; by default the shorter of the two axes.
            The first also says that the planes of a file are channels, where the file does not say what they are.
        axes: what the planes of a file are, see `imaging.describe_stack`; overrides what the file says.

    Returns:
        Arrays of one height and width in their native dtype: (H, W), or (H, W, 3) for a colour picture.

    Raises:
        InputError: no pixels, NaN or infinity, another shape, channels of different sizes, or a file with several
            focus positions, time points or pictures, or one that does not say what its planes are.
    """
    planes = _collect(image, channels_axis, axes)
    if not planes:
        raise InputError("an image without channels: the list is empty")
    check_channels(planes)
    return planes


def check_channels(channels: Sequence[Plane], *, names: Sequence[str] = ()) -> None:
    """Refuse channels, (H, W) or (H, W, 3) each, that no network can take; messages say their names or numbers."""
    first = channels[0].shape[:2]
    for name, channel in zip(names or range(len(channels)), channels, strict=True):
        where = f"channel {name} of {len(channels)}"
        if channel.size == 0:
            raise InputError(f"{where} is empty: its shape is {channel.shape}")
        if channel.dtype.kind not in "buif":
            raise InputError(f"{where} has {channel.dtype} values: pixels are integers or floats")
        if channel.dtype.kind == "f" and not np.isfinite(channel).all():
            raise InputError(f"{where} has NaN or infinite pixels: replace them before use")
        if channel.shape[:2] != first:
            raise InputError(f"{where} is {channel.shape[:2]} but the first is {first}: one size per image")


def _collect(image: Any, axis: str | None, axes: str | None) -> list[Plane]:
    if isinstance(image, str) and image.startswith(("http://", "https://")):
        return _from_address(image, axis, axes)
    if isinstance(image, str | Path):
        return _from_file(Path(image), axis, axes)
    if isinstance(image, PIL.Image.Image):
        return [picture_pixels(image)]
    if isinstance(image, Sequence) and not _is_nested_numbers(image):
        return [channel for entry in image for channel in _collect(entry, axis, axes)]
    array = as_array(image)
    if array.ndim == 2:
        return [array]
    if array.ndim != 3:
        given = array.shape or type(image).__name__
        raise InputError(f"an image is (H, W), (C, H, W) or (H, W, C), not {given}")
    return list(array) if _is_channels_first(array.shape, axis) else [array[..., c] for c in range(array.shape[2])]


def _is_channels_first(shape: tuple[int, ...], axis: str | None) -> bool:
    if axis is not None:
        return _says_first(axis)
    if shape[0] == shape[2] != 1:
        raise InputError(
            f"either axis of {shape} may hold the channels: pass input_data_format='channels_first' or -'last'"
        )
    return shape[0] < shape[2] or shape[0] == 1


def _is_nested_numbers(image: Sequence[Any]) -> bool:
    first: Any = image
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(first, int | float)


def _from_address(address: str, axis: str | None, axes: str | None) -> list[Plane]:
    """The channels of a file on the internet, at native depth; the file is kept for as long as it is read."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / (PurePosixPath(urlsplit(address).path).name or "image")
        try:
            answer = get_session().get(address, timeout=_PATIENCE, follow_redirects=True)
            answer.raise_for_status()
            file.write_bytes(answer.content)
        except Exception as error:  # of whichever client the Hub's library uses
            if explain(error) is None:
                raise
            raise InputError(f"{address} cannot be fetched: {one_line(error)}") from error
        try:
            return _from_file(file, axis, axes)
        except InputError as error:
            raise InputError(str(error).replace(str(file), address)) from error


def _from_file(path: Path, axis: str | None, axes: str | None) -> list[Plane]:
    try:
        layout = describe_stack(path, axes=axes)
    except AmbiguousAxesError:
        if not _says_first(axis):
            raise
        layout = describe_stack(path, axes="C")
    if layout.series_count > 1:
        raise InputError(
            f"{path} holds {layout.series_count} pictures, and one image is asked for: images.find_images makes an "
            "image of each; pages of one size that are channels need axes='C'"
        )
    others = [f"{layout.sizes[letter]} along {letter}" for letter in layout.axes if letter not in "CYX"]
    if others:
        raise InputError(
            f"{path} holds several planes per channel ({', '.join(others)}): images.find_images projects Z and makes "
            "an image of each T; if the planes are channels after all, pass axes='C'"
        )
    return read_planes(path, layout.pages)


def _says_first(axis: str | None) -> bool:
    name = str(getattr(axis, "value", axis))
    if axis is not None and name not in ("channels_first", "channels_last"):
        raise InputError(f"input_data_format is {name!r}: channels_first or channels_last")
    return name == "channels_first"
