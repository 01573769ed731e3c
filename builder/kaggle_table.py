"""The metadata of the published archive: found at the top or further down, as CSV or Feather, checked row by row."""

import hashlib
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.schema import dataset_features

from .stage import Rejection

_FILES = ("metadata.csv", "metadata.ftr", "metadata.feather")
_REQUIRED = ("label", "path", "filename", "idx")
_SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation"}


def archive_folder(archive: Path) -> Path:
    """The folder that holds the metadata: the one given, or one up to two levels below.

    Raises:
        InputError: there is none, or several.
    """
    if not archive.is_dir():
        raise InputError(f"{archive} is no folder: give the unpacked archive")
    for pattern in ("", "*/", "*/*/"):
        found = sorted({path.parent for name in _FILES for path in archive.glob(pattern + name)})
        if len(found) > 1:
            raise InputError(f"{archive} holds several archives, {found[0]} and {found[1]}: give one of them")
        if found:
            return found[0]
    raise InputError(
        f"{archive / _FILES[0]} is not there, nor {_FILES[1]}, nor either one folder down: give the unpacked archive, "
        "with a folder per label beside the metadata"
    )


def read_metadata(archive: Path) -> tuple[pa.Table, list[Rejection]]:
    """The metadata as rows of a plan, and a rejection for each row that repeats an image.

    Returns:
        All columns as text, `dset` as `train` or `validation` (null throughout where the archive states no split), in
        an order that mixes labels. Of rows that name one file the first counts.

    Raises:
        InputError: the table cannot be read, lacks a column or a value that every row must have.
    """
    path = next(archive / name for name in _FILES if (archive / name).is_file())
    table = _read(path)
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
    names = table["filename"].to_pylist()
    ids = [PurePosixPath(name).stem for name in names]
    repeated = pd.Series(ids).duplicated().to_numpy()
    rejections = [
        Rejection(
            row["idx"], "import", "repeated_row", row["filename"], image_id=ids[number], dir_name=row["dir_name"]
        )
        for number, row in zip(
            np.flatnonzero(repeated).tolist(),
            table.filter(pa.array(repeated)).select(["idx", "filename", "dir_name"]).to_pylist(),
            strict=True,
        )
    ]
    mixed = np.array([hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names], dtype="S8")
    order = np.argsort(mixed, kind="stable")
    order = order[~repeated[order]]
    known = [name for name in (*dataset_features([]), "dset") if name in table.column_names and name != "image"]
    return table.select(known).take(pa.array(order)).combine_chunks(), rejections


def _read(path: Path) -> pa.Table:
    """Every cell as text, empty as null; text as in the file, so that no number is written another way."""
    try:
        if path.suffix == ".csv":
            return _read_csv(path)
        table = pyarrow.feather.read_table(path)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    return pa.table({name: _as_text(table[name], f"{path}, column {name}") for name in table.column_names})


def _read_csv(path: Path) -> pa.Table:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig")
    return pa.table({str(name): pa.array(frame[name], pa.string(), from_pandas=True) for name in frame.columns})


def _as_text(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        text = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{where}: {column.type} values are no text: {error}") from error
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
