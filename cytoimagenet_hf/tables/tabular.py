"""Tables from outside, read one way: delimited text, Parquet and workbooks, recognised by signature and not by name.

Plate maps, metadata of archives, LoadData, profiles of other programs: a path comes in, a DataFrame with exactly the
columns and rows of the file comes out, or an `InputError` that names file, line and remedy. Cells are text as they
stand in the file, so well `1E02` stays a well and gene `NA` a gene; only an empty cell is missing.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cytoimagenet_hf.core.errors import InputError, one_line

from .textrows import PACKED_ERRORS, TextRows, open_packed, read_rows

BadRow = Callable[[int, list[str]], None]
"""Takes the line and the cells of a row that is left out."""
LongRow = BadRow | Literal["cut"] | None

_CHUNK = 10_000  # rows that are Python lists at a time, before they become Arrow
_MISSING = ("", "nan", "NaN", "NA", "N/A", "#N/A", "NULL", "null", "None", "<NA>")
_XLS = b"\xd0\xcf\x11\xe0"
_ZIP = b"PK\x03\x04"
_LARGEST_WORKBOOK = 1 << 28  # bytes: a sheet ends after 1,048,576 rows, and calamine reads it whole


def read_table(
    path: str | Path,
    *,
    required: Sequence[str] = (),
    columns: Sequence[str | int] | None = None,
    dtype: type[str] | None = str,
    separator: str | None = None,
    fallback: str | None = None,
    quoted: bool = True,
    ragged: bool = False,
    long_row: LongRow = None,
) -> pd.DataFrame:
    """Read a table.

    Args:
        path: `.csv`, `.tsv`, `.txt` or any delimited text, plain or packed (gzip, bzip2, xz, zip with one file);
            `.parquet`; `.xls` or `.xlsx` (first sheet).
        required: columns that must be there.
        columns: read these alone, in this order; required, too. A heading may repeat names that are not asked for;
            a number is the column's place, counted from 0, whatever it is called.
        dtype: `str` for text throughout; None to make numbers of the columns that hold nothing else (in text, `NA`,
            `nan`, `NULL` and the like then count as missing), and to keep the types of a Parquet file.
        separator: of delimited text; by default whichever of tab, comma and semicolon the heading has most of.
        fallback: encoding of text that is not UTF-8 where the makers' is known, such as `latin-1`; UTF-16 with its
            byte-order mark is always read, anything else is refused by default.
        quoted: False for text whose `"` mean nothing.
        ragged: True fills rows that end early: for published tables known to have such rows. By default they are
            refused, since a file cut short looks the same. Empty cells behind the last column are always left out.
        long_row: called for each row with more cells than the heading has names, which is then left out: a separator
            that should stand in quotes has moved its cells. `cut` drops what stands behind the last name, where that
            is known to be all. By default such a row is refused.

    Returns:
        The rows in the file's order, under a new index; rows without any text are left out. A blank name of the
        heading is `Unnamed: <place>`.

    Raises:
        InputError: unreadable, empty or damaged, without rows, not text, ragged, a quote that is not closed, a NUL
            byte, a cell of more than 524,288 characters, a repeated or a missing column.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "map.csv").write_text("well,gene\\nA01,NA\\nB01,\\n")
        ...     read_table(Path(folder) / "map.csv", required=["well"])
          well gene
        0  A01   NA
        1  B01  NaN
    """
    path = Path(path)
    wanted = list(dict.fromkeys([*required, *(name for name in columns or () if isinstance(name, str))]))
    kind = _kind(path)
    if kind == "parquet":
        table = _parquet(path, wanted, columns)
        return (table if dtype is None else _as_text(table)).to_pandas(ignore_metadata=True)
    if kind == "workbook":
        table = _workbook(path, wanted, columns)
    else:
        rows = read_rows(path, separator=separator, fallback=fallback, quoted=quoted)
        table = _text(path, rows, wanted, columns, ragged, long_row)
    frame: pd.DataFrame = (_with_numbers(table) if dtype is None else table).to_pandas()
    return frame


def require_filled(table: pd.DataFrame, columns: Sequence[str], path: str | Path) -> None:
    """Refuse a table with an empty cell where every row needs one: as text it would pass for the word `nan`.

    Args:
        table: of `read_table`.
        columns: of the table.
        path: where it is from.

    Raises:
        InputError: how many rows lack which columns, and the first of them.

    Example:
        >>> require_filled(pd.DataFrame({"well": ["A01", "B01"]}), ["well"], "map.csv")
    """
    for column in columns:
        empty = table[column].isna().to_numpy()
        if empty.any():
            raise InputError(f"{path}: {int(empty.sum())} rows have no {column}, row {int(empty.argmax()) + 1} first")


def read_text(path: str | Path, *, required: Sequence[str] = ()) -> pa.Table:
    """A delimited text file as Arrow columns of text, for tables of millions of rows; empty cells are null.

    Raises:
        InputError: as for `read_table`.
    """
    path = Path(path)
    _kind(path)
    table = _text(path, read_rows(path), list(required))
    return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def read_names(path: str | Path, *, separator: str | None = None, fallback: str | None = None) -> list[str]:
    """The column names of a table as its heading spells them, repeated ones included.

    Raises:
        InputError: as for `read_table`.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == "parquet":
        return list(_opened(path).schema_arrow.names)
    if kind == "workbook":
        return list(_workbook_rows(path)[0])
    return read_rows(path, separator=separator, fallback=fallback).names


