"""Any dataset of images, here or on the Hub: its name, its splits, and which of its columns hold what.

CytoImageNet has the columns `image`, `label` and `image_id`. Other datasets call them otherwise, have no ids, or keep
classes as text. `with_usual_columns` gives all of them the same three columns, so that whatever reads CytoImageNet
reads them, too. Rows without an id are known by their place in their split.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets as hf
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cytoimagenet_hf.core.boundary import explain, reading
from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.jsontext import parse_json
from cytoimagenet_hf.options.source import ImageColumns
from cytoimagenet_hf.tables.columns import ID_COLUMNS
from cytoimagenet_hf.tables.tabular import read_table

from .load import load_cytoimagenet, read_splits, require_stored

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""How splits are spelled → their usual name; the words are those that `datasets` knows."""

_SPLIT_WORD = re.compile(rf"(?:^|[-._ 0-9])({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?:$|[-._ 0-9])")
_EMPTY = re.compile(r'Instruction "(.+)" corresponds to no data')  # of `datasets`
_MOST_CLASSES = 100_000  # more different labels are texts or numbers about images, not classes

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Tables beside images that name them in `file_name`, as `imagefolder` of `datasets` knows them."""


def read_metadata(file: Path) -> pd.DataFrame:
    """A table of `METADATA`; of text every cell is text.

    Raises:
        InputError: it cannot be read, or a line of JSON is no object.
    """
    if file.suffix != ".jsonl":
        return read_table(file)
    with reading(file, kind="a table of JSON lines"):
        lines = [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    rows = [parse_json(line, where=f"{file}, row {number}") for number, line in enumerate(lines, 1)]
    if bad := next((number for number, row in enumerate(rows, 1) if not isinstance(row, dict)), None):
        raise InputError(f'{file}, row {bad} is not a JSON object: write {{"file_name": …, "label": …}} in each line')
    return pd.DataFrame(rows, dtype=object)  # where a row lacks a number, the others would become 1.0


@dataclass(frozen=True)
class DatasetName:
    """What `hf:NAME:CONFIGURATION:SPLIT@REVISION` says; all but the name may be missing.

    Attributes:
        path: a folder, or a repository on the Hub.
        configuration: of the dataset; its default one when None.
        split: one of its splits; all when None.
        revision: tag, branch or commit on the Hub; the newest when None.

    Example:
        >>> parse_name("hf:me/beans:default:test@v1.0")
        DatasetName(path='me/beans', configuration='default', split='test', revision='v1.0')
        >>> parse_name("hf:me/beans:test").split, parse_name("me/beans").path
        ('test', 'me/beans')
    """

    path: str
    configuration: str | None = None
    split: str | None = None
    revision: str | None = None

    @property
    def rows_of_all(self) -> str:
        """The name without its split, as `parse_name` reads it back."""
        if self.configuration is None and self.revision is None:
            return self.path
        configuration = f":{self.configuration}:" if self.configuration else ""
        return f"hf:{self.path}{configuration}{f'@{self.revision}' if self.revision else ''}"


def parse_name(text: str) -> DatasetName:
    """Read `NAME`, or `hf:NAME[:CONFIGURATION][:SPLIT][@REVISION]`; of one part after the name it is the split.

    `hf:NAME:CONFIGURATION:` names a configuration and all of its splits.

    Raises:
        InputError: no name, or more than three parts.
    """
    name = text.removeprefix("hf:")
    ends = [len(name), *(place for place in reversed(range(len(name))) if name[place] in ":@")]
    folder = next((name[:end] for end in ends if os.path.isdir(name[:end])), None)  # its name may hold such a letter
    if folder is None and not text.startswith("hf:"):
        return DatasetName(text)
    rest = name[len(folder) :] if folder is not None else name
    rest, _, revision = rest.partition("@")
    first, *parts = rest.split(":")
    path = folder if folder is not None else first
    if not path or len(parts) > 2:
        raise InputError(f"{text!r} is not a name of a dataset: write hf:NAME:CONFIGURATION:SPLIT@REVISION")
    configuration, split = ("", *parts) if len(parts) == 1 else (*parts, "", "")[:2]
    return DatasetName(path, configuration or None, split or None, revision or None)


def load_splits(name: DatasetName) -> dict[str, hf.Dataset]:
    """All splits of a dataset, or the one that the name tells, with their own columns.

    Raises:
        InputError: no such dataset, configuration, split or revision, or no connection.
    """
    path = Path(name.path)
    try:
        if path.is_dir() and _is_saved(path):
            saved = hf.load_from_disk(name.path)
            loaded = saved if isinstance(saved, Mapping) else {"train": saved}
        elif path.is_dir() and not any(path.glob("data/*.parquet")):
            loaded = read_splits(name.path, name.configuration)
        else:
            configuration = name.configuration or "default"
            loaded = load_cytoimagenet(name.path, configuration=configuration, revision=name.revision)
    except InputError:
        raise
    except (ValueError, OSError) as error:  # no or an unknown configuration, no data files, no connection
        if empty := _EMPTY.search(str(error)):
            raise InputError(f"{name.path}: split {empty[1]} is empty") from error
        reason = explain(error) if isinstance(error, OSError) else None
        raise InputError(f"no dataset loads from {name.path!r}: {reason or one_line(error)}") from error
    splits = {str(split): rows for split, rows in loaded.items()}  # they may be NamedSplits
    if name.split is None:
        return splits
    if name.split not in splits:
        raise InputError(f"{name.path} has no split {name.split!r}: it has {', '.join(splits)}")
    return {name.split: splits[name.split]}


def with_usual_columns(
    splits: Mapping[str, hf.Dataset], where: str, columns: ImageColumns, *, labelled: bool
) -> dict[str, hf.Dataset]:
    """Loaded splits with the columns `image`, `label` (ClassLabel) and `image_id` (text) beside their others.

    Args:
        splits: of `load_splits`.
        where: the dataset, for messages.
        columns: where its images, classes and ids are.
        labelled: refuse a dataset without classes; otherwise it may lack the column.

    Raises:
        InputError: no such column, a column that holds no images or no classes, or an empty split.
    """
    first = next(iter(splits.values()))
    image = find_image_column(first.features, columns.image, where)
    label = find_label_column(first.features, columns.label, where, required=labelled)
    identity = find_id_column(first.column_names, columns.id, where)
    require_stored([name for name in (image, label, identity) if name is not None], where)
    values = None if label is None else _class_values(splits, label, where)
    made = {}
    for split, rows in splits.items():
        if not len(rows):
            raise InputError(f"{where}: split {split} is empty")
        rows = _renamed(rows, image, "image")
        if label is not None:
            rows = _renamed(rows, label, "label") if values is None else _coded(rows, label, values)
        if identity is None:
            ids = [row_id(split, row) for row in range(len(rows))]
            rows = rows.add_column("image_id", ids, new_fingerprint=f"{rows._fingerprint}-ids")
        else:
            rows = _renamed(rows, identity, "image_id")
        made[split] = rows
    return made


def row_id(split: str, row: int) -> str:
    """The id of a row that has none of its own.

    Example:
        >>> row_id("train", 7)
        'train-7'
    """
    return f"{split}-{row}"


def find_image_column(features: Mapping[str, Any], wanted: str | None, where: str) -> str:
    """The column of images: the one asked for, `image`, or the only one.

    Raises:
        InputError: there is none, or several; or the one asked for holds something else.
    """
    images = [name for name, feature in features.items() if _is_image_feature(feature)]
    name = wanted or ("image" if "image" in features else images[0] if len(images) == 1 else None)
    if name is None:
        advice = f"image_column names one of {', '.join(images)}" if images else "name it, image_column"
        raise InputError(f"{where} has no column 'image': {advice}; it has {', '.join(features)}")
    if name not in features:
        raise InputError(f"{where} has no column {name!r}: it has {', '.join(features)}")
    if name not in images:
        kind = getattr(features[name], "dtype", None) or type(features[name]).__name__
        others = f"; {', '.join(images)} hold images" if images else ""
        raise InputError(f"{where}: column {name!r} holds {kind}, no images{others}")
    return name


def find_label_column(features: Mapping[str, Any], wanted: str | None, where: str, *, required: bool) -> str | None:
    """The column of classes: the one asked for, `label`, or the only ClassLabel; None where none is required.

    Raises:
        InputError: there is none, or several; or the one asked for is not there or holds no classes.
    """
    classes = [name for name, feature in features.items() if isinstance(feature, hf.ClassLabel)]
    name = wanted or ("label" if "label" in features else classes[0] if len(classes) == 1 else None)
    if name is not None and name in features:
        if not isinstance(features[name], (hf.ClassLabel, hf.Value)):
            kind = type(features[name]).__name__
            raise InputError(f"{where}: column {name!r} is of type {kind}, and a class is one value in each row")
        return name
    if wanted is None and not required:
        return None
    choice = ", ".join(classes or features)
    raise InputError(
        f"{where} has no column {wanted or 'label'!r}: --label-column names that of the classes, of {choice}; "
        "--objective views trains without labels"
    )


def find_id_column(columns: Sequence[str], wanted: str | None, where: str) -> str | None:
    """The column of ids: the one asked for, or the first of `ID_COLUMNS`; None where rows have no ids.

    Raises:
        InputError: the one asked for is not there.
    """
    if wanted is not None and wanted not in columns:
        raise InputError(f"{where} has no column {wanted!r} of ids (id_column): it has {', '.join(columns)}")
    return wanted or next((name for name in ID_COLUMNS if name in columns), None)


def _is_image_feature(feature: Any) -> bool:
    """Whether a column of this type holds images: pictures, lists of pictures, 2-D or 3-D arrays."""
    inner = getattr(feature, "feature", None)
    return isinstance(feature, (hf.Image, hf.Array2D, hf.Array3D)) or isinstance(inner, hf.Image)


def _class_values(splits: Mapping[str, hf.Dataset], column: str, where: str) -> list[Any] | None:
    """The classes of a column of text or whole numbers: the sorted values of all splits; None for a ClassLabel."""
    first = next(iter(splits.values())).features[column]
    if isinstance(first, hf.ClassLabel):
        if other := next((name for name, rows in splits.items() if rows.features[column] != first), None):
            raise InputError(f"{where}: split {other} has other classes in {column!r} than the first split")
        return None
    values: set[Any] = set()
    for rows in splits.values():
        values.update(pc.unique(_column(rows, column)).to_pylist())
    values.discard(None)
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or not kinds <= {str, int, bool} or len(values) > _MOST_CLASSES:
        raise InputError(
            f"{where}: column {column!r} holds {len(values):,} different values of type {first.dtype}, which are no "
            "classes: --label-column names another"
        )
    return sorted(values)


def usual_splits(splits: Mapping[str, Any]) -> dict[str, str]:
    """`train`, `validation` and `test` → what a dataset calls them, as far as it has them.

    Example:
        >>> usual_splits({"train": 0, "dev": 0, "extra": 0})
        {'train': 'train', 'validation': 'dev'}
    """
    usual: dict[str, str] = {}
    for name in splits:
        word = SPLITS.get(name.lower())
        if word is not None and (word not in usual or name == word):
            usual[word] = name
    return usual


def split_of_folder(name: str) -> str | None:
    """The usual name of the split that a folder's name tells as `datasets` reads it; None for another folder.

    Example:
        >>> [split_of_folder(name) for name in ("Train", "my-val", "test_images", "trainer")]
        ['train', 'validation', 'test', None]
    """
    match = _SPLIT_WORD.search(name.lower())
    return SPLITS[match[1]] if match else None


def _is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote a folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _renamed(rows: hf.Dataset, column: str, name: str) -> hf.Dataset:
    if column == name:
        return rows
    return (rows.remove_columns(name) if name in rows.column_names else rows).rename_column(column, name)


def _coded(rows: hf.Dataset, column: str, values: Sequence[Any]) -> hf.Dataset:
    """A column of texts or whole numbers as the ClassLabel `label`; what is missing stays null."""
    code = {value: number for number, value in enumerate(values)}
    codes = [code.get(value) for value in _column(rows, column).to_pylist()]
    feature = hf.ClassLabel(names=[str(value) for value in values])
    rest = rows.remove_columns([name for name in {column, "label"} if name in rows.column_names])
    return rest.add_column("label", codes, feature=feature, new_fingerprint=f"{rows._fingerprint}-{column}")


def _column(rows: hf.Dataset, column: str) -> pa.ChunkedArray:
    return rows.select_columns([column]).with_format("arrow")[:][column]
