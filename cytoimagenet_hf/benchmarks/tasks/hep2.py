"""HEp-2 cells of the ICPR 2014 contest: six patterns of antibodies against nuclei (Hobson et al. 2014).

13,596 crops of some 80 pixels of 83 specimens. The download does not name the specimens, but numbers the cells of
each in a row; so a sixth of the numbers of each class is left out together. A specimen that lies across a border is
still on both sides: scores are somewhat high for all features alike. Tells whether patterns hold beyond a patient;
never leave out single cells here, that would measure the specimen.
"""

import re
from collections.abc import Sequence

import numpy as np

from .named_cells import NamedCells

BLOCKS = 6


def _blocks(cells: Sequence[tuple[str, re.Match[str]]]) -> list[str]:
    labels = np.array([label for label, _ in cells])
    numbers = np.array([int(match["number"]) for _, match in cells])
    blocks = np.zeros(len(cells), dtype=int)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        blocks[own[np.argsort(numbers[own])]] = np.arange(len(own)) * BLOCKS // len(own)
    return [f"block {block}" for block in blocks]


HEP2 = NamedCells(
    "hep2",
    "HEp-2 cells (6 antibody patterns, across blocks of specimens)",
    stain="antibody",
    where=(
        "clone https://github.com/george-chou/HEp-2_cell_classification (MIT; images of the ICPR 2014 contest) and "
        "point to it"
    ),
    folders=("dataset/*/*",),
    pattern=r"(?P<number>\d+)\.png",
    group="block of specimens",
    grouping=_blocks,
).benchmark()