def _kind(path: Path) -> str:
    try:
        if not path.is_file():
            raise InputError(f"{path} {'is a folder, not a table' if path.is_dir() else 'does not exist'}")
        with open(path, "rb") as handle:
            start = handle.read(8)
        if not _is_workbook(path, start) and not start.startswith(b"PAR1"):
            with open_packed(path) as handle:
                if handle.read(8).startswith((_XLS, _ZIP)):
                    return "workbook"
    except PACKED_ERRORS as error:
        raise InputError(
            f"{path} cannot be read: {one_line(getattr(error, 'strerror', None) or error)}. "
            "Is it damaged or cut short? Copy it again"
        ) from error
    if not start:
        raise InputError(f"{path} is empty: it should hold a table with a heading")
    if start.startswith(b"PAR1"):
        return "parquet"
    if path.suffix.lower() in (".parquet", ".pq"):
        raise InputError(f"{path} is no Parquet file, whatever its name says. A table of text is called .csv or .tsv")
    return "workbook" if _is_workbook(path, start) else "text"


def _is_workbook(path: Path, start: bytes) -> bool:
    """An `.xls` by its signature; an `.xlsx`, which is a zip, by what it holds, or by its name where it is damaged."""
    if start.startswith(_XLS) or not start.startswith(_ZIP):
        return start.startswith(_XLS)
    try:
        return "[Content_Types].xml" in zipfile.ZipFile(path).namelist()
    except (zipfile.BadZipFile, OSError):
        return path.suffix.lower() == ".xlsx"


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet: {one_line(error)}. Is it cut short? Copy it again"
        ) from error


def _parquet(path: Path, wanted: list[str], columns: Sequence[str | int] | None) -> pa.Table:
    opened = _opened(path)
    names = list(opened.schema_arrow.names)
    places = _places(path, names, wanted, columns)
    if opened.metadata.num_rows == 0:
        raise InputError(f"{path} has a heading but no rows")
    try:
        return opened.read(columns=None if columns is None else [names[place] for place in places])
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet: {one_line(error)}. Is it damaged? Copy it again"
        ) from error


def _as_text(table: pa.Table) -> pa.Table:
    """Every column of single values as text; lists and structures stay what they are."""
    for place, field in enumerate(table.schema):
        if not pa.types.is_nested(field.type) and not pa.types.is_string(field.type):
            table = table.set_column(place, field.name, pc.cast(table.column(place), pa.string(), safe=False))
    return table


