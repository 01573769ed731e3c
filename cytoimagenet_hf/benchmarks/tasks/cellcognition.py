"""CellCognition's H2B nuclei: seven stages of the cell cycle in one movie of HeLa cells (Held et al. 2010).

776 crops of 64 pixels after a local contrast stretch; mirrored copies beside them are not cells of their own and are
left out, as is apoptosis, which comes from other positions alone. Frames of one movie are neighbours of each other, so
a tenth of its time is left out whole. Tells whether close stages are told apart; it has one movie, so nothing about
plates or laboratories. The repository states no licence.
"""

import re
from collections.abc import Sequence

from .named_cells import NamedCells

FRAMES = 21
"""Of a tenth of the movie, which has 206."""


def _tenths(cells: Sequence[tuple[str, re.Match[str]]]) -> list[str]:
    return [f"frames from {int(match['frame']) // FRAMES * FRAMES}" for _, match in cells]


CELLCOGNITION = NamedCells(
    "cellcognition",
    "CellCognition nuclei (7 stages of mitosis, across a movie)",
    stain="h2b",
    where="clone https://github.com/Eikor/cellPhenotype (no licence stated) and point to it",
    folders=("H2b_aTub_MD20x_exp911/classifier/mc64/*",),
    pattern=r"P\d+_T(?P<frame>\d+)_X\d+_Y\d+__img\.png",
    group="tenth of the movie",
    grouping=_tenths,
    left_out=("apo",),
).benchmark()
