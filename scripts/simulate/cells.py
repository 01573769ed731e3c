"""Fields of fluorescent cells and stained blood cells: the generative model put together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .camera import Optics
from .phenotypes import Phenotype
from .scene import Map, lay_out
from .strokes import blur, texture
from .structures import STRUCTURES, draw_structure

_CYTOPLASM = np.array([178.0, 150.0, 196.0])
_CHROMATIN = np.array([92.0, 48.0, 132.0])  # of blood cells, RGB


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


def draw_smear(rng: np.random.Generator, phenotype: Phenotype, size: int) -> NDArray[Any]:
    """One stained blood cell, cut out on black as in the leukaemia set: (size, size, 3) uint8, a sixth of it covered.

    `nucleus` and the style of the chromatin tell a blast from a normal lymphocyte.
    """
    # One cell: a scene so sparse that no neighbour is placed.
    scene = lay_out(rng, phenotype.variant(confluence=0.0), (size, size), single=True)
    style = phenotype.style("nucleus")
    clumps = texture(rng, scene, 1.6 * style.grain)
    chromatin = scene.nucleus[..., None]
    colour = _CYTOPLASM + 6 * texture(rng, scene, 1.0)[..., None]
    colour = colour * (1 - chromatin) + (_CHROMATIN + 11 * style.contrast * clumps[..., None]) * chromatin
    colour = colour * rng.normal(1, 0.06) + rng.normal(0, 5, 3)  # stain and lamp differ between slides
    blurred = blur(colour.astype(np.float32), 0.7) + rng.normal(0, 2, colour.shape)
    return np.where(scene.body[..., None] > 0.5, np.clip(blurred, 1, 255), 0).astype(np.uint8)
