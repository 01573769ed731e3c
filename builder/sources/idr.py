"""The Image Data Resource: annotation tables of its studies, shared by the `idr*` sources.

A study `idr0088` publishes `idr0088-screenA-annotation.csv` (one row per well, or per image when it is an experiment),
sometimes compressed, and `…-plates.tsv`, which maps plate names to folders below `/uod/idr/filesets/<study>/`.
Older tables carry ` %% url=…` behind column names; blanks before brackets come and go.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.tables.tabular import LongRow

from .base import Archive, Source
from .plates import well_name

LINK = "https://idr.openmicroscopy.org/webclient/?show="
study = partial(Source, database="Image Data Resource", kind="metadata table")
"""A `Source` of this archive."""
_TABLE_SUFFIX = r"\.(csv|tsv|txt)(\.(gz|zip|bz2|xz))?"


def annotation(
    archive: Archive,
    columns: Mapping[str, str | Sequence[str]],
    *,
    screen: str = "screenA",
    kinds: Sequence[str] = ("annotation", "library"),
    optional: Sequence[str] = (),
) -> pd.DataFrame:
    """Read the annotation table of a study, wherever it is below the archive's root, under our names.

    Args:
        archive: the unpacked study.
        columns: our name → the column's documented name, or several in order of preference.
        screen: which screen or experiment of the study.
        kinds: file kinds in order of preference.
        optional: our names of columns that may be absent; they are filled with "".

    Raises:
        InputError: no such table, or a column is missing.
    """
    table = find_table(archive, [f"{screen}-{kind}" for kind in kinds])
    return read_columns(archive, table, columns, optional=optional)


def find_table(archive: Archive, stems: Sequence[str]) -> str:
    """The table of a study that is called `<study>-<stem>.csv`, `.txt` or `.tsv`, compressed or not; or a refusal."""
    table = search_table(archive, stems)
    if table is None:
        study = archive.source.dir_name
        wanted = " or ".join(f"{study}-{stem}.csv" for stem in stems)
        raise InputError(
            f"{study}: no {wanted} (also .gz, .zip) is below {archive.root}. {archive.source.download}".rstrip()
        )
    return table


def screen_tables(archive: Archive, stems: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Screen → its table (stems as for `find_table`), of the screens whose table is there; refused if none is."""
    tables = {screen: table for screen, names in stems.items() if (table := search_table(archive, names))}
    if not tables:
        find_table(archive, [stem for names in stems.values() for stem in names])
    return tables


def search_table(archive: Archive, stems: Sequence[str]) -> str | None:
    """The same table, or None."""
    for stem in stems:
        pattern = re.compile(f"{archive.source.dir_name}-{stem}{_TABLE_SUFFIX}", re.IGNORECASE)
        matches = [name for name in archive.files if pattern.fullmatch(name, name.rfind("/") + 1)]
        if matches:
            return min(matches, key=lambda name: (name.count("/"), len(name), name))
    return None


def read_columns(
    archive: Archive,
    file: str,
    columns: Mapping[str, str | Sequence[str]],
    *,
    optional: Sequence[str] = (),
    separator: str | None = None,
    quoted: bool = True,
    long_row: LongRow = None,
) -> pd.DataFrame:
    """Read some columns of a table under our names; arguments are those of `annotation` and `Archive.table`."""
    names = archive.names(file, separator=separator)
    positions = {plain_column(name): number for number, name in reversed(list(enumerate(names)))}
    chosen: dict[str, int] = {}
    for ours, documented in columns.items():
        spellings = [documented] if isinstance(documented, str) else documented
        places_of_name = [positions[plain_column(name)] for name in spellings if plain_column(name) in positions]
        if places_of_name:
            chosen[ours] = places_of_name[0]
        elif ours not in optional:
            raise InputError(
                f"{archive.source.dir_name}: {inside(archive.root, file)} has no column "
                f"{' or '.join(map(repr, spellings))}; it has {names}. Is it the table of this source?"
            )
    places = sorted(set(chosen.values()))
    table = archive.table(file, columns=places, separator=separator, quoted=quoted, long_row=long_row)
    table = table[(table != "").any(axis=1)]  # spreadsheets leave lines of separators at the end
    cells = {ours: table.iloc[:, places.index(chosen[ours])] if ours in chosen else "" for ours in columns}
    table = pd.DataFrame(cells, index=table.index).reset_index(drop=True)
    return table.assign(well=wells(table["well"])) if "well" in table else table


def plain_column(name: str) -> str:
    """A column name without its ` %% url=…`, without blanks before brackets, in lower case.

    Example:
        >>> plain_column("Experimental Condition[Stress] %% url=http://a/%s")
        'experimental condition [stress]'
    """
    name = re.sub(r"\s*\[", " [", name.partition("%%")[0])
    return " ".join(name.split()).lower()


def mapped(values: pd.Series, function: Callable[[str], Any]) -> pd.Series:
    """Apply a function to a text column, once per distinct text."""
    return values.map({text: function(text) for text in values.unique()})


def wells(values: pd.Series) -> pd.Series:
    """The column of wells as `well_name` spells them; the tables of this archive do not pad. "" stays ""."""
    return mapped(values, lambda well: well_name(well) if well else "")


def server_folders(archive: Archive, *, screen: str = "screenA") -> dict[str, str]:
    """Folder → plate from `<study>-<screen>-plates.tsv`, or nothing when the archive has no such file.

    The file has no header and either column order; of a path that names a file, its folder counts.
    """
    file = search_table(archive, [f"{screen}-plates"])
    if file is None:
        return {}
    text = archive.content(file).decode("utf-8-sig", errors="replace")  # a folder of another spelling is not found
    folders = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
        paths = [cell for cell in cells if cell.startswith("/")]
        plates = [cell for cell in cells if not cell.startswith("/")]
        if len(paths) == 1 and plates:
            path = PurePosixPath(paths[0])
            folder = path.parent if path.suffix.lower() in (".xdce", ".wpi", ".xml", ".screen", ".flex") else path
            below = folder.parts[5:] if folder.parts[1:4] == ("uod", "idr", "filesets") else folder.parts[1:]
            folders["/".join(below)] = plates[0]
    return folders
