"""Any labelled images as a benchmark: a folder per class, or a HuggingFace dataset on disk, with groups if known.

Neighbours of an image are all others; with a group column (plate, donor, protein) all those of other groups, so that
what two images of one group share cannot be taken for the class.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features import FeatureTable
from cytoimagenet_hf.images import Image, PlaneRef
from cytoimagenet_hf.images.stores.dataset import load as load_rows
from cytoimagenet_hf.tabular import read_table

from .base import Benchmark, Score, class_folders, ids_of, labelled, labels_of, paired_files
from .protocols import NEIGHBOURS, predict_leave_group_out, predict_leave_one_out
from .recipes import BenchmarkRecipe

WHERE = (
    "lay the images out as <root>/<class>/<image>, or as <root>/<class>/<stem>_<channel>.<extension> with --channels; "
    "a metadata.csv in <root> (file_name = <class>/<image or stem>, and a column per group) adds groups; a folder of "
    "Parquet files with the columns image and label is read as a HuggingFace dataset"
)
_EXTENSIONS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".dib", ".npy")


def load(
    root: Path,
    recipe: BenchmarkRecipe,
    *,
    images: bool = True,
    channels: Sequence[str] = (),
    group: str | None = None,
) -> list[Image]:
    """Every image with its class.

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
            facts = {} if groups is None else {"group": groups[key]}
            items.append(labelled(key, files, folder.name, channels=channels, facts=facts))
    return items


def score(
    features: FeatureTable,
    items: Sequence[Image],
    recipe: BenchmarkRecipe,
    seed: int,
    *,
    k: int = NEIGHBOURS,
    name: str = "folder",
) -> list[Score]:
    """k-NN accuracy, leaving out one image or, where groups are known, one group."""
    ids, labels = ids_of(items), labels_of(items)
    values = features.rows(ids).values
    groups = np.array([item.metadata.get("group") for item in items], dtype=object)
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
    table = read_table(file, required=("file_name", group))
    empty = table[table[group].isna() | table["file_name"].duplicated()]
    if len(empty):
        raise InputError(f"{file}: {empty['file_name'].iloc[0]!r} has no {group}, or occurs twice")
    return dict(zip(table["file_name"], table[group], strict=True))


def _dataset_items(root: Path, group: str | None) -> list[Image]:
    splits = load_rows(str(root))
    items: list[Image] = []
    for split, rows in splits.items():
        lacking = [name for name in ("image", "label", *([group] if group else [])) if name not in rows.column_names]
        if lacking:
            raise InputError(f"{root} lacks the columns {lacking}; it has {rows.column_names}")
        names = getattr(rows.features["label"], "names", None)
        labels, groups = rows["label"], rows[group] if group else None
        ids = rows["image_id"] if "image_id" in rows.column_names else None
        for row in range(len(rows)):
            facts = {"label": str(names[labels[row]] if names else labels[row])}
            if groups is not None:
                facts["group"] = str(groups[row])
            plane = PlaneRef(root, kind="dataset", place=(split, "image", row))
            name = f"row-{len(items)}" if ids is None else str(ids[row])
            items.append(Image(name, ("0",), ((plane,),), facts))
    return items
