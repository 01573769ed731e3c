"""What a benchmark is: facts, a way to its items, and a way to score a feature table.

Adding one is a file like `cyclops.py` (its facts, `load`, `score`) and a line in `BENCHMARKS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.imaging import read_image, to_gray

from .inputs import FeatureTable
from .recipes import BenchmarkRecipe

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Plane:
    """One channel image inside an array of an HDF5 file."""

    path: Path
    key: str
    index: tuple[int, ...]

    def read(self) -> Array:
        """The plane, native dtype, (H, W)."""
        import h5py

        with h5py.File(self.path, "r") as file:
            return np.asarray(file[self.key][self.index])


@dataclass(frozen=True)
class Item:
    """One image of a benchmark.

    Attributes:
        id: stable, unique within the benchmark; feature tables are joined by it.
        channels: one file or plane per stain, always in the same order.
        label: what is to be predicted.
        groups: further facts by name: plate, well, compound, treatment, batch, split; `control` for controls.
    """

    id: str
    channels: tuple[Path | Plane, ...]
    label: str
    groups: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> list[Array]:
        """The channel images, native dtype, each (H, W)."""
        return [plane for channel in self.channels for plane in _planes(channel)]


@dataclass(frozen=True)
class Score:
    """Predictions of one model on one scored set, in a fixed order of ids.

    Attributes:
        name: the scored set: `bbbc021`, `coos7/test1`.
        ids: (n,) what was predicted: cells, or treatments.
        references: (n,) true labels.
        predictions: (n,) predicted labels.
        clusters: (n,) group for the cluster bootstrap, or None where the download does not tell.
        cluster_name: what the groups are: `compound`, `plate`.
        details: further numbers of the protocol, ready for JSON.
    """

    name: str
    ids: Array
    references: Array
    predictions: Array
    clusters: Array | None = None
    cluster_name: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each prediction is right."""
        return np.asarray(self.references == self.predictions, dtype=bool)


Loader = Callable[..., list[Item]]
Scorer = Callable[[FeatureTable, Sequence[Item], BenchmarkRecipe, int], list[Score]]


@dataclass(frozen=True)
class Benchmark:
    """Facts of a benchmark, and its two functions.

    Attributes:
        name: key in `BENCHMARKS`.
        title: for tables.
        channels: stains in order.
        where: where to get the files: told when they are missing.
        protocol: one sentence for tables and cards.
        load: (root, recipe, *, images=True, ...) → items; `images=False` when features are at hand already.
        score: (features, items, recipe, seed) → one Score per scored set.
        listed_from_set: the published code listed these items from a set, in arbitrary order (FACTS E2).
        profile_items: (root, recipe, metadata of a profile table) → items, where ready profiles are supported.
    """

    name: str
    title: str
    channels: tuple[str, ...]
    where: str
    protocol: str
    load: Loader
    score: Scorer
    listed_from_set: bool = False
    profile_items: Callable[[Path, BenchmarkRecipe, pd.DataFrame], list[Item]] | None = None


def column(items: Sequence[Item], group: str) -> Array:
    """A group of every item as an array.

    Raises:
        InputError: an item lacks it.
    """
    try:
        return np.array([item.groups[group] for item in items], dtype=object)
    except KeyError:
        lacking = next(item.id for item in items if group not in item.groups)
        raise InputError(
            f"item {lacking!r} has no {group!r}: the benchmark's tables must give it for every item"
        ) from None


def labels_of(items: Sequence[Item]) -> Array:
    """The label of every item.

    Raises:
        InputError: fewer than two classes.
    """
    labels = np.array([item.label for item in items], dtype=object)
    if len(set(labels)) < 2:
        raise InputError(
            f"only one class ({labels[0]!r}) is there: nothing can be told apart" if len(labels) else "no items"
        )
    return labels


def class_folders(root: Path, *, where: str) -> list[Path]:
    """Folders with one class each, by name.

    Raises:
        InputError: there are none.
    """
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise InputError(f"{root} has no class folders: {where}")
    return folders


def paired_files(folder: Path, suffixes: Sequence[str], *, extension: str = ".tif") -> dict[str, tuple[Path, ...]]:
    """Channel files of each cell of a folder: stem → one file per suffix, in the order of the suffixes.

    Raises:
        InputError: no cell at all, or a cell lacks a channel.
    """
    first, *others = suffixes
    found = {}
    for path in sorted(folder.glob(f"*_{first}{extension}")):
        stem = path.name.removesuffix(f"_{first}{extension}")
        files = (path, *(folder / f"{stem}_{suffix}{extension}" for suffix in others))
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(
                f"{folder / stem} lacks {missing}: every cell needs {list(suffixes)}; unpack the archive again"
            )
        found[stem] = files
    if not found:
        raise InputError(
            f"class folder {folder} has no *_{first}{extension}: unpack the archive again, or remove the folder"
        )
    return found


def _planes(channel: Path | Plane) -> list[Array]:
    if isinstance(channel, Plane):
        return [channel.read()]
    image = read_image(channel)
    if image.ndim == 2:
        return [image]
    # The last axis of a saved array holds stains; that of a picture holds the colours of one stain.
    return list(np.moveaxis(image, -1, 0)) if channel.suffix == ".npy" else [to_gray(image)]
