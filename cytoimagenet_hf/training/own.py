"""One's own images as training rows: a folder with a sub-folder per class, or a table of files and labels.

Images come from `images.find_images`, so every format and bit depth of the project is read; they are scaled as the
network's preprocessing record says, and divided into training and validation by `splits.assign_splits`.
"""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.images import METADATA, SPLITS, find_id_column, read_metadata, split_of_folder
from cytoimagenet_hf.dataset.splits import assign_splits
from cytoimagenet_hf.images import Image, find_images
from cytoimagenet_hf.imaging.stacks import describe_stack
from cytoimagenet_hf.networks import MicroscopyImageProcessor
from cytoimagenet_hf.networks.checkpoints import few
from cytoimagenet_hf.tables.tabular import read_table

from .config import TrainConfig
from .data import RowTable, by_plane, require_two_classes

_FILES = ("path", "file", "file_name", "filename", "image")
_GROUPS = (("plate",), ("plate", "well"), ("plate", "well", "site"))  # coarsest first


@dataclass(frozen=True)
class OwnImage:
    """An image, or one plane of it, and how its values become gray levels."""

    image: Image
    plane: int | None  # None: all planes merged
    processor: MicroscopyImageProcessor

    def gray(self) -> NDArray[np.uint8]:
        """The pixels (H, W), from black to white as the network's record says."""
        planes = self.image.read()
        (unit,) = self.processor.units(planes if self.plane is None else [planes[self.plane]])
        return (unit[0] * np.float32(255)).astype(np.uint8)  # cut, not rounded, as the dataset's own images are


@dataclass(frozen=True, kw_only=True)
class OwnTable(RowTable):
    """One split of one's own images; `images` is a list of them."""

    processor: MicroscopyImageProcessor

    def encoded(self, rows: Sequence[int]) -> list[OwnImage]:
        """Some images, to be read when they are decoded."""
        if self.places is None:
            return [OwnImage(self.images[row], None, self.processor) for row in rows]
        places = self.places[list(rows)].tolist()
        return [OwnImage(self.images[image], plane, self.processor) for image, plane in places]


def is_own(dataset: str) -> bool:
    """Whether a dataset is a folder or table of one's own, and not a built one or a repository."""
    path = Path(dataset)
    return path.is_file() or (path.is_dir() and not any(path.glob("data/*.parquet")) and not _is_dataset(path))


def own_processor(config: TrainConfig) -> MicroscopyImageProcessor:
    """How pixels of one's own become gray levels: as pretrained weights saw them, else stretched as the dataset's."""
    if not config.pretrained:
        return MicroscopyImageProcessor(method="merge-norm")
    recorded = MicroscopyImageProcessor.for_model(config.backbone)
    scaling = recorded.method.partition("-")[2]
    made: MicroscopyImageProcessor = MicroscopyImageProcessor.for_model(
        config.backbone, method=f"merge-{scaling}", do_resize=False
    )
    return made


def own_tables(config: TrainConfig) -> dict[str, RowTable]:
    """The `train` and `validation` split of one's own images."""
    if config.streaming or config.split_scheme is not None:
        raise InputError(
            f"{config.dataset} is a folder or table of one's own: it takes neither streaming nor split_scheme"
        )
    rows = _rows(config)
    if config.subset != ("full",):
        labels = set(rows["label"].dropna())
        if unknown := sorted(set(config.subset) - labels):
            raise InputError(f"{config.dataset} has no class {', '.join(unknown)}: choose of {few(labels)}")
        rows = rows[rows["label"].isin(config.subset)].reset_index(drop=True)
    rows = _of_splits(rows, config)
    _check_depths(rows["image"].tolist(), config.dataset)
    classes = tuple(sorted(rows["label"].dropna().unique()))
    if config.objective != "views":
        _check_labels(rows, config.dataset)
    sides, processor = _split(rows, config), own_processor(config)
    return {
        name: _table(rows[sides == name].reset_index(drop=True), classes, config, name, processor)
        for name in ("train", "validation")
    }


