"""Planes of Zeiss `.czi` files, through pylibCZIrw. A place is `(scene, c, z, t)`, scene -1 where there are none."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import whole_or_none
from cytoimagenet_hf.images.optional import require, unreadable
from cytoimagenet_hf.imaging.limits import check_pixels

from .file import stamp as stamp

_MODULE = "pylibCZIrw.czi"


@dataclass(frozen=True)
class CziLayout:
    """What a file holds.

    Attributes:
        scenes: their numbers; -1 alone where there are none.
        wells: number of a scene → well that the file gives it.
        sizes: number of channels, z planes and time points, by `C`, `Z`, `T`.
        channels: names; empty where the file gives none.
        tiles: of which an image is stitched, at most.
    """

    scenes: tuple[int, ...]
    wells: dict[int, str]
    sizes: dict[str, int]
    channels: tuple[str, ...]
    tiles: int


_UNPROCESSED = {
    "H": "phases or detectors, as raw Airyscan and SIM data: process it in ZEN first",
    "R": "rotations: export one of them",
    "I": "illuminations, as raw light-sheet data: fuse them in ZEN first",
    "V": "views, as raw light-sheet data: fuse them in ZEN first",
}
"""Axes of which an image is made only by processing, and what to do."""


def describe(path: Path) -> CziLayout:
    """Scenes, sizes and names.

    Raises:
        InputError: pylibCZIrw is not installed, cannot read the file, or it holds raw data that are not images yet.
    """
    czi = require(_MODULE, path)
    try:
        with czi.open_czi(str(path)) as document:
            box = document.total_bounding_box
            scenes = tuple(sorted(document.scenes_bounding_rectangle)) or (-1,)
            metadata = document.metadata["ImageDocument"]["Metadata"]
    except Exception as error:  # whatever the library's C++ raises
        raise unreadable(path, _MODULE, error) from error
    sizes = {axis: box[axis][1] - box[axis][0] if axis in box else 1 for axis in "CZTHRIV"}
    for axis, what in _UNPROCESSED.items():
        if (count := sizes.pop(axis)) > 1:
            raise InputError(f"{path} holds {count} {what}")
    image = (metadata.get("Information") or {}).get("Image") or {}
    dimensions = image.get("Dimensions") or {}
    wells = {
        place if (index := whole_or_none(str(scene.get("@Index", place)))) is None else index: well
        for place, scene in enumerate(_entries((dimensions.get("S") or {}), "Scenes", "Scene"))
        if (well := _well(scene))
    }
    tiles = whole_or_none(str(image.get("SizeM", ""))) or 1
    return CziLayout(scenes, wells, sizes, _channel_names(metadata, dimensions, sizes["C"]), tiles)


def _channel_names(metadata: dict[str, Any], dimensions: dict[str, Any], count: int) -> tuple[str, ...]:
    """Names of the channels; where the acquisition gives none, those under which ZEN displays them."""
    for parent in (dimensions, metadata.get("DisplaySetting") or {}):
        names = tuple(str(channel.get("@Name") or "") for channel in _entries(parent, "Channels", "Channel"))
        if len(names) == count and all(names):
            return names
    return ()


def read(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of one file.

    Raises:
        InputError: pylibCZIrw is not installed, or cannot read the file.
    """
    czi = require(_MODULE, path)
    try:
        with czi.open_czi(str(path)) as document:
            for scene in {int(place[0]) for place in places}:
                box = document.scenes_bounding_rectangle[scene] if scene >= 0 else document.total_bounding_rectangle
                check_pixels(path, box.w, box.h, max_pixels=max_pixels)
            return [_plane(document, *map(int, place)) for place in places]
    except InputError:
        raise
    except Exception as error:  # whatever the library's C++ raises
        raise unreadable(path, _MODULE, error) from error


def _plane(document: Any, scene: int, c: int, z: int, t: int) -> npt.NDArray[Any]:
    pixels = np.asarray(document.read(plane={"C": c, "Z": z, "T": t}, scene=None if scene < 0 else scene))
    # Colour is stored blue first.
    return pixels[..., 0] if pixels.shape[-1] == 1 else np.ascontiguousarray(pixels[..., 2::-1])


def _entries(parent: dict[str, Any], plural: str, single: str) -> list[dict[str, Any]]:
    found = (parent.get(plural) or {}).get(single) or []
    return [entry for entry in (found if isinstance(found, list) else [found]) if isinstance(entry, dict)]


def _well(scene: dict[str, Any]) -> str:
    shape = scene.get("Shape")
    return str(scene.get("ArrayName") or (shape.get("@Name") if isinstance(shape, dict) else "") or "")
