"""Planes of Zeiss `.czi` files, through pylibCZIrw. A place is `(scene, c, z, t)`, scene -1 where there are none."""

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

_MODULE = "pylibCZIrw.czi"


@dataclass(frozen=True)
class CziLayout:
    """What a file holds.

    Attributes:
        scenes: their numbers; -1 alone where there are none.
        wells: number of a scene → well that the file gives it.
        sizes: number of channels, z planes and time points, by `C`, `Z`, `T`.
        channels: names; empty where the file gives none.
    """

    scenes: tuple[int, ...]
    wells: dict[int, str]
    sizes: dict[str, int]
    channels: tuple[str, ...]


def describe(path: Path) -> CziLayout:
    """Scenes, sizes and names.

    Raises:
        InputError: pylibCZIrw is not installed, or cannot read the file.
    """
    czi = require(_MODULE, path)
    try:
        with czi.open_czi(str(path)) as document:
            box = document.total_bounding_box
            scenes = tuple(sorted(document.scenes_bounding_rectangle)) or (-1,)
            information = document.metadata["ImageDocument"]["Metadata"]["Information"]
    except Exception as error:  # whatever the library's C++ raises
        raise unreadable(path, _MODULE, error) from error
    sizes = {axis: box[axis][1] - box[axis][0] if axis in box else 1 for axis in "CZT"}
    dimensions = (information.get("Image") or {}).get("Dimensions") or {}
    channels = _entries(dimensions, "Channels", "Channel")
    wells = {
        int(scene.get("@Index", place)): well
        for place, scene in enumerate(_entries((dimensions.get("S") or {}), "Scenes", "Scene"))
        if (well := _well(scene))
    }
    names = tuple(str(channel.get("@Name") or "") for channel in channels)
    return CziLayout(scenes, wells, sizes, names if all(names) and len(names) == sizes["C"] else ())


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
