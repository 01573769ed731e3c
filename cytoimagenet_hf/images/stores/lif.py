"""Planes of Leica `.lif` files, through liffile. A place is `(image, axis, index, axis, index, …)`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.optional import require, unreadable
from cytoimagenet_hf.imaging.limits import check_pixels

from .file import stamp as stamp


@dataclass(frozen=True)
class LifImageFacts:
    """One image of a file: its name and the sizes of its axes, slowest first.

    A frame is what the microscope scanned: the two last axes, which are Z and X where it scanned optical sections.
    """

    name: str
    sizes: dict[str, int]

    @property
    def outer(self) -> dict[str, int]:
        """The axes other than those of a frame and of its colours."""
        return {axis: self.sizes[axis] for axis in _plane_axes(self.sizes)[0]}

    @property
    def is_picture(self) -> bool:
        """Whether a frame lies in space; lines that were scanned over time are none."""
        inner = _plane_axes(self.sizes)[1]
        return len(inner) == 2 and set(inner) <= {"X", "Y", "Z"}


def _plane_axes(sizes: dict[str, int]) -> tuple[list[str], list[str]]:
    """The axes that count frames, and the two of a frame."""
    axes = [axis for axis in sizes if axis != "S"]
    return axes[:-2], axes[-2:]


def describe(path: Path) -> list[LifImageFacts]:
    """The images of a file, in its order.

    Raises:
        InputError: liffile is not installed, or cannot read the file.
    """
    liffile = require("liffile", path)
    try:
        with liffile.LifFile(str(path)) as document:
            return [
                LifImageFacts(str(getattr(image, "path", image.name)), dict(image.sizes)) for image in document.images
            ]
    except Exception as error:
        raise unreadable(path, "liffile", error) from error


def read(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of one file.

    Raises:
        InputError: liffile is not installed, or cannot read the file.
    """
    liffile = require("liffile", path)
    try:
        with liffile.LifFile(str(path)) as document:
            planes = []
            for image, *rest in places:
                sizes = dict(document.images[int(image)].sizes)
                height, width = (sizes[axis] for axis in _plane_axes(sizes)[1])
                check_pixels(path, width, height, max_pixels=max_pixels)
                indices = {str(axis): int(index) for axis, index in zip(rest[::2], rest[1::2], strict=True)}
                planes.append(np.array(document.images[int(image)].frame(**indices)))
            return planes
    except InputError:
        raise
    except Exception as error:
        raise unreadable(path, "liffile", error) from error
