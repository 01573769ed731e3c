"""The table of a split: labels, ids and categories in memory, images as encoded bytes on disk; checked once here."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import datasets as hf
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.images import (
    SPLITS,
    DatasetName,
    load_splits,
    parse_name,
    usual_splits,
    with_usual_columns,
)
from cytoimagenet_hf.dataset.load import load_cytoimagenet
from cytoimagenet_hf.dataset.schema import CATEGORIES
from cytoimagenet_hf.options.source import ImageColumns

from .config import TrainConfig
from .data import RANGES, RowTable, by_plane, stored_bytes
from .own import draw_sides, is_own, own_tables, remark

_READ = ("image", "label", "image_id")
_UNLABELLED = ("image", "image_id")


def load_tables(config: TrainConfig) -> dict[str, RowTable]:
    """The `train` and `validation` split of a configuration: of a dataset, or of one's own folder or table.

    Where no validation split is stored, a share of the training rows is drawn, and groups of rows stay together. A
    test split is left alone unless `validation_split` names it.
    """
    if is_own(config.dataset):
        return own_tables(config)
    splits = load_training_splits(config)
    labelled = config.objective != "views"
    if "validation" not in splits:
        splits = _with_validation(splits["train"], config)
    return {
        name: make_row_table(splits[name], f"{config.dataset}, split {name}", labelled=labelled)
        for name in ("train", "validation")
    }


def load_training_splits(config: TrainConfig) -> dict[str, hf.Dataset]:
    """`train` and, where one is stored, `validation`, with the columns `image`, `label` and `image_id`."""
    name = dataset_name(config)
    labelled = config.objective != "views"
    subset = resolve_subset(config)
    if subset == "full" and config.split_scheme is None:
        loaded = load_splits(replace(name, split=None))
    else:  # what CytoImageNet alone has
        loaded = dict(
            load_cytoimagenet(
                name.path,
                subset=subset,
                split_scheme=config.split_scheme,
                configuration=name.configuration or "default",
                revision=name.revision,
            )
        )
    chosen = choose_splits(loaded, config, name)
    if name.configuration == "channels" and "planes" in loaded[chosen["train"]].column_names:
        return {side: loaded[split] for side, split in chosen.items()}
    columns = ImageColumns(config.image_column, config.label_column, config.id_column)
    usual = with_usual_columns(
        {split: loaded[split] for split in chosen.values()}, name.path, columns, labelled=labelled
    )
    return {side: usual[split] for side, split in chosen.items()}


def dataset_name(config: TrainConfig) -> DatasetName:
    """The dataset of a run: its name, and what the options say beside it; the two may not contradict each other."""
    name = parse_name(config.dataset)
    for field in ("configuration", "revision"):
        option = getattr(config, field)
        if option not in (None, "default"):
            if getattr(name, field) not in (None, option):
                raise InputError(f"{config.dataset}: --{field} says {option!r}: leave one of them out")
            name = replace(name, **{field: option})
    return name


def choose_splits(splits: Mapping[str, Any], config: TrainConfig, name: DatasetName) -> dict[str, str]:
    """`train` and, where one is stored, `validation` → the split of the dataset; both at once is refused."""
    splits = {str(split): None for split in splits}  # of `datasets` they may be NamedSplits
    usual = usual_splits(splits)

    def split_called(wanted: str, option: str) -> str:
        split = wanted if wanted in splits else usual.get(SPLITS.get(wanted.lower(), wanted))
        if split is None:
            raise InputError(f"{name.path} has no split {wanted!r}: {option} names one of {', '.join(splits)}")
        return split

    train = split_called(name.split or config.split, "--split")
    if config.validation_split is not None:
        validation: str | None = split_called(config.validation_split, "--validation-split")
        if validation == train:
            raise InputError(f"{name.path}: split {train!r} is to be trained on and validated with: name two")
    else:
        validation = usual.get("validation")
    return {"train": train} | ({} if validation in (None, train) else {"validation": str(validation)})


def _with_validation(rows: hf.Dataset, config: TrainConfig) -> dict[str, hf.Dataset]:
    """Rows divided into `train` and `validation`, groups staying together."""
    if config.group_column is not None and config.group_column not in rows.column_names:
        raise InputError(f"{config.dataset} has no column {config.group_column!r} to group by")
    groups = (config.group_column, "plate", "well", "site", "idx", "sha256")
    wanted = [column for column in ("image_id", "label", *groups) if column in rows.column_names]
    table = rows.select_columns(list(dict.fromkeys(wanted))).to_pandas()
    sides = draw_sides(table.assign(label=table.get("label", 0)), config)
    remark(
        f"{config.dataset} has no validation split: {(sides == 'validation').sum():,} of {len(rows):,} rows are drawn "
        "for it (--validation-split names a stored one)"
    )
    return {side: rows.select(np.flatnonzero(sides == side)) for side in ("train", "validation")}


def make_row_table(dataset: Any, where: str, *, labelled: bool = True) -> RowTable:
    """Check one split of a dataset, which messages call `where`, and take its columns.

    Unless it is `labelled`, a missing label is -1, and there may be no classes at all.
    """
    check_columns(dataset.features, where, labelled=labelled)
    if len(dataset) == 0:
        raise InputError(f"{where} has no rows")
    stored = [name for name in ("image", "planes") if name in dataset.column_names]
    wanted = [*_READ[1:], "category", "sha256", "stains"]  # no others: a million rows of text are large
    columns = [name for name in wanted if name in dataset.column_names]
    table = dataset.select_columns(columns).with_format("arrow")[:]
    if without := table["image_id"].null_count:
        row = pc.index(pc.is_null(table["image_id"]), True).as_py()
        raise InputError(f"{where}: {without} rows have no image_id, row {row} first")
    ids = np.asarray(table["image_id"].to_pylist(), dtype=np.str_)
    labels, classes = np.full(len(ids), -1, dtype=np.int64), ()
    if isinstance(dataset.features.get("label"), hf.ClassLabel):
        labels = pc.fill_null(table["label"], -1).to_numpy().astype(np.int64)
        classes = tuple(dataset.features["label"].names)
    if len(bad := np.flatnonzero((labels < (0 if labelled else -1)) | (labels >= len(classes)))):
        raise InputError(outside_map(where, str(ids[bad[0]]), int(labels[bad[0]]), len(classes), others=len(bad) - 1))
    names = table["category"].to_pylist() if "category" in table.column_names else [None] * len(ids)
    categories = category_codes(names)
    if "planes" in stored:
        images = dataset.select_columns(["planes", *RANGES]).cast_column("planes", hf.List(hf.Image(decode=False)))
    else:
        images = undecoded(dataset.select_columns(["image"]))
    digest = hashlib.sha256("\x1f".join(classes).encode())
    for content in (ids.tolist(), labels.tolist(), _pixel_hashes(table, images)):
        digest.update("\x1f".join(map(str, content)).encode())
    if "planes" not in stored:
        return RowTable(images, ids, labels, categories, classes, digest.hexdigest(), where)
    digest.update(b"planes")
    counts = pc.list_value_length(table["stains"]).to_numpy()
    return by_plane(RowTable(images, ids, labels, categories, classes, digest.hexdigest(), where), counts)


def undecoded(images: Any) -> Any:
    """A dataset whose column `image` gives pictures as their bytes; arrays stay arrays."""
    feature = images.features["image"]
    if isinstance(feature, hf.Image):
        return images.cast_column("image", hf.Image(decode=False))
    if isinstance(getattr(feature, "feature", None), hf.Image):
        return images.cast_column("image", type(feature)(hf.Image(decode=False)))
    return images


def check_columns(features: Any, where: str, *, labelled: bool = True) -> None:
    """Raise InputError unless the columns that training reads are there; that of labels, where it needs labels."""
    present = set(features or ())
    needed: tuple[str, ...] = _READ if labelled else _UNLABELLED
    if "planes" in present:
        needed = ("planes", *RANGES, "stains", *needed[1:])
    if missing := [name for name in needed if name not in present]:
        unlabelled = missing == ["label"]
        advice = "train without labels, --objective views" if unlabelled else "build it with `python -m builder build`"
        raise InputError(f"{where} has no column {missing}: {advice}")
    if labelled and not isinstance(features["label"], hf.ClassLabel):
        raise InputError(f"{where}: `label` is {features['label']}, not a ClassLabel, so the class names are unknown")


def outside_map(where: str, item: str, label: int, classes: int, *, others: int = 0) -> str:
    """The message about a label that is not a class code."""
    more = f" and {others} rows more" if others else ""
    code = "null" if label == -1 else label
    return f"{where}: image {item!r}{more} has label {code}, outside the map of {classes} classes (0 to {classes - 1})"


def category_codes(names: Iterable[str | None]) -> NDArray[np.int64]:
    """Positions in `schema.CATEGORIES`; -1 for null and for anything else."""
    code = {name: position for position, name in enumerate(CATEGORIES)}
    return np.asarray([code.get(name or "", -1) for name in names], dtype=np.int64)


def resolve_subset(config: TrainConfig) -> str | list[str]:
    """What `load_cytoimagenet` takes as its subset: a name, or labels, those of a category looked up in the data."""
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
    name = dataset_name(config)
    whole = load_cytoimagenet(name.path, split="train", revision=name.revision)
    if absent := [column for column in ("label", "category") if column not in whole.column_names]:
        raise InputError(f"{config.dataset} has no column {', '.join(absent)}: it has {', '.join(whole.column_names)}")
    train = whole.select_columns(["label", "category"])
    table = train.with_format("arrow")[:]
    codes = pc.unique(table.filter(pc.equal(table["category"], category))["label"]).to_pylist()
    if not codes:
        raise InputError(f"no row of {config.dataset} has category {category!r}")
    return sorted(train.features["label"].int2str(code) for code in codes)


def _pixel_hashes(table: Any, images: Any) -> Iterable[str]:
    """Per row, the recorded hash of the pixels; of the stored bytes where none is recorded."""
    recorded: list[str | None] = table["sha256"].to_pylist() if "sha256" in table.column_names else [None] * len(table)
    hashes = [digest for digest in recorded if digest is not None]
    if len(hashes) == len(recorded):
        return hashes  # nothing but the small columns was read
    return (
        digest or hashlib.sha256(_content(value)).hexdigest() for digest, value in zip(recorded, images, strict=True)
    )


def _content(row: dict[str, Any]) -> bytes:
    if "planes" not in row and not isinstance(row["image"], dict):
        return repr(row["image"]).encode()
    stored = row["planes"] if "planes" in row else [row["image"]]
    return b"".join(stored_bytes(picture) or b"" for picture in stored)
