"""Tables that name image files: their rows as text, places on a plate by many spellings, files below one root."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.core.numbers import plain_number, whole_or_none
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.tables.cells import spelled
from cytoimagenet_hf.tables.columns import ID_COLUMNS
from cytoimagenet_hf.tables.tabular import read_names, read_table
from cytoimagenet_hf.tables.vocabulary import columns_of
from cytoimagenet_hf.tables.wells import well_at

from .objects import UnreachableError
from .remote import RemoteFiles, UnknownAddressError, is_address, is_remote, local_file
from .source import Source

TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".parquet", ".xlsx")
"""Endings of tables."""

_DEFAULT = SourceOptions()

_PLACES = {term: term for term in ("plate", "well", "site", "z", "row", "column")} | {"timepoint": "t"}
"""Terms of the vocabulary that say a place → what they are called here."""


def table_of(source: Source) -> Path:
    """The table that a source is, or the only table in a folder."""
    names = source.with_suffix(*TABLES)
    if len(names) != 1:
        count = f"it has {len(names)}, such as {names[0]}" if names else "it has none"
        raise InputError(f"{source.text} is to be read by a table, and {count}: give the table itself")
    return source.root / names[0]


def rows_of(path: Path, options: SourceOptions = _DEFAULT) -> pd.DataFrame:
    """A table with every cell as text, empty where there is nothing."""
    with local_file(path) as file:
        table = read_table(file, sheet=options.sheet, encoding=options.encoding)
    return table.fillna("").astype(object)


def is_table(source: Source) -> bool:
    """Whether a source is one file with the ending of a table."""
    return source.single and bool(source.with_suffix(*TABLES))


def names_of(source: Source, options: SourceOptions) -> list[str]:
    """The columns of the table that a source is; none where it is no table."""
    if not is_table(source):
        return []
    with local_file(source.root / source.files[0]) as file:
        return read_names(file, sheet=options.sheet, encoding=options.encoding)


def places(columns: Sequence[str], suffixes: Sequence[str] = ()) -> dict[str, str]:
    """Which columns say plate, well, site, z, t, row and column: the likeliest in the vocabulary, the first of equals.

    Suffixes are of metadata that is repeated per channel: `Image_Metadata_Plate_DAPI`.

    Example:
        >>> places(["Metadata_Plate_DAPI", "Well Position", "FOV", "Timepoint"], ["DAPI"])
        {'plate': 'Metadata_Plate_DAPI', 'well': 'Well Position', 'site': 'FOV', 't': 'Timepoint'}
    """
    names: dict[str, str] = {}
    for column in columns:
        names.setdefault(own_name(column, suffixes), column)
    headers = columns_of(names, tuple(_PLACES))
    return {_PLACES[term]: names[header.text] for term, header in headers.items()}


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


def id_column(columns: Sequence[str], wanted: str | None, where: str) -> str:
    """The column of ids: the one asked for, or the first of `id`, `image_id` and `idx`; an error where none is."""
    for name in [wanted] if wanted else ID_COLUMNS:
        if name in columns:
            return name
    raise InputError(f"{where} has no column {wanted or ' or '.join(ID_COLUMNS)}: name the column of ids (id_column)")


def place_of(row: Mapping[Any, Any], columns: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Plate, well, site, z and t of a row as text, and what is wrong with them.

    A plate is the text of the table; numbers lose the point that a spreadsheet gave them, and the site its zeros.
    """
    facts = {place: spelled(row[column]) for place, column in columns.items()}
    facts = {place: text if place == "plate" else re.sub(r"^(\d+)\.0$", r"\1", text) for place, text in facts.items()}
    row_token, column_token = facts.pop("row", ""), facts.pop("column", "")
    if "site" in facts:
        facts["site"] = plain_number(facts["site"])
    if not facts.get("well") and row_token and column_token:
        try:
            facts["well"] = well_at(row_token, column_token)
        except InputError as error:
            return facts | {"well": f"{row_token}-{column_token}"}, str(error)
    return facts, ""


class ImageTable:
    """A table that is a source: its rows, and the files that they name, below one root or each at its own address."""

    def __init__(self, source: Source, options: SourceOptions) -> None:
        self.path = table_of(source)
        self._rows = rows_of(self.path, options)
        self.columns = [str(column) for column in self._rows.columns]
        self._root = options.root or self.path.parent
        self._remote = RemoteFiles(options.storage)

    def rows(
        self, placed: Mapping[str, str], kept: Mapping[str, str]
    ) -> Iterator[tuple[int, dict[Any, Any], dict[str, str], dict[str, Any]]]:
        """Line in the file, cells, place and the facts of a `FoundPlane` of every row.

        Columns of places are those of `places`; those of metadata are kept by their names (column → name).
        """
        for line, row in enumerate(self._rows.to_dict("records"), 2):
            place, problem = place_of(row, placed)
            facts: dict[str, Any] = {name: place.get(name, "") for name in ("plate", "well", "site")}
            metadata = {name: row[column] for column, name in kept.items() if row[column] != ""}
            facts |= {"t": whole_or_none(place.get("t")), "metadata": metadata, "problem": problem}
            yield line, row, place, facts

    def find(self, name: str, row: str) -> tuple[Path, str]:
        """A file by its name, relative to the root or absolute inside it, or by its address; and why it is unusable.

        Messages call it by its row: `line 7`.
        """
        path = Path()
        try:
            if is_address(name):
                path = self._remote.path(name)
            else:
                path = self._root / name if is_remote(self._root) else _file_below(self._root, name)
            return path, "" if path.is_file() else f"{row} names {name}, which is absent"
        except (UnknownAddressError, UnreachableError) as error:
            return path, f"{row}: {error}"


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
