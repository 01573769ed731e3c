"""The configuration `channels`: fields and crops with their planes kept apart, and the way to the gray image.

A row has the id, label, place, split and licence of the row of the same `image_id` in the default configuration;
instead of one gray image it holds one plane per stain, with the values between which each was stretched for merging.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from datasets import Features, Image, List, Value

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging import to_bytes

from .schema import dataset_features

_REPLACED = ("image", "path", "filename", "channels")


def channel_features(labels: Sequence[str]) -> Features:
    """Features of the configuration `channels`, in column order.

    Args:
        labels: class names in the order of their codes.

    Example:
        >>> list(channel_features(["actin"]))[:4]
        ['planes', 'stains', 'label', 'category']
    """
    columns: dict[str, object] = {"planes": List(Image()), "stains": List(Value("string"))}
    columns |= {name: kind for name, kind in dataset_features(labels).items() if name not in _REPLACED}
    columns |= {name: List(Value("float64")) for name in ("plane_low", "plane_high", "plane_scale", "plane_offset")}
    columns |= {"gray_low": Value("float64"), "gray_high": Value("float64"), "merges_to_gray": Value("bool")}
    return Features(columns)


def merge_planes(row: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """The gray image of a row, as the default configuration holds it.

    Args:
        row: of the configuration `channels`. A value of the file is that of the plane over `plane_scale` plus
            `plane_offset`: 1 and 0 for gray files of 8 and 16 bits, whose planes hold the values themselves. Where
            `merges_to_gray` is true the result is equal to the gray image bit for bit; otherwise the planes could not
            be stored as they were read, and it comes near.

    Returns:
        (H, W) uint8.

    Raises:
        InputError: no planes, or planes of different shapes.

    Example:
        >>> planes = [np.array([[0, 50, 100]], np.uint8), np.array([[0, 4000, 2000]], np.uint16)]
        >>> row = {"planes": planes, "plane_low": [0, 0], "plane_high": [100, 4000]}
        >>> row |= {"plane_scale": [1, 1], "plane_offset": [0, 0]}
        >>> merge_planes(row | {"gray_low": None, "gray_high": None}).tolist()
        [[0, 191, 191]]
    """
    planes = read_planes(row)
    if not planes or len({plane.shape for plane in planes}) > 1:
        raise InputError(f"{row.get('image_id')}: the planes of a row have one shape, not {[p.shape for p in planes]}")
    total = np.zeros(planes[0].shape)
    places = zip(row["plane_scale"], row["plane_offset"], row["plane_low"], row["plane_high"], strict=True)
    for plane, (scale, offset, low, high) in zip(planes, places, strict=True):
        total += _stretched(plane / scale + offset, low, high)
    total /= len(planes)
    if row["gray_low"] is not None:
        total = _stretched(total, row["gray_low"], row["gray_high"])
    return to_bytes(total)


def read_planes(row: Mapping[str, Any]) -> list[npt.NDArray[Any]]:
    """The planes of a row as arrays (H, W) of 8 or 16 bits, in the order of `stains`: decoded, as files, or arrays."""
    planes = []
    for plane in row["planes"]:
        if isinstance(plane, Mapping):
            with PIL.Image.open(io.BytesIO(plane["bytes"])) as image:
                planes.append(np.asarray(image))
        else:
            planes.append(np.asarray(plane))
    return planes


def stretch_plane(
    plane: npt.NDArray[Any], *, low: float, high: float, scale: float, offset: float
) -> npt.NDArray[np.uint8]:
    """One plane of a row as a gray image of 8 bits, stretched as it was for merging.

    Args:
        plane: (H, W), as `read_planes` gives it.
        low, high, scale, offset: its `plane_low`, `plane_high`, `plane_scale` and `plane_offset`.

    Example:
        >>> stretch_plane(np.array([[0, 2000, 9000]], np.uint16), low=0, high=4000, scale=1, offset=0).tolist()
        [[0, 127, 255]]
    """
    return to_bytes(_stretched(plane / scale + offset, low, high))


def planes_sha256(planes: Sequence[npt.NDArray[Any]]) -> str:
    """What `sha256` of a row holds: the hash of the pixels of its planes, one after the other, little-endian."""
    digest = hashlib.sha256()
    for plane in planes:
        digest.update(np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _stretched(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.float64]:
    if low == high:  # a constant plane has no contrast to show
        return np.zeros(values.shape)
    return np.clip((values - low) / (high - low), 0, 1)
