"""Planes of files of a whole acquisition: Zeiss `.czi` by pylibCZIrw, Nikon `.nd2` by nd2, Leica `.lif` by liffile."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.images.optional import opened
from cytoimagenet_hf.imaging.errors import check_pixels

Places = Sequence[tuple[int | str, ...]]

open_czi = partial(opened, module="pylibCZIrw.czi", opener="open_czi")
open_nd2 = partial(opened, module="nd2", opener="ND2File")
open_lif = partial(opened, module="liffile", opener="LifFile")


def read_czi(path: Path, places: Places, max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes at `(scene, c, z, t)`, scene -1 where there are none."""
    with open_czi(path) as document:
        for scene in {int(place[0]) for place in places}:
            box = document.scenes_bounding_rectangle[scene] if scene >= 0 else document.total_bounding_rectangle
            check_pixels(path, box.w, box.h, max_pixels=max_pixels)
        return [_czi_plane(document, *map(int, place)) for place in places]


def _czi_plane(document: Any, scene: int, c: int, z: int, t: int) -> npt.NDArray[Any]:
    pixels = np.asarray(document.read(plane={"C": c, "Z": z, "T": t}, scene=None if scene < 0 else scene))
    # Colour is stored blue first.
    return pixels[..., 0] if pixels.shape[-1] == 1 else np.ascontiguousarray(pixels[..., 2::-1])


def read_nd2(path: Path, places: Places, max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes at `(frame, channel)`."""
    with open_nd2(path) as document:
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


def read_lif(path: Path, places: Places, max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes at `(image, axis, index, axis, index, …)`."""
    with open_lif(path) as document:
        planes = []
        for image, *rest in places:
            sizes = dict(document.images[int(image)].sizes)
            height, width = (sizes[axis] for axis in lif_axes(sizes)[1])
            check_pixels(path, width, height, max_pixels=max_pixels)
            indices = {str(axis): int(index) for axis, index in zip(rest[::2], rest[1::2], strict=True)}
            planes.append(np.array(document.images[int(image)].frame(**indices)))
        return planes


def lif_axes(sizes: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """The axes that count frames, and the two of a frame; those of optical sections are Z and X."""
    axes = [axis for axis in sizes if axis != "S"]
    return axes[:-2], axes[-2:]
