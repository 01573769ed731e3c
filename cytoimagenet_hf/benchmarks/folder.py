"""Any labelled images as a benchmark: a folder per class, or a HuggingFace dataset on disk, with groups if known.

Neighbours of an image are all others; with a group column (plate, donor, protein) all those of other groups, so that
what two images of one group share cannot be taken for the class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoimagenet_hf.errors import InputError

from .base import Array, Benchmark, Item, Score, class_folders, labels_of, paired_files
from .inputs import FeatureTable
from .protocols import NEIGHBOURS, predict_leave_group_out, predict_leave_one_out
from .recipes import BenchmarkRecipe

WHERE = (
    "lay the images out as <root>/<class>/<image>, or as <root>/<class>/<stem>_<channel>.<extension> with --channels; "
    "a metadata.csv in <root> (file_name = <class>/<image or stem>, and a column per group) adds groups; a folder of "
    "Parquet files with the columns image and label is read as a HuggingFace dataset"
)
_EXTENSIONS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".dib", ".npy")


@dataclass(frozen=True)
class DatasetItem(Item):
    """A row of a HuggingFace dataset; its picture is decoded when read."""

    dataset: Any = None
    row: int = 0

    def read(self) -> list[Array]:
        """The picture as one gray channel."""
        image = np.asarray(self.dataset[self.row]["image"])
        return [image if image.ndim == 2 else image.mean(-1)]


def load(
    root: Path,
    recipe: BenchmarkRecipe,
    *,
    images: bool = True,
    channels: Sequence[str] = (),
    group: str | None = None,
) -> list[Item]:
    """One item per image.

    Args:
        root: class folders, or a HuggingFace dataset in Parquet.
        recipe: not used: both recipes read alike.
        images: not used: the labels are where the images are.
        channels: suffixes of the channel files of one image, in stain order; empty: one file is one image.
        group: column of metadata.csv, or of the dataset, that names the group.

    Raises:
        InputError: no class folders, an empty one, no such column, images without a group.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder: {WHERE}")
    if any(root.glob("*.parquet")) or any(root.glob("data/*.parquet")):
        return _dataset_items(root, group)
    groups = _groups(root, group) if group else None
    items = []
    for folder in class_folders(root, where=WHERE):
        for name, files in _images(folder, channels).items():
            key = f"{folder.name}/{name}"
            if groups is not None and key not in groups:
                raise InputError(f"{root / 'metadata.csv'} has no row for {key!r}: every image needs its {group}")
            items.append(Item(key, files, folder.name, {} if groups is None else {"group": groups[key]}))
    return items


def score(
    features: FeatureTable,
    items: Sequence[Item],
    recipe: BenchmarkRecipe,
    seed: int,
    *,
    k: int = NEIGHBOURS,
    name: str = "folder",
) -> list[Score]:
    """k-NN accuracy, leaving out one image or, where groups are known, one group."""
    ids, labels = np.array([item.id for item in items], dtype=object), labels_of(items)
    values = features.rows(ids)
    groups = np.array([item.groups.get("group") for item in items], dtype=object)
    grouped = all(group is not None for group in groups)
    if grouped:
        predictions = predict_leave_group_out(values, labels, groups, recipe=recipe, k=k)
    else:
        predictions = predict_leave_one_out(values, labels, ids, recipe=recipe, seed=seed, k=k)
    return [
        Score(
            name,
            ids,
            labels,
            predictions,
            clusters=groups if grouped else None,
            cluster_name="group" if grouped else None,
            details={"classes": len(set(labels)), "k": k},
        )
    ]


FOLDER = Benchmark(
    name="folder",
    title="folder per class",
    channels=(),
    where=WHERE,
    protocol="11-NN, Euclidean, leave-one-out (leave-one-group-out with a group column)",
    load=load,
    score=score,
)


def configured(
    *, channels: Sequence[str] = (), group: str | None = None, k: int = NEIGHBOURS, name: str = "folder"
) -> Benchmark:
    """The folder benchmark with these channel suffixes, group column, number of neighbours and name in tables."""
    return replace(
        FOLDER,
        name=name,
        title=name,
        channels=tuple(channels),
        load=partial(load, channels=tuple(channels), group=group),
        score=partial(score, k=k, name=name),
    )


def _images(folder: Path, channels: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    if channels:
        extension = next((path.suffix for path in sorted(folder.glob(f"*_{channels[0]}.*"))), ".tif")
        return dict(paired_files(folder, channels, extension=extension))
    found: dict[str, tuple[Path, ...]] = {
        path.name: (path,) for path in sorted(folder.iterdir()) if path.suffix.lower() in _EXTENSIONS
    }
    if not found:
        raise InputError(
            f"class folder {folder} has no images ({', '.join(_EXTENSIONS)}): add some or remove the folder"
        )
    return found


def _groups(root: Path, group: str) -> dict[str, str]:
    file = root / "metadata.csv"
    if not file.is_file():
        raise InputError(f"{file} is missing, but --group {group} was asked for: {WHERE}")
    table = pd.read_csv(file, dtype=str)
    lacking = [name for name in ("file_name", group) if name not in table]
    if lacking:
        raise InputError(f"{file} lacks the columns {lacking}; it has {list(table.columns)}")
    empty = table[table[group].isna() | table["file_name"].duplicated()]
    if len(empty):
        raise InputError(f"{file}: {empty['file_name'].iloc[0]!r} has no {group}, or occurs twice")
    return dict(zip(table["file_name"], table[group], strict=True))


def _dataset_items(root: Path, group: str | None) -> list[Item]:
    from datasets import concatenate_datasets, load_dataset

    splits = load_dataset(str(root))
    dataset = concatenate_datasets(list(splits.values()))
    lacking = [name for name in ("image", "label", *([group] if group else [])) if name not in dataset.column_names]
    if lacking:
        raise InputError(f"{root} lacks the columns {lacking}; it has {dataset.column_names}")
    names = getattr(dataset.features["label"], "names", None)
    codes = dataset["label"]
    ids = dataset["image_id"] if "image_id" in dataset.column_names else [f"row-{row}" for row in range(len(dataset))]
    groups = dataset[group] if group else None
    return [
        DatasetItem(
            str(ids[row]),
            (),
            str(names[codes[row]] if names else codes[row]),
            {} if groups is None else {"group": str(groups[row])},
            dataset=dataset,
            row=row,
        )
        for row in range(len(dataset))
    ]
