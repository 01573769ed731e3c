"""Any labelled images as a benchmark: a folder per class, or a HuggingFace dataset on disk, with groups if known.

Neighbours of an image are those of other groups (plate, field, donor) where groups are known, so that what two images
of one group share cannot be taken for the class; else all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from cytoimagenet_hf.benchmarks.base import Benchmark, class_folders, labelled, paired_files
from cytoimagenet_hf.benchmarks.groups import group_columns, held_out_rows, score_held_out, with_groups
from cytoimagenet_hf.benchmarks.protocols import NEIGHBOURS
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.images import find_image_column, load_splits, parse_name, with_usual_columns
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.images.base import row_image
from cytoimagenet_hf.images.source import SUFFIXES
from cytoimagenet_hf.images.stores.dataset import plane_counts
from cytoimagenet_hf.options.source import USUAL, ImageColumns

WHERE = (
    "lay the images out as <root>/<class>/<image>, or as <root>/<class>/<stem>_<channel>.<extension> with --channels; "
    "a metadata.csv in <root> (file_name = <class>/<image or stem>, and a column per group) adds groups; a folder of "
    "Parquet files with the columns image and label is read as a HuggingFace dataset"
)


def load(
    root: Path,
    recipe: BenchmarkRecipe,
    *,
    images: bool = True,
    channels: Sequence[str] = (),
    group: str | None = None,
    columns: ImageColumns = USUAL,
) -> list[Image]:
    """Every image with its class.

    Args:
        root: class folders, or a HuggingFace dataset: a folder with Parquet files, or
            `hf:NAME:CONFIGURATION:SPLIT@REVISION`.
        recipe: not used: both recipes read alike.
        images: not used: the labels are where the images are.
        channels: suffixes of the channel files of one image, in stain order; empty: one file is one image.
        group: column of metadata.csv, or of the dataset, that names the group; by default the first known one.
        columns: where a dataset has its images, classes and ids.
    """
    if str(root).startswith("hf:"):
        return _dataset_items(str(root), group, columns)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder: {WHERE}")
    if any(root.glob("*.parquet")) or any(root.glob("data/*.parquet")):
        return _dataset_items(str(root), group, columns)
    items = [
        labelled(f"{folder.name}/{name}", files, folder.name, channels=channels)
        for folder in class_folders(root, where=WHERE)
        for name, files in _images(folder, channels).items()
    ]
    return with_groups(items, root, column=group, where=WHERE)


FOLDER = Benchmark(
    name="folder",
    title="folder per class",
    channels=(),
    where=WHERE,
    protocol="11-NN, Euclidean, leave-one-group-out where groups are known, else leave-one-out",
    load=load,
    score=partial(score_held_out, name="folder"),
    rows=partial(held_out_rows, name="folder"),
)


def configured(
    *,
    channels: Sequence[str] = (),
    group: str | None = None,
    k: int = NEIGHBOURS,
    name: str = "folder",
    columns: ImageColumns = USUAL,
) -> Benchmark:
    """The folder benchmark with these channel suffixes, group column, number of neighbours, name and columns."""
    return replace(
        FOLDER,
        name=name,
        title=name,
        channels=tuple(channels),
        load=partial(load, channels=tuple(channels), group=group, columns=columns),
        score=partial(score_held_out, k=k, name=name),
        rows=partial(held_out_rows, name=name),
    )


def _images(folder: Path, channels: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    if channels:
        extensions = sorted({path.suffix for path in folder.glob(f"*_{channels[0]}.*")})
        if len(extensions) > 1:
            raise InputError(f"{folder} has *_{channels[0]} that end in {' and in '.join(extensions)}: keep one kind")
        return dict(paired_files(folder, channels, extension=extensions[0] if extensions else ".tif"))
    files: dict[str, tuple[Path, ...]] = {
        path.name: (path,) for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES
    }
    if not files:
        raise InputError(
            f"class folder {folder} has no images ({', '.join(sorted(SUFFIXES))}): add some or remove the folder"
        )
    return files


def _known_for_all(splits: Mapping[str, Any]) -> str | None:
    """The first column of groups that tells the group of every image; plates, say, are known of some sources alone."""
    columns = next(iter(splits.values())).column_names
    common = [name for name in group_columns(columns) if all(name in rows.column_names for rows in splits.values())]
    return next((name for name in common if all(None not in rows[name][:] for rows in splits.values())), None)


def _dataset_items(root: str, group: str | None, columns: ImageColumns) -> list[Image]:
    name = parse_name(root)
    stored = load_splits(name)
    image = find_image_column(next(iter(stored.values())).features, columns.image, name.path)
    splits = with_usual_columns(stored, name.path, columns, labelled=True)
    items: list[Image] = []
    group = group or _known_for_all(splits)
    for split, rows in splits.items():
        if group and group not in rows.column_names:
            raise InputError(f"{root} lacks the column {group!r}; it has {rows.column_names}")
        names, labels = rows.features["label"].names, rows["label"]
        ids, groups = rows["image_id"], rows[group] if group else None
        counts = plane_counts(rows, "image")
        for row in range(len(rows)):
            where = f"{root}, split {split}, row {row}"
            # A set without labels has -1 for them, which in Python is the last name.
            if labels[row] is None or not 0 <= labels[row] < len(names):
                raise InputError(f"{where} has the label {labels[row]}, which is not a class: leave such rows out")
            for column, values in (("image_id", ids), (group, groups)):
                if values is not None and values[row] is None:
                    raise InputError(f"{where} has no {column}: every image needs one")
            facts = {"label": str(names[labels[row]])}
            if groups is not None:
                facts |= {"group": str(groups[row]), "group_name": str(group)}
            planes = None if counts is None else counts[row]
            item = row_image(name.rows_of_all, split, row, id=str(ids[row]), column=image, planes=planes)
            items.append(replace(item, metadata=facts))
    return items
