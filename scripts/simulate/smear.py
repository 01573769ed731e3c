"""Stained blood cells as brightfield colour images, cut out on black (the look of the leukaemia set)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .phenotypes import Phenotype
from .scene import lay_out
from .strokes import blur, texture

_CYTOPLASM = np.array([178.0, 150.0, 196.0])
_CHROMATIN = np.array([92.0, 48.0, 132.0])


def draw_smear(rng: np.random.Generator, phenotype: Phenotype, size: int) -> NDArray[Any]:
    """One stained cell in the middle of a black square: (size, size, 3) uint8, of which it covers about a sixth.

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