def _workbook_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with open(path, "rb") as handle:
            start = handle.read(8)
        with open(path, "rb") if _is_workbook(path, start) else open_packed(path) as handle:
            content = handle.read(_LARGEST_WORKBOOK + 1)
        if len(content) > _LARGEST_WORKBOOK:
            raise InputError(f"it has more than {_LARGEST_WORKBOOK:,} bytes")
        cells = pd.read_excel(io.BytesIO(content), engine="calamine", dtype=str, header=None, keep_default_na=False)
    except Exception as error:  # calamine raises its own class, pandas others, by what is wrong
        raise InputError(
            f"{path} cannot be read as a workbook: {one_line(error)}. Save it again, or as CSV UTF-8"
        ) from error
    rows = cells.fillna("").to_numpy(dtype=object).tolist()
    if not rows:
        raise InputError(f"{path} is empty: its first sheet should hold a table with a heading")
    return [str(name).strip() for name in rows[0]], rows[1:]


def _workbook(path: Path, wanted: list[str], columns: Sequence[str | int] | None) -> pa.Table:
    names, rows = _workbook_rows(path)
    numbered = ((number, row) for number, row in enumerate(rows, start=2) if any(row))
    return _text(path, TextRows(names, numbered), wanted, columns)


def _text(
    path: Path,
    text: TextRows,
    wanted: list[str],
    columns: Sequence[str | int] | None = None,
    ragged: bool = False,
    long_row: LongRow = None,
) -> pa.Table:
    places = _places(path, text.names, wanted, columns)
    names = [text.names[place] or f"Unnamed: {place}" for place in places]
    pick: Callable[[list[str]], Any] = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
    chunks = []
    rows = (pick(cells) for cells in _even(path, text, ragged, long_row))
    while chunk := list(islice(rows, _CHUNK)):
        arrays = [pa.array(cells, pa.large_string()) for cells in zip(*chunk, strict=True)]
        chunks.append(pa.table([_emptied(array) for array in arrays], names=names))
    if not chunks:
        raise InputError(f"{path} has a heading but no rows")
    return pa.concat_tables(chunks)


def _even(path: Path, text: TextRows, ragged: bool, long_row: LongRow) -> Iterator[list[str]]:
    """Rows of as many cells as the heading has names."""
    width = len(text.names)
    for line, cells in text.rows:
        if len(cells) > width and (long_row == "cut" or not any(cells[width:])):  # rows that end in separators
            del cells[width:]
        if len(cells) > width and callable(long_row):
            long_row(line, cells)
            continue
        if len(cells) < width and ragged:
            cells += [""] * (width - len(cells))
        if len(cells) != width:
            raise InputError(
                f"{path}, line {line}: {len(cells)} cells under a heading of {width}. Put cells that hold a separator "
                "in quotes, and complete a row that was cut short"
            )
        yield cells


def _emptied(cells: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, cells.type), cells)


def _places(path: Path, names: list[str], wanted: list[str], columns: Sequence[str | int] | None) -> list[int]:
    """Which columns to read, after those asked for were found and none of them stands twice."""
    if absent := [name for name in wanted if name not in names]:
        shown = ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
        raise InputError(f"{path} has no column {', '.join(absent)}; it has {shown}")
    counts = Counter(name for name in names if name and (columns is None or name in wanted))
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise InputError(f"{path}: its heading names {', '.join(twice)} more than once. Rename or remove one of them")
    if columns is None:
        return list(range(len(names)))
    return [name if isinstance(name, int) else names.index(name) for name in dict.fromkeys(columns)]


def _with_numbers(table: pa.Table) -> pa.Table:
    """Columns whose cells are numbers, or missing, as int64 or float64."""
    missing = pa.array(_MISSING)
    for place, name in enumerate(table.column_names):
        cells = table.column(place)
        filled = pc.if_else(pc.is_in(cells, missing), pa.scalar(None, cells.type), cells)
        for kind in (pa.int64(), pa.float64()):
            try:
                table = table.set_column(place, name, pc.cast(pc.utf8_trim_whitespace(filled), kind))
                break
            except pa.ArrowInvalid:
                continue
        else:
            table = table.set_column(place, name, filled)
    return table
