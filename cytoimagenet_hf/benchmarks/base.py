"""What a benchmark is: facts, a way to its images, and a way to score a feature table.

Adding one is a file like `cyclops.py` (its facts, `load`, `score`) and a line in `BENCHMARKS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image, PlaneRef
from cytoimagenet_hf.imaging.npy import npy_header
from cytoimagenet_hf.tables import FeatureTable

from .recipes import BenchmarkRecipe

Array = npt.NDArray[Any]


def labelled(
    name: str,
    files: Sequence[Path],
    label: str,
    *,
    channels: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
) -> Image:
    """An image of one file per channel whose metadata has the label to be predicted, and further facts.

    Args:
        name: stable, unique within the benchmark; feature tables are joined by it.
        files: one per stain, always in the same order; a saved array (`.npy`) of (H, W, stains) holds several.
        label: what is to be predicted.
        channels: stains; numbers by default.
        facts: plate, well, compound, treatment, batch, split.
    """
    planes = [plane for file in files for plane in _planes(file)]
    stains = tuple(channels) if len(channels) == len(planes) else tuple(map(str, range(len(planes))))
    return Image(name, stains, tuple((plane,) for plane in planes), {"label": label, **(facts or {})})


@dataclass(frozen=True)
class Score:
    """What one model got on one scored set, item by item, in a fixed order of ids.

    Attributes:
        name: the scored set: `bbbc021`, `coos7/test1`, `bbbc021 · replicate mAP`.
        ids: (n,) what was scored: cells, treatments, genes.
        references: (n,) true labels.
        predictions: (n,) predicted labels; None where a measure gives every item a share instead.
        clusters: (n,) group for the cluster bootstrap, or None where the download does not tell.
        cluster_name: what the groups are: `compound`, `plate`.
        details: further numbers of the protocol, ready for JSON.
        shares: (n,) numbers in [0, 1] where there are no predictions: an average precision, a share of draws.
        measure: what the mean of the outcomes is called.
    """

    name: str
    ids: Array
    references: Array
    predictions: Array | None = None
    clusters: Array | None = None
    cluster_name: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    shares: Array | None = None
    measure: str = "accuracy"

    def __post_init__(self) -> None:
        if (self.predictions is None) == (self.shares is None):
            raise InputError(f"{self.name}: a score has either predictions or shares")
        if self.shares is not None and not ((self.shares >= 0) & (self.shares <= 1)).all():
            raise InputError(f"{self.name}: outcomes of {self.measure} must be numbers in [0, 1]")

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each prediction is right."""
        if self.predictions is None:
            raise InputError(f"{self.name} has no predictions: its items have a {self.measure} each")
        return np.asarray(self.references == self.predictions, dtype=bool)

    @property
    def outcomes(self) -> npt.NDArray[np.float64]:
        """(n,) what is averaged: 1 where a prediction is right, or the share of the item."""
        return np.asarray(self.correct if self.shares is None else self.shares, dtype=np.float64)


@dataclass(frozen=True)
class LabelledRows:
    """Features and labels of one scored set, whatever it is measured by.

    Attributes:
        values: (n, d) features.
        ids: (n,).
        labels: (n,) classes.
        groups: (n,) what items share beside their class; None where nobody knows.
        group_name: what the groups are.
        train: (n,) true for rows that are learnt from and not scored; None: every row is scored, from other groups.
        batches: (n,) what ought to be mixed, such as the plate; None where it is not known.
        batch_name: what the batches are.
    """

    values: Array
    ids: Array
    labels: Array
    groups: Array | None = None
    group_name: str | None = None
    train: npt.NDArray[np.bool_] | None = None
    batches: Array | None = None
    batch_name: str | None = None

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """(n,) the rows that are not learnt from."""
        return np.ones(len(self.ids), bool) if self.train is None else ~self.train

    @property
    def divided_by(self) -> Array:
        """(n,) the groups; each row a group of its own where none are known."""
        return self.ids if self.groups is None else self.groups

    def score(self, name: str, predictions: Array | None = None, **options: Any) -> Score:
        """The score of the rows that are not learnt from; options are further fields of `Score`."""
        scored = self.scored
        clusters = None if self.groups is None else self.groups[scored]
        return Score(name, self.ids[scored], self.labels[scored], predictions, clusters, self.group_name, **options)


@dataclass(frozen=True)
class WellRows:
    """Profiles of wells with their controls, for replicate precision.

    Attributes:
        values: (n, d), normalised as the protocol asks.
        treatments: (n,) compound at a concentration, or whatever has replicates.
        compounds: (n,) what treatments share: the group of the paired tests.
        targets: (n,) mechanism of each.
        plates: (n,).
        controls: (n,) true for negative controls.
    """

    values: Array
    treatments: Array
    compounds: Array
    targets: Array
    plates: Array
    controls: npt.NDArray[np.bool_]