def _rows(config: TrainConfig) -> pd.DataFrame:
    """One row per image: `image`, `image_id`, `label`, `stored` (its split, where it is given), and its metadata."""
    where = Path(config.dataset)
    if where.is_file():
        return _from_table(where, config)
    if config.image_column or config.id_column:
        raise InputError(f"{where} is a folder of images: --image-column and --id-column are for tables and datasets")
    try:
        images = find_images(where, pattern=config.pattern)
    except InputError as error:
        raise InputError(f"{where} holds no data/*.parquet (python -m builder build makes it), and {error}") from error
    rows = []
    for image in images:
        path = _first_path(image, where)
        folders = path.relative_to(where).parts[:-1] if path.is_relative_to(where) else ()
        rows.append({**image.metadata, "image": image, "image_id": image.id, "folders": folders})
    table = pd.DataFrame(rows)
    if _are_splits({folders[0] for folders in table["folders"] if folders}, where):
        if loose := sum(not folders for folders in table["folders"]):
            raise InputError(f"{where}: {loose} images lie beside the folders of the splits: move them into one")
        table["stored"] = [split_of_folder(folders[0]) for folders in table["folders"]]
        table["folders"] = [folders[1:] for folders in table["folders"]]
    table = table.assign(label=table["folders"].map(lambda folders: folders[0] if folders else None))
    table = _with_metadata(table, where, config.label_column or "label")
    if config.label_column not in (None, "label", *table):
        raise InputError(
            f"{where} has no column {config.label_column!r} (--label-column): the classes are those of its folders, "
            f"or a column of {' or '.join(METADATA)}"
        )
    return table if "stored" in table else _with_stored(table, where)


def _first_path(image: Image, folder: Path) -> Path:
    """The first file of an image; the folder itself of one without planes."""
    return next((plane.path for planes in image.planes for plane in planes), folder)


def _are_splits(folders: set[str], where: Path) -> bool:
    """Whether the folders directly below `where` are splits, and not classes; both at once are refused."""
    splits = {name: split_of_folder(name) for name in sorted(folders)}
    sides = {split for split in splits.values() if split}
    others = [name for name, split in splits.items() if split is None]
    if "train" in sides and len(sides) > 1 and others:
        named = ", ".join(name for name, split in splits.items() if split)
        raise InputError(f"{where} has folders of splits ({named}) and others ({few(others)}): move the others away")
    return bool(sides) and not others and (len(splits) > 1 or "train" in sides)


def _with_metadata(table: pd.DataFrame, where: Path, label_column: str) -> pd.DataFrame:
    """Images with the columns of the `metadata.csv`, `.jsonl` or `.parquet` files that name them (`file_name`)."""
    firsts = [_first_path(image, where) for image in table["image"]]
    facts: dict[int, dict[Any, Any]] = {}
    for file in sorted(path for name in METADATA for path in where.rglob(name)):
        rows = read_metadata(file)
        if "file_name" not in rows:
            remark(f"{file} has no column file_name: it is left out")
            continue
        place = {
            path.relative_to(file.parent).as_posix(): n for n, path in enumerate(firsts) if file.parent in path.parents
        }
        if absent := [name for name in rows["file_name"] if name not in place]:
            raise InputError(f"{file} names {len(absent)} files that are not images here, such as {absent[0]!r}")
        if rows["file_name"].duplicated().any():
            raise InputError(
                f"{file}: {rows['file_name'][rows['file_name'].duplicated()].iloc[0]!r} stands in several rows"
            )
        facts |= {place[row["file_name"]]: row for row in rows.to_dict("records")}
    if not facts:
        return table
    added = pd.DataFrame([facts.get(n, {}) for n in range(len(table))], index=table.index, dtype=object)
    if label_column in added:
        table["label"] = [None if pd.isna(label) is True else str(label) for label in added[label_column]]
    return table.join(added[[column for column in added.columns if column not in table]])


