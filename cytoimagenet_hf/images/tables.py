"""Tables that name image files: their rows as text, places on a plate by many spellings, files below one root."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.core.numbers import plain_number
from cytoimagenet_hf.tables.tabular import read_names, read_table
from cytoimagenet_hf.tables.wells import well_at

from .objects import Storage
from .remote import RemoteFiles, is_address, is_remote, local_file
from .source import Source

TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".parquet", ".xlsx")
"""Endings of tables."""

_PLACES = {
    "plate": (
        *("plate", "plate_id", "plateid", "plate_name", "platename"),
        *("plate_barcode", "assay_plate_barcode", "barcode"),
    ),
    "well": ("well", "well_id", "wellid", "well_name", "wellname", "well_position"),
    "site": ("site", "field", "field_id", "fieldid", "fov", "site_id"),
    "z": ("plane_id", "plane", "z"),
    "t": ("timepoint", "time_point", "t"),
    "row": ("row", "wellrow", "well_row"),
    "column": ("col", "column", "wellcol", "wellcolumn", "well_col", "well_column"),
}  # fmt: skip


def table_of(source: Source) -> Path:
    """The table that a source is, or the only one that lies in a folder.

    Raises:
        InputError: none, or several.
    """
    names = source.with_suffix(*TABLES)
    if len(names) != 1:
        shown = f"it has {len(names)}, such as {names[0]}" if names else "it has none"
        raise InputError(f"{source.text} is to be read by a table, and {shown}: give the table itself")
    return source.root / names[0]


def rows_of(path: Path) -> pd.DataFrame:
    """A table with every cell as text, empty where there is nothing.

    Raises:
        InputError: it cannot be read.
    """
    with local_file(path) as file:
        return read_table(file).fillna("").astype(object)


def names_of(path: Path) -> list[str]:
    """The columns of a table.

    Raises:
        InputError: it cannot be read.
    """
    with local_file(path) as file:
        return read_names(file)


def places(columns: Sequence[str], suffixes: Sequence[str] = ()) -> dict[str, str]:
    """Which columns say plate, well, site, z, t, row and column.

    Args:
        columns: names as in the table.
        suffixes: of metadata that is repeated per channel: `Image_Metadata_Plate_DAPI`.

    Returns:
        `plate, well, …` → column, the first that says it.
    """
    found: dict[str, str] = {}
    for column in columns:
        name = own_name(column, suffixes).lower()
        for place, spellings in _PLACES.items():
            if name in spellings and place not in found:
                found[place] = column
    return found


def own_name(column: str, suffixes: Sequence[str] = ()) -> str:
    """Name of a metadata column without `Image_`, `Metadata_` and a channel's suffix."""
    name = re.sub(r"^(?:Image_)?(?:Metadata_)?", "", column)
    for suffix in suffixes:
        if name.endswith(f"_{suffix}") and len(name) > len(suffix) + 1:
            return name[: -len(suffix) - 1]
    return name


def is_metadata(column: str) -> bool:
    """Whether a column is metadata by its prefix."""
    return column.startswith(("Metadata_", "Image_Metadata_"))


def place_of(row: Mapping[Any, Any], columns: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Plate, well, site, z and t of a row as text, and what is wrong with them."""
    known = {place: str(row[column]).strip() for place, column in columns.items()}
    known = {place: value.removesuffix(".0") if value[:-2].isdecimal() else value for place, value in known.items()}
    row_token, column_token = known.pop("row", ""), known.pop("column", "")
    if "site" in known:
        known["site"] = plain_number(known["site"])
    if not known.get("well") and row_token and column_token:
        try:
            known["well"] = well_at(row_token, column_token)
        except InputError as error:
            return known | {"well": f"{row_token}-{column_token}"}, str(error)
    return known, ""


class TableFiles:
    """The files that a table names: below one root, or each at its own address.

    Args:
        root: folder that all files of this machine lie below.
        storage: how addresses are reached.
    """

    def __init__(self, root: Path, storage: Storage) -> None:
        self._root = root
        self._open = RemoteFiles(storage)

    def path(self, name: str) -> Path:
        """A file by its name, relative to the root or absolute inside it, or by its address.

        Raises:
            InputError: it lies outside the root, or at an address of an unknown kind.
        """
        if is_address(name):
            return self._open.path(name)
        return self._root / name if is_remote(self._root) else _file_below(self._root, name)


def _file_below(root: Path, name: str) -> Path:
    parent, base = os.path.split(name)
    try:
        path = _folder_below(root, parent) / base
        return inside(root, name) if base in ("", "..") or path.is_symlink() else path
    except InputError as error:
        raise InputError(f"{error}; --root (root=) names the folder that all files lie below") from error


@lru_cache(maxsize=4096)
def _folder_below(root: Path, folder: str) -> Path:
    return inside(root, folder or ".")
