"""The table of a split: labels, ids and categories in memory, images as encoded bytes on disk; checked once here."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import datasets as hf
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from cytoimagenet_hf.data import load_cytoimagenet, require_stored
from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.schema import CATEGORIES

from .config import TrainConfig

_READ = ("image", "label", "image_id")


@dataclass(frozen=True)
class Table:
    """One split: columns in memory, images as encoded bytes on disk."""

    images: Any  # datasets.Dataset with the one column `image`, not decoded
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    categories: NDArray[np.int64]
    classes: tuple[str, ...]
    fingerprint: str
    where: str  # dataset and split, for messages

    def __len__(self) -> int:
        return len(self.ids)

    def encoded(self, rows: Sequence[int]) -> list[bytes | None]:
        """The stored bytes of some images."""
        return [value["bytes"] for value in self.images[list(rows)]["image"]]


def load_tables(config: TrainConfig) -> dict[str, Table]:
    """The `train` and `validation` split of a configuration.

    Raises:
        InputError: a missing split or column, or a label outside the class map.
    """
    loaded = load_cytoimagenet(config.dataset, subset=resolve_subset(config), split_scheme=config.split_scheme)
    missing = [name for name in ("train", "validation") if name not in loaded]
    if missing:
        raise InputError(f"{config.dataset} has no split {missing}; it has {sorted(loaded)}")
    require_stored(_READ, config.dataset)
    return {name: make_table(loaded[name], f"{config.dataset}, split {name}") for name in ("train", "validation")}


def make_table(dataset: Any, where: str) -> Table:
    """Check one split and take its columns; `where` names it in errors.

    Raises:
        InputError: a missing column, no row, a row without an id, or a label outside the class map.
    """
    check_columns(dataset.features, where)
    if len(dataset) == 0:
        raise InputError(f"{where} has no rows")
    columns = dataset.select_columns([name for name in dataset.column_names if name != "image"])
    table = columns.with_format("arrow")[:]
    ids = np.asarray(table["image_id"].to_pylist(), dtype=np.str_)
    labels = pc.fill_null(table["label"], -1).to_numpy().astype(np.int64)
    classes = tuple(dataset.features["label"].names)
    if len(bad := np.flatnonzero((labels < 0) | (labels >= len(classes)))):
        raise InputError(outside_map(where, str(ids[bad[0]]), int(labels[bad[0]]), len(classes), others=len(bad) - 1))
    names = table["category"].to_pylist() if "category" in table.column_names else [None] * len(ids)
    images = dataset.select_columns(["image"]).cast_column("image", hf.Image(decode=False))
    digest = hashlib.sha256("\x1f".join(classes).encode())
    for content in (ids.tolist(), labels.tolist(), _pixel_hashes(table, images)):
        digest.update("\x1f".join(map(str, content)).encode())
    return Table(images, ids, labels, category_codes(names), classes, digest.hexdigest(), where)


def check_columns(features: Any, where: str) -> None:
    """Raise InputError unless the columns that training reads are there."""
    if missing := [name for name in _READ if name not in (features or ())]:
        raise InputError(f"{where} has no column {missing}: build it with `python -m builder build`")
    if not isinstance(features["label"], hf.ClassLabel):
        raise InputError(f"{where}: `label` is {features['label']}, not a ClassLabel, so the class names are unknown")


def outside_map(where: str, item: str, label: int, classes: int, *, others: int = 0) -> str:
    """The message about a label that is no class code."""
    more = f" and {others} rows more" if others else ""
    shown = "null" if label == -1 else label
    return (
        f"{where}: image {item!r}{more} has label {shown}, outside the map of {classes} classes (0 to {classes - 1})"
    )


def category_codes(names: Iterable[str | None]) -> NDArray[np.int64]:
    """Positions in `schema.CATEGORIES`; -1 for null and for anything else."""
    code = {name: position for position, name in enumerate(CATEGORIES)}
    return np.asarray([code.get(name or "", -1) for name in names], dtype=np.int64)


def resolve_subset(config: TrainConfig) -> str | list[str]:
    """What `load_cytoimagenet` takes as its subset: a name, or labels, those of a category looked up in the data.

    Raises:
        InputError: an unknown category, or one that no row has.
    """
    if len(config.subset) > 1:
        return list(config.subset)
    only = config.subset[0] if config.subset else "full"
    kind, colon, category = only.partition(":")
    if not colon or kind != "category":
        return only if only == "full" or only.startswith("toy_") else [only]
    if category not in CATEGORIES:
        raise InputError(f"no category {category!r}: choose {', '.join(CATEGORIES)}")
    if config.streaming:
        raise InputError("a subset by category needs the whole table: it cannot be streamed; list the labels instead")
    train = load_cytoimagenet(config.dataset, split="train").select_columns(["label", "category"])
    table = train.with_format("arrow")[:]
    codes = pc.unique(table.filter(pc.equal(table["category"], category))["label"]).to_pylist()
    if not codes:
        raise InputError(f"no row of {config.dataset} has category {category!r}")
    return sorted(train.features["label"].int2str(code) for code in codes)


def _pixel_hashes(table: Any, images: Any) -> Iterable[str]:
    """Per row, the recorded hash of the pixels; of the stored bytes where none is recorded."""
    recorded: list[str | None] = table["sha256"].to_pylist() if "sha256" in table.column_names else [None] * len(table)
    known = [digest for digest in recorded if digest is not None]
    if len(known) == len(recorded):
        return known  # nothing but the small columns was read
    return (
        digest or hashlib.sha256(value["image"]["bytes"] or b"").hexdigest()
        for digest, value in zip(recorded, images, strict=True)
    )
