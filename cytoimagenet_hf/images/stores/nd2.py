"""Planes of Nikon `.nd2` files, through nd2. A place is `(frame, channel)`."""

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
class Nd2Layout:
    """What a file holds.

    Attributes:
        frames: per frame, its indices from 0 along `P` (position), `Z`, `T`.
        positions: names of the positions; empty where the file gives none.
        channels: names of the channels.
    """

    frames: tuple[dict[str, int], ...]
    positions: tuple[str, ...]
    channels: tuple[str, ...]


def describe(path: Path) -> Nd2Layout:
    """Frames, positions and channels.

    Raises:
        InputError: nd2 is not installed, or cannot read the file.
    """
    nd2 = require("nd2", path)
    try:
        with nd2.ND2File(str(path)) as document:
            sizes = dict(document.sizes)
            frames = tuple(dict(indices) for indices in document.loop_indices) or ({},)
            channels = [str(channel.channel.name) for channel in (document.metadata.channels or [])]
            points = [
                str(point.name or "")
                for loop in document.experiment
                if loop.type == "XYPosLoop"
                for point in loop.parameters.points
            ]
    except Exception as error:
        raise unreadable(path, "nd2", error) from error
    count = sizes.get("C", 1)
    names = tuple(channels) if len(channels) == count and all(channels) else tuple(str(c + 1) for c in range(count))
    return Nd2Layout(frames, tuple(points), names)


def read(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of one file.

    Raises:
        InputError: nd2 is not installed, or cannot read the file.
    """
    nd2 = require("nd2", path)
    try:
        with nd2.ND2File(str(path)) as document:
            sizes = dict(document.sizes)
            check_pixels(path, sizes.get("X", 1), sizes.get("Y", 1), max_pixels=max_pixels)
            several = sizes.get("C", 1) > 1
            frames: dict[int, Any] = {}
            planes = []
            for frame, channel in places:
                number = int(frame)
                if number not in frames:
                    frames = {number: np.asarray(document.read_frame(number))}
                planes.append(np.array(frames[number][int(channel)] if several else frames[number]))
            return planes
    except InputError:
        raise
    except Exception as error:
        raise unreadable(path, "nd2", error) from error
