"""Single cells of public repositories: a picture each, in class folders, with the group in the file name.

Each is scored as the task `folder` is, whole groups left out.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from cytoimagenet_hf.benchmarks.base import Benchmark, labelled
from cytoimagenet_hf.benchmarks.groups import held_out_rows, score_held_out
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image

from .folder import FOLDER

Cells = Sequence[tuple[str, re.Match[str]]]
"""Class of every cell, and the match of its file name."""


def _named_in_file(cells: Cells) -> list[str]:
    return [parts["group"] for _, parts in cells]


@dataclass(frozen=True)
class NamedCells:
    """Facts of such a set.

    Attributes:
        name: of the task.
        title: for tables.
        stain: the one channel.
        where: what to get, for messages.
        folders: globs of the class folders below the task's folder; the first that matches any is taken.
        pattern: of whole file names; files of other names are not cells. Its part `group` names the group, unless
            `grouping` does.
        group: what the groups are: `plate`.
        grouping: of all cells together.
        left_out: classes that no group has beside others, or that name no phenotype.
    """

    name: str
    title: str
    stain: str
    where: str
    folders: Sequence[str]
    pattern: str
    group: str
    grouping: Callable[[Cells], list[str]] = _named_in_file
    left_out: Sequence[str] = ()

    def benchmark(self) -> Benchmark:
        """The task."""
        return replace(
            FOLDER,
            name=self.name,
            title=self.title,
            channels=(self.stain,),
            where=self.where,
            protocol=f"11-NN, Euclidean, each {self.group} left out whole",
            load=self.load,
            score=partial(score_held_out, name=self.name),
            rows=partial(held_out_rows, name=self.name),
        )

    def load(self, root: Path, recipe: object, *, images: bool = True) -> list[Image]:
        """Every cell with its class and group, in the order of classes and names."""
        places = ([path for path in root.glob(place) if path.is_dir()] for place in self.folders)
        classes = next((paths for paths in places if paths), None)
        if classes is None:
            raise InputError(f"{root} has no class folders ({' or '.join(self.folders)}): {self.where}")
        pattern = re.compile(self.pattern)
        cells = sorted(
            (folder.name, match[0], folder / match[0], match)
            for folder in classes
            if folder.name not in self.left_out
            for match in (pattern.fullmatch(path.name) for path in folder.iterdir())
            if match
        )
        if not cells:
            raise InputError(f"the class folders of {root} have no file of the form {self.pattern}: {self.where}")
        groups = self.grouping([(label, match) for label, _, _, match in cells])
        return [
            labelled(
                f"{label}/{file}",
                (path,),
                label,
                channels=(self.stain,),
                facts={"group": group, "group_name": self.group},
            )
            for (label, file, path, _), group in zip(cells, groups, strict=True)
        ]


# H2B-GFP nuclei in HeLa cells, 16 phenotypes after RNA interference, labelled by hand (Neumann et al. 2010): 3,277
# crops of 64 pixels from 67 plates. Tells whether nuclear shapes are named across plates. Classes are uneven (58 to
# 473 cells), some have seven plates, and one is out of focus.
MITOCHECK = NamedCells(
    "mitocheck",
    "MitoCheck nuclei (16 phenotypes, across plates)",
    stain="h2b",
    where=(
        "clone https://github.com/WayScience/phenotypic_profiling (CC BY 4.0) and point to it, or to its folder "
        "6.single_cell_images"
    ),
    folders=(
        "6.single_cell_images/mitocheck_single_cell_sample_images/*",
        "mitocheck_single_cell_sample_images/*",
    ),
    pattern=r"PL(?P<group>LT\d+_\d+)--.+_img\.png",
    group="plate",
).benchmark()

BLOCKS = 6


def _blocks(cells: Cells) -> list[str]:
    """A sixth of the numbers of each class."""
    labels = np.array([label for label, _ in cells])
    numbers = np.array([int(match["number"]) for _, match in cells])
    blocks = np.zeros(len(cells), dtype=int)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        blocks[members[np.argsort(numbers[members])]] = np.arange(len(members)) * BLOCKS // len(members)
    return [f"block {block}" for block in blocks]


# Six patterns of antibodies against nuclei, of the ICPR 2014 contest (Hobson et al. 2014): 13,596 crops of some 80
# pixels of 83 specimens. The download does not name the specimens, but numbers the cells of each in a row; so a sixth
# of the numbers of each class is left out together. A specimen that lies across a border is still on both sides:
# scores are somewhat high for all features alike. Tells whether patterns hold beyond a patient; never leave out single
# cells here, that would measure the specimen.
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

FRAMES = 21  # of a tenth of the movie, which has 206


def _tenths(cells: Cells) -> list[str]:
    return [f"frames from {int(match['frame']) // FRAMES * FRAMES}" for _, match in cells]


# Seven stages of the cell cycle in one movie of HeLa cells (Held et al. 2010): 776 crops of 64 pixels after a local
# contrast stretch. Mirrored copies beside them are not cells of their own and are left out, as is apoptosis, which
# comes from other positions alone. Frames of one movie are neighbours of each other, so a tenth of its time is left
# out whole. Tells whether close stages are told apart; one movie says nothing about plates or laboratories.
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
