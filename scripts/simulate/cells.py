"""Fields of cells: the generative model put together."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .camera import Optics
from .phenotypes import Phenotype
from .scene import Map, lay_out
from .structures import STRUCTURES, draw_structure


def draw_field(
    rng: np.random.Generator,
    phenotype: Phenotype,
    size: int | tuple[int, int],
    channels: Sequence[str],
    *,
    single: bool = False,
    optics: Optics | None = None,
) -> dict[str, Map]:
    """Draw the fluorescence of one field of view, before any camera.

    Args:
        rng: the field's generator; equal generators give equal fields.
        phenotype: how the cells look.
        size: side, or height and width, in pixels.
        channels: stains; each a structure of `STRUCTURES`, or several joined by `+`, or "mask": 255 in nuclei.
        single: one cell in the middle, as in sets of single-cell crops.
        optics: its magnification and seeding density apply; None = as the phenotype says.

    Returns:
        One float32 (H, W) array per channel, 0 = dark, about 1 = stained; "mask" is uint8.

    Raises:
        ValueError: a channel names an unknown structure.

    Example:
        >>> field = draw_field(np.random.default_rng(0), Phenotype(), 64, ["nucleus", "actin+golgi"])
        >>> {name: image.shape for name, image in field.items()}
        {'nucleus': (64, 64), 'actin+golgi': (64, 64)}
    """
    for name in {name for channel in channels for name in channel.split("+")} - {*STRUCTURES, "mask"}:
        raise ValueError(f"unknown structure {name!r}; known: {', '.join(sorted(STRUCTURES))}")
    shape = (size, size) if isinstance(size, int) else size
    optics = optics or Optics()
    seeded = replace(phenotype, confluence=phenotype.confluence * optics.density)
    scene = lay_out(rng, seeded, shape, single=single, scale=optics.scale)
    images: dict[str, Map] = {}
    for channel in channels:
        if channel == "mask":
            images[channel] = np.where(scene.to_nucleus < 0, np.uint8(255), np.uint8(0))
            continue
        images[channel] = np.zeros(shape, np.float32)
        for name in channel.split("+"):
            images[channel] += draw_structure(rng, scene, phenotype.moved.get(name, name), phenotype.style(name))
    return images
