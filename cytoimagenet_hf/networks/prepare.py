"""From the planes of an image to the inputs of a network, as the facts of the network say it.

NumPy on the CPU, so that threads prepare the next images while the network runs. The order is: gray, scale, fit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging import normalize, percentiles, to_gray
from cytoimagenet_hf.networks.channels import check_channels

from .facts import EncoderFacts
from .pixels import relative_log
from .roles import match_roles

Plane = npt.NDArray[np.float32]
_TINY = 1e-7  # added to deviations, as the networks that z-score were trained with


def make_units(
    facts: EncoderFacts,
    planes: Sequence[npt.NDArray[Any]],
    *,
    stains: Sequence[str],
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> list[Plane]:
    """The inputs of a network for one image, float32 (c, h, w) each: see `Encoder.units` for what it takes.

    Under `tiles`, the channels of all tiles stand one after another.

    Example:
        >>> from .facts import WeightSource
        >>> facts = EncoderFacts("tiny", "Tiny", "each", "dtype", 8, WeightSource("nowhere"))
        >>> [unit.tolist() for unit in make_units(facts, [np.uint8([[0, 255]])], stains=())]
        [[[[0.0, 1.0]]]]
    """
    gray = _checked(planes, stains, facts.name)
    height, width = gray[0].shape
    if min(height, width) < facts.smallest:
        raise InputError(f"{facts.name} takes {facts.smallest} pixels a side or more, not {height} x {width}")
    if facts.per == "plate" and ranges is None:
        raise InputError(f"{facts.name}: normalisation over a plate needs the pixel ranges of its stains")
    if ranges is not None and facts.scale not in ("percentile", "minmax"):
        raise InputError(f"{facts.name} scales by {facts.scale}: ranges over a plate do not apply; leave them out")
    # By the dtype of the file: the gray of a colour picture is a float.
    whites = [facts.full_scale or _white_of(np.asarray(plane).dtype, facts) for plane in planes]
    inputs: list[list[Plane]] = []
    for chosen in _channels_of_inputs(facts, len(gray), stains):
        limits = None if ranges is None else [_range_of(ranges, stains, number) for number in chosen]
        taken = [gray[number] for number in chosen]
        inputs.append(_scaled(facts, taken, limits, whites=[whites[number] for number in chosen]))
    if facts.channels == "merged":
        merged = np.mean([scaled for (scaled,) in inputs], axis=0, dtype=np.float64)
        inputs = [[np.asarray(merged, dtype=np.float32)]]
    return [_fitted(facts, unit) for unit in inputs]


def _checked(planes: Sequence[npt.NDArray[Any]], stains: Sequence[str], name: str) -> list[npt.NDArray[Any]]:
    if len(planes) == 0:
        raise InputError("an image without channels: the list is empty")
    if stains and len(stains) != len(planes):
        raise InputError(f"{len(planes)} channels with {len(stains)} stain names ({', '.join(stains)})")
    gray = [to_gray(np.asarray(plane)) for plane in planes]
    check_channels(gray, names=stains)
    return gray


def _channels_of_inputs(facts: EncoderFacts, count: int, stains: Sequence[str]) -> list[list[int]]:
    if facts.channels != "joint":
        return [[number] for number in range(count)]
    if facts.stains:
        return match_roles(facts.stains, stains, name=facts.name)
    if facts.most_channels is not None and count > facts.most_channels:
        raise InputError(f"{facts.name} takes up to {facts.most_channels} channels, not {count}: leave some out")
    return [list(range(count))]


def _range_of(ranges: Mapping[str, tuple[float, float]], stains: Sequence[str], number: int) -> tuple[float, float]:
    if not stains:
        raise InputError("ranges are by stain: name the channels with stains=")
    if stains[number] not in ranges:
        raise InputError(f"no range for the stain {stains[number]}: there are {', '.join(ranges) or 'none'}")
    return ranges[stains[number]]


def _scaled(
    facts: EncoderFacts,
    planes: list[npt.NDArray[Any]],
    limits: list[tuple[float, float]] | None,
    *,
    whites: list[float],
) -> list[Plane]:
    if limits is not None:
        return [_between(plane, *limit, clip=facts.clip) for plane, limit in zip(planes, limits, strict=True)]
    if facts.scale == "none":
        return [plane.astype(np.float32) for plane in planes]
    if facts.scale in ("dtype", "as-uint8"):
        top = np.float32(255 if facts.scale == "as-uint8" else 1)
        return [_by_white(plane, white) * top for plane, white in zip(planes, whites, strict=True)]
    if facts.scale == "gain":
        return [_by_gain(plane) for plane in planes]
    if facts.scale == "percentile" and facts.per == "plane" and facts.clip and not facts.from_zero:
        return [normalize(plane, facts.low, facts.high) for plane in planes]
    seen = [np.stack(planes)] * len(planes) if facts.per == "image" else planes
    if facts.scale == "zscore":
        return [_zscored(plane, pixels) for plane, pixels in zip(planes, seen, strict=True)]
    ends = [_limits(facts, pixels) for pixels in (seen[:1] if facts.per == "image" else seen)]
    ends = ends * len(planes) if facts.per == "image" else ends
    return [_between(plane, *limit, clip=facts.clip) for plane, limit in zip(planes, ends, strict=True)]


def _limits(facts: EncoderFacts, pixels: npt.NDArray[Any]) -> tuple[float, float]:
    """The pixel values that become 0 and 1."""
    if facts.scale == "minmax":
        return float(pixels.min()), float(pixels.max())
    low, high = percentiles(pixels, (facts.low, facts.high))
    return (0.0 if facts.from_zero else float(low)), float(high)


def _between(plane: npt.NDArray[Any], low: float, high: float, *, clip: bool) -> Plane:
    """0 at `low`, 1 at `high`; a constant plane is 0."""
    if not high > low:
        return np.zeros(plane.shape, dtype=np.float32)
    unit = (plane.astype(np.float64) - low) / (high - low)
    return np.asarray(np.clip(unit, 0, 1) if clip else unit, dtype=np.float32)


def _by_gain(plane: npt.NDArray[Any]) -> Plane:
    """Logarithm of the pixels by their mean, moved to about [0, 1]: neither exposure nor one bright speck sets it."""
    return np.asarray(relative_log(plane) / 2 + 0.5, dtype=np.float32)


def _zscored(plane: npt.NDArray[Any], pixels: npt.NDArray[Any]) -> Plane:
    values = pixels.astype(np.float64)
    return np.asarray((plane - values.mean()) / (values.std() + _TINY), dtype=np.float32)


def _white_of(dtype: np.dtype[Any], facts: EncoderFacts) -> float:
    if dtype.kind in "ui" and dtype.itemsize == 8 and facts.scale in ("dtype", "as-uint8"):
        # Lists of numbers are read as int64: by its range, every image would be black.
        raise InputError(
            f"{dtype} pixels do not say which value is white: pass full_scale=, or arrays of 8 or 16 bits"
        )
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0


def _by_white(plane: npt.NDArray[Any], white: float) -> Plane:
    """[0, 1] by the range of the dtype, or of what the caller knows about the camera."""
    unit = np.asarray(plane.astype(np.float64) / white, dtype=np.float32)
    if unit.min() < 0 or unit.max() > 1:
        raise InputError(
            f"pixels from {plane.min()} to {plane.max()} leave 0 … {white:g}: pass full_scale=, "
            "or normalise by each image's percentiles"
        )
    return unit


def _fitted(facts: EncoderFacts, planes: list[Plane]) -> Plane:
    """The unit (c, h, w) of planes of one size."""
    if facts.size is None:
        return _cut(np.stack(planes), facts.multiple)
    height, width = facts.size
    if facts.fit == "resize":
        return np.stack([_resized(plane, height, width, facts.interpolation) for plane in planes])
    own_height, own_width = planes[0].shape
    if facts.fit == "shortest":
        shorter, longer = height, int(height * max(own_height, own_width) / min(own_height, own_width))
        sides = (shorter, longer) if own_height <= own_width else (longer, shorter)  # as the stock processors round
        return _cut(np.stack([_resized(plane, *sides, facts.interpolation) for plane in planes]), facts.multiple)
    if own_height < height or own_width < width:
        raise InputError(
            f"{facts.name} looks at {height} x {width} pixels and the image has {own_height} x {own_width}: "
            "pass fit='resize', or leave it out"
        )
    stack = np.stack(planes)
    if facts.fit == "crop":
        top, left = (own_height - height) // 2, (own_width - width) // 2
        return np.ascontiguousarray(stack[:, top : top + height, left : left + width])
    # Tiles are centred: what does not fill one is lost at all four sides.
    rows, columns = own_height // height, own_width // width
    top, left = (own_height - rows * height) // 2, (own_width - columns * width) // 2
    return np.concatenate(
        [
            stack[:, top + row * height : top + (row + 1) * height, left + place * width : left + (place + 1) * width]
            for row in range(rows)
            for place in range(columns)
        ]
    )


def _cut(stack: Plane, multiple: int) -> Plane:
    height, width = (side // multiple * multiple for side in stack.shape[1:])
    if not height or not width:
        raise InputError(f"an image of {stack.shape[1]} x {stack.shape[2]} pixels is smaller than one patch")
    return np.ascontiguousarray(stack[:, :height, :width])


def _resized(plane: Plane, height: int, width: int, interpolation: str) -> Plane:
    """Through Pillow's float mode: the stock filter without its detour over 8 bits."""
    picture = PIL.Image.fromarray(plane, mode="F")
    return np.array(picture.resize((width, height), PIL.Image.Resampling[interpolation.upper()]))
