"""Planes of Leica `.lif` files, through liffile. A place is `(image, axis, index, axis, index, …)`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.imaging.limits import check_pixels

from .file import stamp as stamp
from .optional import require, unreadable


@dataclass(frozen=True)
class LifImageFacts:
    """One image of a file: its name and the sizes of its axes."""

    name: str
    sizes: dict[str, int]


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
                check_pixels(path, sizes.get("X", 1), sizes.get("Y", 1), max_pixels=max_pixels)
                indices = {str(axis): int(index) for axis, index in zip(rest[::2], rest[1::2], strict=True)}
                planes.append(np.array(document.images[int(image)].frame(**indices)))
            return planes
    except InputError:
        raise
    except Exception as error:
        raise unreadable(path, "liffile", error) from error
