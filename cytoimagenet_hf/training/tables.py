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
_RANGES = ("plane_low", "plane_high", "plane_scale", "plane_offset")  # in the order of `StoredPlane`


@dataclass(frozen=True)
class StoredPlane:
    """One plane of a row of the configuration `channels`: encoded, and what `planes.stretch_plane` takes."""

    content: bytes
    low: float
    high: float
    scale: float
    offset: float


@dataclass(frozen=True)
class RowTable:
    """One split: columns in memory, images as encoded bytes on disk.

    Of the configuration `channels` each plane is an image of its own, with the label of its row.
    """

    images: Any  # datasets.Dataset with the column `image`, or `planes` and their ranges; not decoded
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    categories: NDArray[np.int64]
    classes: tuple[str, ...]
    fingerprint: str
    where: str  # dataset and split, for messages
    places: NDArray[np.int64] | None = None  # (images, 2): row and plane of each image; None: a row is an image

    def __len__(self) -> int:
        return len(self.ids)

    def encoded(self, rows: Sequence[int]) -> list[bytes | StoredPlane | None]:
        """Some images as they are stored."""
        if self.places is None:
            return [value["bytes"] for value in self.images[list(rows)]["image"]]
        places = self.places[list(rows)]
        read = self.images[places[:, 0].tolist()]
        ranges = zip(*(read[name] for name in _RANGES), strict=True)
        return [
            StoredPlane(planes[plane]["bytes"], *(values[plane] for values in of_row))
            for planes, of_row, plane in zip(read["planes"], ranges, places[:, 1].tolist(), strict=True)
        ]


def load_tables(config: TrainConfig) -> dict[str, RowTable]:
    """The `train` and `validation` split of a configuration.

    Raises:
        InputError: a missing split or column, or a label outside the class map.
    """
    loaded = load_cytoimagenet(
        config.dataset,
        subset=resolve_subset(config),
        split_scheme=config.split_scheme,
        configuration=config.configuration,
    )
    missing = [name for name in ("train", "validation") if name not in loaded]
    if missing:
        raise InputError(f"{config.dataset} has no split {missing}; it has {sorted(loaded)}")
    require_stored(_READ, config.dataset)
    return {name: make_row_table(loaded[name], f"{config.dataset}, split {name}") for name in ("train", "validation")}


def make_row_table(dataset: Any, where: str) -> RowTable:
    """Check one split and take its columns; `where` names it in errors.

    Raises:
        InputError: a missing column, no row, a row without an id, or a label outside the class map.
    """
    check_columns(dataset.features, where)
    if len(dataset) == 0:
        raise InputError(f"{where} has no rows")
    stored = [name for name in ("image", "planes") if name in dataset.column_names]
    columns = [name for name in (*_READ[1:], "category", "sha256", "stains") if name in dataset.column_names]
    table = dataset.select_columns(columns).with_format("arrow")[:]
    ids = np.asarray(table["image_id"].to_pylist(), dtype=np.str_)
    labels = pc.fill_null(table["label"], -1).to_numpy().astype(np.int64)
    classes = tuple(dataset.features["label"].names)
    if len(bad := np.flatnonzero((labels < 0) | (labels >= len(classes)))):
        raise InputError(outside_map(where, str(ids[bad[0]]), int(labels[bad[0]]), len(classes), others=len(bad) - 1))
    names = table["category"].to_pylist() if "category" in table.column_names else [None] * len(ids)
    categories = category_codes(names)
    if "planes" in stored:
        images = dataset.select_columns(["planes", *_RANGES]).cast_column("planes", hf.List(hf.Image(decode=False)))
    else:
        images = dataset.select_columns(["image"]).cast_column("image", hf.Image(decode=False))
    digest = hashlib.sha256("\x1f".join(classes).encode())
    for content in (ids.tolist(), labels.tolist(), _pixel_hashes(table, images)):
        digest.update("\x1f".join(map(str, content)).encode())
    places = None
    if "planes" in stored:
        digest.update(b"planes")
        places = _places(pc.list_value_length(table["stains"]).to_numpy())
        ids = np.asarray([f"{ids[row]}/{plane}" for row, plane in places.tolist()], dtype=np.str_)
        labels, categories = labels[places[:, 0]], categories[places[:, 0]]
    return RowTable(images, ids, labels, categories, classes, digest.hexdigest(), where, places)


def _places(counts: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Row and plane of every plane: int64 (planes, 2).

    Example:
        >>> _places(np.array([2, 1])).tolist()
        [[0, 0], [0, 1], [1, 0]]
    """
    rows = np.repeat(np.arange(len(counts)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([rows, np.arange(len(rows)) - starts], axis=1).astype(np.int64)


def check_columns(features: Any, where: str) -> None:
    """Raise InputError unless the columns that training reads are there."""
    present = set(features or ())
    needed = ("planes", *_RANGES, "stains", *_READ[1:]) if "planes" in present else _READ
    if missing := [name for name in needed if name not in present]:
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
        digest or hashlib.sha256(_content(value)).hexdigest() for digest, value in zip(recorded, images, strict=True)
    )


def _content(row: dict[str, Any]) -> bytes:
    stored = row["planes"] if "planes" in row else [row["image"]]
    return b"".join(picture["bytes"] or b"" for picture in stored)
