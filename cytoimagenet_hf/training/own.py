"""One's own images as training rows: a folder with a sub-folder per class, or a table of files and labels.

Images come from `images.find_images`, so every format and bit depth of the project is read; they are scaled as the
network's preprocessing record says, and divided into training and validation by `splits.assign_splits`.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.splits import assign_splits
from cytoimagenet_hf.images import Image, find_images
from cytoimagenet_hf.imaging.stacks import describe_stack
from cytoimagenet_hf.networks import MicroscopyImageProcessor
from cytoimagenet_hf.networks.checkpoints import few
from cytoimagenet_hf.tables.tabular import read_table

from .config import TrainConfig
from .rows import RowTable, require_two_classes

_SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation"}
_FILES = ("path", "file", "file_name", "filename", "image")
_IDS = ("id", "image_id", "idx")
_GROUPS = (("plate",), ("plate", "well"), ("plate", "well", "site"))  # coarsest first


@dataclass(frozen=True)
class OwnImage:
    """An image, or one plane of it, and how its values become gray levels."""

    image: Image
    plane: int | None  # None: all planes merged
    processor: MicroscopyImageProcessor

    def gray(self) -> NDArray[np.uint8]:
        """The pixels (H, W), from black to white as the network's record says.

        Raises:
            InputError: it cannot be read.
        """
        planes = self.image.read()
        (found,) = self.processor.planes(planes if self.plane is None else [planes[self.plane]])
        return found.astype(np.uint8)  # cut, not rounded, as the dataset's own images are


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
    """How pixels of one's own become gray levels: as pretrained weights saw them, else stretched as the dataset's.

    Its one output is the merged image; a single plane merged is itself.
    """
    if not config.pretrained:
        return MicroscopyImageProcessor(method="merge-norm")
    recorded = MicroscopyImageProcessor.for_model(config.backbone)
    scaling = recorded.method.partition("-")[2]
    made: MicroscopyImageProcessor = MicroscopyImageProcessor.for_model(
        config.backbone, method=f"merge-{scaling}", do_resize=False
    )
    return made


def own_tables(config: TrainConfig) -> dict[str, RowTable]:
    """The `train` and `validation` split of one's own images.

    Args:
        config: `dataset` is the folder or table; `label_column`, `group_column` and `validation_share` say the rest.

    Raises:
        InputError: no images, no or too few labels, or images of several bit depths.
    """
    if config.streaming or config.split_scheme is not None:
        raise InputError(
            f"{config.dataset} is a folder or table of one's own: it takes neither streaming nor split_scheme"
        )
    rows = _rows(config)
    if config.subset != ("full",):
        known = set(rows["label"].dropna())
        if unknown := sorted(set(config.subset) - known):
            raise InputError(f"{config.dataset} has no class {', '.join(unknown)}: choose of {few(known)}")
        rows = rows[rows["label"].isin(config.subset)].reset_index(drop=True)
    images = rows["image"].tolist()
    _check_depths(images, config.dataset)
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
    try:
        images = find_images(where, pattern=config.pattern)
    except InputError as error:
        raise InputError(f"{where} holds no data/*.parquet (python -m builder build makes it), and {error}") from error
    rows = []
    for image in images:
        path = next((plane.path for planes in image.planes for plane in planes), where)
        folders = path.relative_to(where).parts[:-1] if path.is_relative_to(where) else ()
        rows.append({**image.metadata, "image": image, "image_id": image.id, "folders": folders})
    table = pd.DataFrame(rows)
    tops = {folders[0] for folders in table["folders"] if folders}
    if "train" in tops and len(tops) == 2 and tops <= _SPLITS.keys():
        table["stored"] = [_SPLITS.get(folders[0], "") if folders else "" for folders in table["folders"]]
        table["folders"] = [folders[1:] for folders in table["folders"]]
    return table.assign(label=table["folders"].map(lambda folders: folders[0] if folders else None))


def _from_table(path: Path, config: TrainConfig) -> pd.DataFrame:
    facts = read_table(path)
    file = next((name for name in _FILES if name in facts.columns), None)
    if file is None:  # a kind of table that names its files in its own way, such as LoadData
        images = find_images(path)
        rows = pd.DataFrame([{**image.metadata, "image": image, "image_id": image.id} for image in images])
    else:
        by_id = next((name for name in _IDS if name in facts.columns), file)
        facts = facts.set_index(by_id, drop=False)
        if (twice := facts.index.duplicated()).any():
            raise InputError(f"{path}: {by_id} {facts.index[twice][0]!r} stands in several rows")
        images = find_images(path, channels=[file], id_column=by_id)
        own = facts.loc[[_row_id(image.id, facts.index) for image in images]].reset_index(drop=True)
        rows = pd.DataFrame([{**image.metadata, "image": image, "image_id": image.id} for image in images])
        rows = rows.join(own[[column for column in own.columns if column not in rows]])
    if "split" in rows:
        if unknown := sorted(set(rows["split"].dropna()) - _SPLITS.keys()):
            raise InputError(f"{path}: split is {unknown[0]!r}; write {' or '.join(_SPLITS)}")
        rows["stored"] = rows["split"].map(_SPLITS)
    if config.label_column in rows:
        return rows.assign(label=rows[config.label_column])
    if config.objective == "views":
        return rows.assign(label=None)
    raise InputError(
        f"{path} has no column {config.label_column!r}: --label-column names that of the classes, of "
        f"{', '.join(map(str, facts.columns))}; --objective views trains without labels"
    )


def _row_id(image_id: str, ids: "pd.Index[str]") -> str:
    """Row of an image id, without /field."""
    return image_id if image_id in ids else image_id.rpartition("/")[0]


def _check_depths(images: Sequence[Image], where: str) -> None:
    """Refuse images of several bit depths, looked up in their headers: depth would give classes away."""

    def depth(image: Image) -> str:
        first = next((plane for planes in image.planes for plane in planes), None)
        if first is None or first.kind != "file" or image.problem:
            return ""  # read, or refused, later
        try:
            return str(describe_stack(first.path, axes=None).dtype)
        except InputError:
            return ""

    with ThreadPoolExecutor(8) as pool:
        found = dict(zip((image.id for image in images), pool.map(depth, images), strict=True))
    kinds = Counter(kind for kind in found.values() if kind)
    if len(kinds) > 1:
        shown = "; ".join(
            f"{count} are {kind}, such as {next(name for name, one in found.items() if one == kind)}"
            for kind, count in kinds.most_common()
        )
        raise InputError(f"{where}: images have several bit depths ({shown}): write all of them in one")


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


def _split(rows: pd.DataFrame, config: TrainConfig) -> "pd.Series[str]":
    """`train` or `validation` for each row: as stored, or drawn, groups of images staying together."""
    if "stored" in rows and rows["stored"].isin(["train", "validation"]).all():
        sides = rows["stored"]
    else:
        labels = rows["label"].fillna("")
        group = _group(rows, config)
        table = rows[["image_id"]].assign(label=labels, group=group)
        drawn = assign_splits(
            table, scheme="field", group="group", fraction=config.validation_share, seed=config.seed, together=()
        )
        sides = pd.Series(drawn.to_numpy(), index=rows.index)
    for side in ("train", "validation"):
        if not (sides == side).any():
            raise InputError(f"{config.dataset}: no image falls to {side}: add images, or change --validation-share")
    if config.objective != "views":
        known = set(rows["label"][sides == "train"])
        if unknown := sorted(set(rows["label"]) - known):
            raise InputError(f"{config.dataset}: {few(unknown)} have no training image: change the split or --subset")
    return sides


def _group(rows: pd.DataFrame, config: TrainConfig) -> "pd.Series[str]":
    """What stays together: the column asked for, or the coarsest of plate, well and site of which each class has two
    or more; each image by itself where there is none."""
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
    return rows["image_id"]


def _table(
    rows: pd.DataFrame,
    classes: tuple[str, ...],
    config: TrainConfig,
    split: str,
    processor: MicroscopyImageProcessor,
) -> OwnTable:
    images: list[Image] = rows["image"].tolist()
    code = {name: number for number, name in enumerate(classes)}
    labels = np.asarray([code.get(label, -1) for label in rows["label"]], dtype=np.int64)
    ids = np.asarray([image.id for image in images], dtype=np.str_)
    content = [*classes, *ids.tolist(), *map(str, labels.tolist()), *(image.stamp for image in images)]
    content += [config.configuration, str(processor.record())]
    places = None
    if config.configuration == "channels":
        places = np.asarray(
            [(row, plane) for row, image in enumerate(images) for plane in range(len(image.channels))], dtype=np.int64
        )
        ids = np.asarray([f"{ids[row]}/{plane}" for row, plane in places.tolist()], dtype=np.str_)
        labels = labels[places[:, 0]]
    return OwnTable(
        images,
        ids,
        labels,
        np.full(len(ids), -1, dtype=np.int64),
        classes,
        hashlib.sha256("\x1f".join(content).encode()).hexdigest(),
        f"{config.dataset}, split {split}",
        places,
        processor=processor,
    )


def _is_dataset(path: Path) -> bool:
    """True if the dataset has no data files."""
    return (path / "manifest.json").is_file() or (path / "data").is_dir()
