"""The merged image of a field, merged as far as it is looked at: a field of crops may never need all of it."""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.imaging import Merger

from .crops import Crop

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


class MergedField:
    """One gray image of a field: its channels, or its bytes where crops are cut from those (the published build).

    `box` is x_min, x_max, y_min, y_max in the source; None for all of it.
    """

    def __init__(self, source: Merger | Pixels, box: Box | None = None) -> None:
        height, width = source.shape
        self._source = source
        self._box = box or (0, width, 0, height)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        x_min, x_max, y_min, y_max = self._box
        return y_max - y_min, x_max - x_min

    @property
    def size(self) -> int:
        """Pixels."""
        return self.shape[0] * self.shape[1]

    @cached_property
    def whole(self) -> Pixels:
        """All pixels in bytes."""
        x_min, x_max, y_min, y_max = self._box
        return self._bytes[y_min:y_max, x_min:x_max]

    @cached_property
    def _bytes(self) -> Pixels:
        return self._source.bytes() if isinstance(self._source, Merger) else self._source

    def cut(self, crop: Crop) -> npt.NDArray[Any]:
        """A crop at the depth it is stretched from: float64 in [0, 1], or bytes."""
        x_min, _, y_min, _ = self._box
        rows = slice(y_min + crop.y_min, y_min + crop.y_max)
        columns = slice(x_min + crop.x_min, x_min + crop.x_max)
        if isinstance(self._source, Merger):
            return self._source.unit(rows, columns)
        return self._source[rows, columns]

    def within(self, box: Box) -> "MergedField":
        """The part of it inside a box."""
        x_min, _, y_min, _ = self._box
        part = MergedField(self._source, (x_min + box[0], x_min + box[1], y_min + box[2], y_min + box[3]))
        part._bytes = self._bytes
        return part
