"""Single cells of public repositories: a picture each, in class folders, with the group in the file name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cytoimagenet_hf.benchmarks.base import Benchmark, labelled
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image

from .folder import FOLDER, rows, score

Grouping = Callable[[Sequence[tuple[str, re.Match[str]]]], list[str]]
"""(class, match of the file name) of every cell → its group."""


def _named_in_file(cells: Sequence[tuple[str, re.Match[str]]]) -> list[str]:
    return [parts["group"] for _, parts in cells]


@dataclass(frozen=True)
class NamedCells:
    """Facts of a benchmark of single cells, which is scored as the task `folder` is, whole groups left out.

    Attributes:
        name: of the task.
        title: for tables.
        stain: the one channel.
        where: what to get, for messages.
        folders: globs of the class folders below the task's folder; the first that finds any is taken.
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
    grouping: Grouping = _named_in_file
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
            score=partial(score, name=self.name),
            rows=partial(rows, name=self.name),
        )

    def load(self, root: Path, recipe: object, *, images: bool = True) -> list[Image]:
        """Every cell with its class and group, in the order of classes and names.

        Raises:
            InputError: no class folder, or no cell in them.
        """
        found = ([path for path in root.glob(place) if path.is_dir()] for place in self.folders)
        classes = next((paths for paths in found if paths), None)
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
                facts={"group": own, "group_name": self.group},
            )
            for (label, file, path, _), own in zip(cells, groups, strict=True)
        ]