def _from_table(path: Path, config: TrainConfig) -> pd.DataFrame:
    facts = read_table(path)
    file = config.image_column or next((name for name in _FILES if name in facts.columns), None)
    if file is None:  # a kind of table that names its files in its own way, such as LoadData
        images = find_images(path)
        rows = pd.DataFrame([{**image.metadata, "image": image, "image_id": image.id} for image in images])
    else:
        by_id = find_id_column(list(facts.columns), config.id_column, str(path)) or file
        if by_id not in facts:
            raise InputError(f"{path} has no column {file!r} (--image-column): it has {', '.join(map(str, facts))}")
        facts = facts.set_index(by_id, drop=False)
        if (twice := facts.index.duplicated()).any():
            raise InputError(f"{path}: {by_id} {facts.index[twice][0]!r} stands in several rows")
        images = find_images(path, channels=[file], id_column=by_id)
        listed = facts.loc[[_row_id(image.id, facts.index) for image in images]].reset_index(drop=True)
        rows = pd.DataFrame([{**image.metadata, "image": image, "image_id": image.id} for image in images])
        rows = rows.join(listed[[column for column in listed.columns if column not in rows]])
    rows = _with_stored(rows, path)
    label_column = config.label_column or "label"
    if label_column in rows:
        return rows.assign(label=rows[label_column])
    if config.objective == "views":
        return rows.assign(label=None)
    raise InputError(
        f"{path} has no column {label_column!r}: --label-column names that of the classes, of "
        f"{', '.join(map(str, facts.columns))}; --objective views trains without labels"
    )


def _with_stored(rows: pd.DataFrame, where: Path) -> pd.DataFrame:
    """Rows with `stored`, the usual name of the split in their column `split`, where they have one."""
    if "split" not in rows or rows["split"].isna().all():
        return rows
    stored = rows["split"].map(lambda split: SPLITS.get(str(split).lower()))
    if (odd := stored.isna()).any():
        first = rows[odd].iloc[0]
        raise InputError(
            f"{where}, image {first['image_id']}: split is {first['split']!r}; write {' or '.join(SPLITS)}"
        )
    return rows.assign(stored=stored)


def _row_id(image_id: str, ids: "pd.Index[str]") -> str:
    """Row of an image id, without /field."""
    return image_id if image_id in ids else image_id.rpartition("/")[0]


def _check_depths(images: Sequence[Image], where: str) -> None:
    """Refuse images of several bit depths, looked up in their headers: depth would give classes away."""

    def dtype_of(image: Image) -> str:
        first = next((plane for planes in image.planes for plane in planes), None)
        if first is None or first.kind != "file" or image.problem:
            return ""  # read, or refused, later
        try:
            return str(describe_stack(first.path, axes=None).dtype)
        except InputError:
            return ""

    with ThreadPoolExecutor(8) as pool:
        depth_of = dict(zip((image.id for image in images), pool.map(dtype_of, images), strict=True))
    kinds = Counter(kind for kind in depth_of.values() if kind)
    if len(kinds) > 1:
        counted = "; ".join(
            f"{count} are {kind}, such as {next(name for name, depth in depth_of.items() if depth == kind)}"
            for kind, count in kinds.most_common()
        )
        raise InputError(f"{where}: images have several bit depths ({counted}): write all of them in one")


def _check_labels(rows: pd.DataFrame, where: str) -> None:
    without = rows["image_id"][rows["label"].isna()]
    if len(without):
        raise InputError(
            f"{where}: {len(without)} of {len(rows)} images have no label, such as {without.iloc[0]}: lay each class "
            "in a folder of its own, name the classes in a table, or train without labels, --objective views"
        )
    counts = rows["label"].value_counts()
    require_two_classes(list(counts.index), where)
    alone = sorted(counts.index[counts == 1])
    if alone:
        raise InputError(
            f"{where}: classes of one image, which cannot be both trained on and validated with: {few(alone)}; add "
            "images, or leave these classes out (--subset names those to keep)"
        )


def _of_splits(rows: pd.DataFrame, config: TrainConfig) -> pd.DataFrame:
    """The rows that are trained on and validated with, `stored` saying which; all where no split is stored."""
    if "stored" not in rows:
        if config.validation_split is not None or config.split != "train":
            raise InputError(
                f"{config.dataset} has no stored splits, so --split and --validation-split cannot name one"
            )
        return rows
    asked = {"train": config.split, "validation": config.validation_split or "validation"}
    sides = {}
    for side, wanted in asked.items():
        split = SPLITS.get(wanted.lower(), wanted)
        if side == "train" or config.validation_split is not None or (rows["stored"] == split).any():
            if split in sides or not (rows["stored"] == split).any():
                has = ", ".join(sorted(set(rows["stored"])))
                raise InputError(f"{config.dataset} has no images of split {wanted!r} for {side}: it has {has}")
            sides[split] = side
    kept = rows.assign(stored=rows["stored"].map(sides))[rows["stored"].isin(sides)].reset_index(drop=True)
    if left := len(rows) - len(kept):
        remark(f"{config.dataset}: {left:,} images of other splits are left out")
    return kept


