"""Where an image is cropped: one random crop per window of a 2x2 grid, at a random scale (paper §2.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Crop:
    """A box of pixels, half-open: `image[y_min:y_max, x_min:x_max]`.

    Attributes:
        scaling: side of the crop as part of the image's side.
        window: 0 top left, 1 top right, 2 bottom left, 3 bottom right.
    """

    x_min: int
    x_max: int
    y_min: int
    y_max: int
    scaling: float
    window: int


def plan_crops(
    height: int,
    width: int,
    *,
    wanted: int,
    rng: np.random.Generator,
    min_side: int = 70,
    min_whole_side: int = 140,
    scales: Sequence[float] = (1 / 2, 1 / 4, 1 / 8, 1 / 16),
) -> list[Crop]:
    """Plan up to four crops, each in a window of its own.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        wanted: number of crops; there are four windows.
        rng: the windows are visited in its order, so the crops of a smaller `wanted` begin those of a larger one.
        min_side: smallest side of a crop, in pixels.
        min_whole_side: an image with a smaller side stays whole, in pixels.
        scales: sides a crop may have, as parts of the image's; 1/2 is the window itself.

    Returns:
        Crops inside their windows; empty for an image that stays whole. An odd last row or column is in no window.

    Example:
        >>> crops = plan_crops(300, 290, wanted=2, rng=np.random.default_rng(0))
        >>> len(crops), all(crop.x_max - crop.x_min == int(290 * crop.scaling) for crop in crops)
        (2, True)
    """
    if min(height, width) < min_whole_side:
        return []
    fitting = [scale for scale in scales if min(int(height * scale), int(width * scale)) >= min_side]
    if not fitting:
        return []
    window_height, window_width = height // 2, width // 2
    crops = []
    for window in rng.permutation(4)[:wanted]:
        row, column = divmod(int(window), 2)
        scale = fitting[rng.integers(len(fitting))]
        crop_height, crop_width = int(height * scale), int(width * scale)
        y_min = row * window_height + int(rng.integers(window_height - crop_height + 1))
        x_min = column * window_width + int(rng.integers(window_width - crop_width + 1))
        crops.append(Crop(x_min, x_min + crop_width, y_min, y_min + crop_height, scale, int(window)))
    return crops
