"""One image as every part of the project knows it: an id, named channels, metadata, and where its planes lie.

An `Image` opens nothing until it is read, and it can be sent to another process: it holds references to planes, not
open files or functions.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.imaging import read_image

Projection = Literal["max", "mean"]


@dataclass(frozen=True)
class PlaneRef:
    """One 2-D plane and where it lies.

    Attributes:
        path: a file, or the folder of a store.
        page: plane of a multi-plane file, counted from 0; None: a file of one plane.
    """

    path: Path
    page: int | None = None

    def read(self) -> npt.NDArray[Any]:
        """The plane: (H, W), or (H, W, 3) for a colour picture, in its native dtype."""
        return read_image(self.path, page=self.page)

    @property
    def stamp(self) -> str:
        """What the pixels depend on: name, size and time of the file, and the page."""
        return f"{_stamp_of(self.path)}#{'' if self.page is None else self.page}"


@dataclass(frozen=True)
class Image:
    """One image: a field of view, a cell, or a row of a dataset.

    Attributes:
        id: unique within its source; features are joined by it.
        channels: stain names in order, lower case; numbers as text where nothing names them.
        planes: per channel, the planes that are projected into it (one, or a z stack).
        metadata: what is known of it: `plate`, `well` (`A01`), `site`, `z`, `t`, and every further column of its
            source under its own name without `Metadata_`.
        projection: how a z stack becomes one plane.
    """

    id: str
    channels: tuple[str, ...]
    planes: tuple[tuple[PlaneRef, ...], ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    projection: Projection = "max"

    def read(self) -> list[npt.NDArray[Any]]:
        """The channels in order, each (H, W) or (H, W, 3), in native dtype.

        Raises:
            InputError: a file cannot be read, or a channel of this image is missing.
        """
        missing = [name for name, planes in zip(self.channels, self.planes, strict=True) if not planes]
        if missing:
            raise InputError(f"{self.id}: no file for channel {', '.join(missing)}")
        return [self._project(planes) for planes in self.planes]

    @property
    def stamp(self) -> str:
        """A hash of what the pixels depend on: a changed, added or removed file gives another."""
        stamps = [[plane.stamp for plane in planes] for planes in self.planes]
        return hashlib.sha256(repr((self.channels, self.projection, stamps)).encode()).hexdigest()[:16]

    def _project(self, planes: tuple[PlaneRef, ...]) -> npt.NDArray[Any]:
        first = planes[0].read()
        if len(planes) == 1:
            return first
        stack = np.stack([first, *(plane.read() for plane in planes[1:])])
        if self.projection == "max":
            return np.asarray(stack.max(axis=0))
        return np.asarray(stack.mean(axis=0, dtype=np.float64))


@cache
def _stamp_of(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return f"{path.name}:absent"
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"
