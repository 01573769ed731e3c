"""The metadata of the published archive: found at the top or further down, as CSV or Feather, checked row by row."""

import hashlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.tabular import read_typed

from .stage import Rejection

_FILES = ("metadata.csv", "metadata.ftr", "metadata.feather")
_AT_ONCE = 1 << 16  # names that are Python strings at a time
_REQUIRED = ("label", "path", "filename", "idx")
_MEANT = {"crop": "true or false (yes or no, 1 or 0)", "scaling": "a number"} | dict.fromkeys(
    ("x_min", "x_max", "y_min", "y_max"), "a whole number"
)
_TRUTH = dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "0", "0.0"), False
)
_SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation"}


def archive_folder(archive: Path) -> Path:
    """The folder that holds the metadata: the one given, or one up to two levels below."""
    if not archive.is_dir():
        raise InputError(f"{archive} is not a folder: give the unpacked archive")
    for pattern in ("", "*/", "*/*/"):
        folders = sorted({path.parent for name in _FILES for path in archive.glob(pattern + name)})
        if len(folders) > 1:
            raise InputError(f"{archive} holds several archives, {folders[0]} and {folders[1]}: give one of them")
        if folders:
            return folders[0]
    raise InputError(
        f"{archive / _FILES[0]} is not there, nor {_FILES[1]}, nor either one folder down: give the unpacked archive, "
        "with a folder per label beside the metadata"
    )


def metadata_file(archive: Path) -> Path:
    """The table of a folder that `archive_folder` found."""
    return next(archive / name for name in _FILES if (archive / name).is_file())


def read_metadata(archive: Path, schema: pa.Schema) -> tuple[pa.Table, list[Rejection]]:
    """The metadata as rows of a plan, and a rejection for each row that repeats an image or holds an unusable value.

    Args:
        archive: folder that holds the table.
        schema: the columns of the plan and their types; those the table lacks are null.

    Returns:
        The rows in an order that mixes labels, `dset` as `train` or `validation` (null throughout where the archive
        states no split). Of rows that name one image the first counts.
    """
    path = metadata_file(archive)
    table = _read(path, [*_REQUIRED, *schema.names])
    if absent := [name for name in _REQUIRED if name not in table.column_names]:
        raise InputError(f"{path} has no column {absent}; it has {table.column_names}")
    if len(table) == 0:
        raise InputError(f"{path} has no rows")
    for name in _REQUIRED:
        if missing := table[name].null_count:
            raise InputError(f"{path}: {missing} rows have no {name}")
    table = _set(table, "dset", _splits(table, path))
    if "dir_name" not in table.column_names:
        table = _set(table, "dir_name", pc.list_element(pc.split_pattern(table["idx"], "-"), 0))
    columns, wrong = {}, {}
    for field in schema:
        if field.name in table.column_names:
            columns[field.name], wrong[field.name] = _typed(table[field.name], field.type)
        else:
            columns[field.name] = pa.nulls(len(table), field.type)
    # The id of an image is its file name without the suffix.
    is_repeated = (
        pc.replace_substring_regex(table["filename"], r"(.)\.[^.]*$", r"\1").to_pandas().duplicated().to_numpy()
    )
    is_wrong = np.logical_or.reduce(list(wrong.values()))
    rejections = []
    for number in np.flatnonzero(is_repeated | is_wrong).tolist():
        idx, dir_name, detail = (table[name][number].as_py() for name in ("idx", "dir_name", "filename"))
        reason, image_id = "repeated_row", PurePosixPath(detail).stem
        if not is_repeated[number]:
            name = next(name for name in wrong if wrong[name][number])
            reason, detail = "bad_value", f"{name} is {table[name][number].as_py()!r}, not {_MEANT[name]}"
        rejections.append(Rejection(idx, "import", reason, detail, image_id=image_id, dir_name=dir_name))
    order = np.argsort(_mixed(table["filename"]), kind="stable")
    order = order[~(is_repeated | is_wrong)[order]]
    del table, wrong
    mixed = {name: columns.pop(name).take(pa.array(order)) for name in schema.names}
    return pa.table(mixed, schema=schema).combine_chunks(), rejections


def _mixed(names: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """A number for each file name, the same in every archive, that has nothing to do with its label."""
    numbers = np.empty(len(names), np.uint64)
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE].to_pylist()
        digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in part)
        numbers[start : start + len(part)] = np.frombuffer(digests, ">u8")
    return numbers


def _typed(column: pa.ChunkedArray, kind: pa.DataType) -> tuple[pa.Array | pa.ChunkedArray, npt.NDArray[np.bool_]]:
    """Text as the type of its column, null where it cannot be, and which cells those are."""
    if pa.types.is_string(kind):
        return column, np.zeros(len(column), bool)
    text = column.to_pandas()
    if pa.types.is_boolean(kind):
        meaning = {value: _TRUTH.get(value.strip().lower()) for value in text.dropna().unique()}
        values = text.map(meaning)
        return pa.array(values, kind, from_pandas=True), (values.isna() & text.notna()).to_numpy()
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    usable = np.isfinite(numbers)
    if pa.types.is_integer(kind):
        usable &= (np.abs(numbers) < 2**31) & (numbers == np.round(numbers))
    values = np.where(usable, numbers, 0).astype(kind.to_pandas_dtype())
    return pa.array(values, kind, mask=~usable), text.notna().to_numpy() & ~usable


def _read(path: Path, names: Collection[str]) -> pa.Table:
    """The named columns as text, empty as null; as in the file, so that no number is written another way."""
    if path.suffix == ".csv":
        table = read_typed(path)
        return pa.table({name: table[name].cast(pa.string()) for name in table.column_names if name in names})
    try:
        table = pyarrow.feather.read_table(path)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    columns = [name for name in table.column_names if name in names]
    return pa.table({name: _as_text(table[name], f"{path}, column {name}") for name in columns})


def _as_text(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        text = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{where}: {column.type} values are not text: {error}") from error
    return pc.if_else(pc.is_in(text, value_set=pa.array(["", "nan", "NaN"])), pa.scalar(None, pa.string()), text)


def _splits(table: pa.Table, path: Path) -> pa.Array:
    if "dset" not in table.column_names:
        return pa.nulls(len(table), pa.string())
    stated = table["dset"].to_pylist()
    if unknown := sorted({value or "nothing" for value in stated} - set(_SPLITS)):
        raise InputError(f"{path}: dset holds {unknown}; it should be train or val")
    return pa.array([_SPLITS[value] for value in stated], pa.string())


def _set(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)
