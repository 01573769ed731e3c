"""Images whose planes stay in memory once they were read: several networks and baselines look at the same ones.

Opening a small file costs as much as a small network takes to look at it.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from .base import Image

Planes = list[npt.NDArray[Any]]


class PlaneMemory:
    """Planes by image id, as many as fit; safe to use from several threads."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._planes: dict[str, Planes] = {}
        self._lock = threading.Lock()

    def read(self, image: Image) -> Planes:
        """The channels of an image, read if they are not here; to be looked at, not written to."""
        planes = self._planes.get(image.id)
        if planes is None:
            planes = Image.read(image)
            size = sum(plane.nbytes for plane in planes)
            with self._lock:
                if size <= self._left and image.id not in self._planes:
                    self._left -= size
                    self._planes[image.id] = planes
        return list(planes)


@dataclass(frozen=True)
class KeptImage(Image):
    """An image that reads through a memory."""

    memory: PlaneMemory = field(default_factory=lambda: PlaneMemory(0), compare=False, repr=False)

    def read(self) -> Planes:
        """See `Image.read`."""
        return self.memory.read(self)


def kept_in_memory(images: Sequence[Image], *, most_bytes: int = 1 << 28) -> list[Image]:
    """The same images, of unique ids, with one memory: the planes read first stay, until no more of them fit."""
    memory = PlaneMemory(most_bytes)
    return [KeptImage(**vars(image) | {"memory": memory}) for image in images]
