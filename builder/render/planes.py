"""What the configuration `channels` keeps of a field or crop: planes, and the values they were stretched between."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from builder.recipe import Recipe
from cytoimagenet_hf.dataset.planes import merge_planes, planes_sha256
from cytoimagenet_hf.imaging import encode_png, percentiles, to_bytes
from cytoimagenet_hf.imaging.png import huffman_png

from .merged import Box

Plane = npt.NDArray[Any]
_LARGEST = np.iinfo(np.uint16).max


class FieldPlanes:
    """The planes of a field as they were merged, ready to be cut where its gray images were."""

    def __init__(self, planes: Sequence[Plane], stains: Sequence[str], recipe: Recipe):
        self.stains = list(stains)
        self._planes: list[Plane] = []
        self._values: dict[str, list[float]] = {f"plane_{name}": [] for name in ("low", "high", "scale", "offset")}
        for plane in planes:
            low, high = (float(value) for value in percentiles(plane, (recipe.low, recipe.high)))
            kept, scale, offset = _kept(plane, low, high, recipe.channel_depth)
            self._planes.append(kept)
            for name, value in zip(self._values, (low, high, scale, offset), strict=True):
                self._values[name].append(value)

    def row(
        self, gray: npt.NDArray[np.uint8], box: Box | None, *, gray_range: tuple[float, float] | None
    ) -> dict[str, Any]:
        """The columns that take the place of the gray image at the same place.

        `box` is x_min, x_max, y_min, y_max in the field, None for all of it; `gray_range` the values of the merged
        image that a crop was stretched between, None for one that was not.
        """
        x_min, x_max, y_min, y_max = box or (0, None, 0, None)
        planes = [np.ascontiguousarray(plane[y_min:y_max, x_min:x_max]) for plane in self._planes]
        low, high = gray_range or (None, None)
        row: dict[str, Any] = {"planes": planes, **self._values}
        row |= {"gray_low": low, "gray_high": high}
        encoded = [_encoded(plane) for plane in planes]
        return row | {
            "merges_to_gray": bool(np.array_equal(merge_planes(row), gray)),
            "planes": [{"bytes": content, "path": None} for content in encoded],
            "stains": self.stains,
            "sha256": planes_sha256(planes),
            "png_bytes": sum(map(len, encoded)),
        }


def _kept(plane: Plane, low: float, high: float, depth: str) -> tuple[Plane, float, float]:
    """A plane in 8 or 16 bits, and how its values are found again: stored / scale + offset."""
    if depth == "8-bit":
        scale = 255 / (high - low) if high > low else 1.0
        return to_bytes(np.clip((plane.astype(np.float64) - low) * scale / 255, 0, 1)), scale, low
    if plane.dtype in (np.uint8, np.uint16):
        return plane, 1.0, 0.0
    values = plane.astype(np.float64)
    smallest, largest = float(values.min()), float(values.max())
    if largest - smallest <= _LARGEST and np.array_equal(values, np.round(values)):
        return (values - smallest).astype(np.uint16), 1.0, smallest
    sums = np.round(values * 3)  # of three colours, whose mean is the gray value
    if smallest >= 0 and sums.max() <= _LARGEST and np.array_equal(values, sums / 3):
        return sums.astype(np.uint16), 3.0, 0.0
    scale = _LARGEST / (largest - smallest)
    return np.round((values - smallest) * scale).astype(np.uint16), scale, smallest


def _encoded(plane: Plane) -> bytes:
    if plane.dtype == np.uint8:
        return encode_png(plane)
    # Noise has no matches to search for, as in 8 bits: smaller than level 1 by 4 %, and three times as fast.
    if (encoded := huffman_png(plane)) is not None:
        return encoded
    done, content = cv2.imencode(".png", plane, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise RuntimeError(f"cannot encode a plane of shape {plane.shape}")
    return bytes(content.tobytes())