def _split(rows: pd.DataFrame, config: TrainConfig) -> "pd.Series[str]":
    """`train` or `validation` for each row: as stored, or drawn."""
    if "stored" in rows and (rows["stored"] == "validation").any():
        sides = rows["stored"]
    else:
        sides = draw_sides(rows, config)
    for side in ("train", "validation"):
        if not (sides == side).any():
            raise InputError(f"{config.dataset}: no image falls to {side}: add images, or change --validation-share")
    if config.objective != "views":
        trained = set(rows["label"][sides == "train"])
        if unknown := sorted(set(rows["label"]) - trained):
            raise InputError(f"{config.dataset}: {few(unknown)} have no training image: change the split or --subset")
    return sides


def remark(message: str) -> None:
    """Say something about the data, once for all processes of a run."""
    if int(os.environ.get("RANK", "0")) == 0:
        print(message, file=sys.stderr)


def draw_sides(rows: pd.DataFrame, config: TrainConfig) -> "pd.Series[str]":
    """`train` or `validation` for each row, drawn by the seed; groups and copies stay on one side.

    Rows have `image_id`, `label`, and what `group_column` names or else plate, well, site and field (`idx`), and
    `sha256` of the pixels where it is recorded.
    """
    labels = rows["label"].astype("string").fillna("").astype(str)
    copies = {"sha256": rows["sha256"]} if "sha256" in rows else {}
    table = rows[["image_id"]].assign(label=labels, group=_group(rows, config), **copies)
    drawn = assign_splits(table, scheme="field", group="group", fraction=config.validation_share, seed=config.seed)
    return pd.Series(drawn.to_numpy(), index=rows.index)


def _group(rows: pd.DataFrame, config: TrainConfig) -> "pd.Series[str]":
    """What stays together: the column asked for, or the coarsest of plate, well and site that each class has two
    or more of; each field, or each image, by itself where there is none."""
    if config.group_column is not None:
        if config.group_column not in rows:
            raise InputError(f"{config.dataset} has no column {config.group_column!r} to group by")
        return rows[config.group_column].astype(str)
    for columns in _GROUPS:
        if columns[-1] in rows and rows[columns[-1]].notna().all():
            present = [column for column in columns if column in rows]
            keys = rows[present].astype(str).agg("\x1f".join, axis=1)
            if keys.groupby(rows["label"].fillna("")).nunique().min() >= 2 and keys.nunique() < len(rows):
                return keys
    return rows["idx"].astype(str) if "idx" in rows and rows["idx"].notna().all() else rows["image_id"]


def _table(
    rows: pd.DataFrame,
    classes: tuple[str, ...],
    config: TrainConfig,
    split: str,
    processor: MicroscopyImageProcessor,
) -> RowTable:
    images: list[Image] = rows["image"].tolist()
    code = {name: number for number, name in enumerate(classes)}
    labels = np.asarray([code.get(label, -1) for label in rows["label"]], dtype=np.int64)
    ids = np.asarray([image.id for image in images], dtype=np.str_)
    content = [*classes, *ids.tolist(), *map(str, labels.tolist()), *(image.stamp for image in images)]
    content += [config.configuration, str(processor.record())]
    fingerprint, where = hashlib.sha256("\x1f".join(content).encode()).hexdigest(), f"{config.dataset}, split {split}"
    categories = np.full(len(ids), -1, dtype=np.int64)
    table = OwnTable(images, ids, labels, categories, classes, fingerprint, where, processor=processor)
    if config.configuration == "channels":
        return by_plane(table, [len(image.channels) for image in images])
    return table


def _is_dataset(path: Path) -> bool:
    """Whether a folder without `data/*.parquet` is a dataset all the same: of other files, or its data are missing."""
    marks = ("manifest.json", "dataset_dict.json", "state.json")
    if any((path / name).is_file() for name in marks) or (path / "data").is_dir():
        return True
    tables = (name for depth in ("*", "*/*") for name in path.glob(f"{depth}.parquet"))
    return any(name.name not in METADATA for name in tables) or any(path.glob("*.tar"))