RowsBySet = dict[str, LabelledRows]
"""Scored set → its rows."""


@dataclass(frozen=True)
class Benchmark:
    """Facts of a benchmark, and its two functions.

    Attributes:
        name: key in `BENCHMARKS`.
        title: for tables.
        channels: stains in order.
        where: where to get the files: printed when they are missing.
        protocol: one sentence for tables and cards.
        load: (root, recipe, *, images=True, ...) → images with `label` and further facts in their metadata;
            `images=False` when features are at hand already.
        score: (features, images, recipe, seed) → one Score per scored set.
        listed_from_set: the published code listed these images from a set, in arbitrary order (E2, docs/paper.md).
        profile_items: (root, recipe, profiles) → its rows as images without pixels, where
            ready profiles are supported.
        rows: (features, images, recipe) → what probes, few examples and mixing are measured on.
        wells: (features, images, recipe) → what replicate precision is measured on, where there are controls.
        is_control: whether an image is of a negative control, where post-processing can use them.
        unscored: (root, profiles, items) → rows of the profiles on plates of which no item is scored, with `plate`
            and `treatment`, where the download tells.
        ready: (root) → feature tables that come with the download, by name, each read when called. Where there is
            such a function, the download has no images that networks could take.
        needs_root: whether `score` takes the folder (`root=`), for annotations that lie there.
    """

    name: str
    title: str
    channels: tuple[str, ...]
    where: str
    protocol: str
    load: Callable[..., list[Image]]
    score: Callable[..., list[Score]]
    listed_from_set: bool = False
    profile_items: Callable[[Path, BenchmarkRecipe, FeatureTable], list[Image]] | None = None
    rows: Callable[[FeatureTable, Sequence[Image], BenchmarkRecipe], RowsBySet] | None = None
    wells: Callable[[FeatureTable, Sequence[Image], BenchmarkRecipe], WellRows] | None = None
    is_control: Callable[[Image], bool] | None = None
    unscored: Callable[[Path, FeatureTable, Sequence[Image]], list[Image]] | None = None
    ready: Callable[[Path], dict[str, Callable[[], FeatureTable]]] | None = None
    needs_root: bool = False


def column(images: Sequence[Image], fact: str) -> Array:
    """A fact of every image, in order; an image that lacks it is refused."""
    try:
        return np.array([image.metadata[fact] for image in images], dtype=object)
    except KeyError:
        lacking = next(image.id for image in images if fact not in image.metadata)
        raise InputError(
            f"image {lacking!r} has no {fact!r}: the benchmark's tables must give it for every image"
        ) from None


def ids_of(images: Sequence[Image]) -> Array:
    """The ids, in order."""
    return np.array([image.id for image in images], dtype=object)


def labels_of(images: Sequence[Image]) -> Array:
    """The label of every image; fewer than two classes are refused."""
    labels = column(images, "label")
    if len(set(labels)) < 2:
        raise InputError(
            f"only one class ({labels[0]!r}) is there: nothing can be distinguished" if len(labels) else "no images"
        )
    return labels


def class_folders(root: Path, *, where: str) -> list[Path]:
    """Folders with one class each, by name; none at all is refused."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise InputError(f"{root} has no class folders: {where}")
    return folders


def paired_files(folder: Path, suffixes: Sequence[str], *, extension: str = ".tif") -> dict[str, tuple[Path, ...]]:
    """Channel files of each cell of a folder: stem → one file per suffix, in the order of the suffixes."""
    first, *others = suffixes
    cells = {}
    for path in sorted(folder.glob(f"*_{first}{extension}")):
        stem = path.name.removesuffix(f"_{first}{extension}")
        files = (path, *(folder / f"{stem}_{suffix}{extension}" for suffix in others))
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(
                f"{folder / stem} lacks {missing}: every cell needs {list(suffixes)}; unpack the archive again"
            )
        cells[stem] = files
    if not cells:
        raise InputError(
            f"class folder {folder} has no *_{first}{extension}: unpack the archive again, or remove the folder"
        )
    return cells


def _planes(file: Path) -> list[PlaneRef]:
    """The last axis of a saved array holds stains; that of a picture holds the colours of one stain."""
    if file.suffix != ".npy":
        return [PlaneRef(file)]
    try:
        shape = npy_header(file).shape
    except (OSError, ValueError):
        return [PlaneRef(file)]  # reading it says what is wrong
    if len(shape) != 3:
        return [PlaneRef(file)]
    return [PlaneRef(file, kind="npy", place=("", "", stain)) for stain in range(shape[2])]
