"""Statistics of the pixels that a network does not tell: how bright, how grainy, and which channels lie together.

A network looks at one stretched channel at a time; what decides many phenotypes is the amount of a stain and whether
it overlaps with another. 24 numbers a channel and 16 a pair of channels: a search for neighbours among standardised
features weighs a block by its number of features. Measured in docs/study.md.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.imaging import to_gray
from cytoimagenet_hf.imaging.opencv import require_opencv

QUANTILES = (5, 15, 25, 35, 45, 55, 65, 75, 85, 95)
"""Percentiles of a channel whose logarithms are kept."""
SIGMAS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
"""Scales in pixels of the Laplacians of Gaussians, for texture and for correlations of channels."""
PER_CHANNEL, PER_PAIR = len(QUANTILES) + 2 * len(SIGMAS), 2 * (1 + len(SIGMAS))

_SHARE = 0.1  # of the mean, added before the logarithm: dark pixels are noise
_FLOOR = 0.01  # of the 99.9 percentile, added before the logarithm of the others
_FLAT = 1e-6  # added to the deviation of a Laplacian before the logarithm
_MOST_SKEW = 5.0  # one bright speck must not outweigh all else
_TINY = 1e-12

Plane = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]


def pixel_features(planes: Sequence[Plane]) -> Vector:
    """Intensities and texture of each channel, then correlations of each pair of channels.

    Args:
        planes: (H, W) or (H, W, 3) per channel, any dtype.

    Returns:
        (24 C + 16 C (C - 1) / 2,) float32.

    Example:
        >>> dna = np.arange(64.0).reshape(8, 8)
        >>> pixel_features([dna, dna]).shape, pixel_features([dna, dna])[48:].round(3).tolist() == [1.0] * 16
        ((64,), True)
    """
    gray = [np.asarray(to_gray(np.asarray(plane)), dtype=np.float64) for plane in planes]
    parts, maps = [], []
    for plane in gray:
        relative = relative_log(plane)
        laplacians = _laplacians(relative)
        parts += [log_intensities(plane), _texture(laplacians)]
        if len(gray) > 1:
            views = [plane, *_laplacians(plane), relative, *laplacians]
            maps.append(np.stack([_unit(view) for view in views]))  # (16, H * W)
    parts += [np.einsum("ij,ij->i", maps[a], maps[b]) for b in range(len(maps)) for a in range(b)]
    return np.concatenate(parts).astype(np.float32)


def pixel_names(stains: Sequence[str]) -> tuple[list[str], list[int]]:
    """Whose numbers those are: a stain or two joined by `-`, and how many each has."""
    pairs = [f"{stains[a]}-{stains[b]}" for b in range(len(stains)) for a in range(b)]
    return [*stains, *pairs], [PER_CHANNEL] * len(stains) + [PER_PAIR] * len(pairs)


def log_intensities(plane: Plane) -> npt.NDArray[np.float64]:
    """Logarithms of ten percentiles, (10,): a gain moves all of them by the same amount."""
    *kept, top = np.percentile(plane, [*QUANTILES, 99.9])
    return np.log(np.maximum(kept, 0) + max(_FLOOR * float(top), _TINY))


def relative_log(plane: Plane) -> npt.NDArray[np.float64]:
    """Logarithm of the pixels by their mean, (H, W): the same whatever the gain."""
    values = np.maximum(plane.astype(np.float64), 0)
    mean = float(values.mean())
    return np.log((values / mean if mean > 0 else np.ones_like(values)) + _SHARE)


def _laplacians(plane: Plane) -> list[Plane]:
    """Laplacians of the plane smoothed at each scale: the sum of differences to four neighbours, float32."""
    cv2 = require_opencv("statistics of the pixels (pixels=True)")
    border = cv2.BORDER_REFLECT
    values = (plane - plane.mean(dtype=np.float64)).astype(np.float32)  # a flat plane is 0 then, without rounding
    smooth = [cv2.GaussianBlur(values, (0, 0), sigma, borderType=border) for sigma in SIGMAS]
    return [np.asarray(cv2.Laplacian(blurred, -1, ksize=1, borderType=border)) for blurred in smooth]


def _texture(laplacians: Sequence[Plane]) -> npt.NDArray[np.float64]:
    """(14,): logarithm of the deviation, and the skew, of the scale-normalised Laplacian at each scale."""
    moments = []
    for sigma, response in zip(SIGMAS, laplacians, strict=True):
        values = np.float32(sigma**2) * response
        deviation = float(values.std(dtype=np.float64))
        skew = float((values * values * values).mean(dtype=np.float64)) / (deviation**3 + _TINY)
        moments += [np.log(deviation + _FLAT), np.clip(skew, -_MOST_SKEW, _MOST_SKEW)]
    return np.array(moments)


def _unit(view: Plane) -> npt.NDArray[np.float32]:
    """The values (H * W,), centred and of length 1; zeros where they vary by rounding alone."""
    values = (view - view.mean(dtype=np.float64)).ravel().astype(np.float32)
    length = float(np.sqrt(np.square(values).sum(dtype=np.float64)))
    if length <= _TINY * np.sqrt(view.size):
        return np.zeros(view.size, dtype=np.float32)
    return values / np.float32(length)
