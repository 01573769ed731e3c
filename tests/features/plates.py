"""A tiny plate in two files per site, and what a folder of features holds."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from cytoimagenet_hf.images import Image, find_images

PATTERN = "{plate}_{well}_s{site}_{c}.tif"


def write_plate(
    folder: Path, *, plate: str = "p1", wells: int = 4, sites: int = 2, gain: float = 1.0, side: int = 20
) -> Path:
    """Sites of two channels, `dna` and `er`, of two sizes, each with pixels of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for well in range(wells):
        for site in range(1, sites + 1):
            rng = np.random.default_rng([well, site])
            size = (side, side + 4 * (well % 2))
            for stain in ("dna", "er"):
                pixels = rng.integers(100, 1000 + 500 * well, size) * gain
                tifffile.imwrite(folder / f"{plate}_B{well + 1:02d}_s{site}_{stain}.tif", pixels.astype(np.uint16))
    return folder


def plate_images(folder: Path) -> list[Image]:
    """Its images by the pattern of its names."""
    return find_images(folder, pattern=PATTERN)


@dataclass(frozen=True)
class _Interrupted(Image):
    def read(self) -> Any:
        raise KeyboardInterrupt


def interrupted(images: Sequence[Image], *, at: int, every: int = 10**9) -> list[Image]:
    """The images, at one of which, and `every` so many after it, the command dies while it is read."""
    names = [field.name for field in fields(Image)]
    return [
        _Interrupted(**{name: getattr(image, name) for name in names})
        if place >= at and (place - at) % every == 0
        else image
        for place, image in enumerate(images)
    ]


def all_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
