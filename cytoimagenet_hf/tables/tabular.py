"""Tables from outside, read one way: delimited text, Parquet and workbooks, recognised by signature and not by name.

Plate maps, metadata of archives, LoadData, profiles of other programs: a path comes in, a DataFrame with exactly the
columns and rows of the file comes out, or an `InputError` that names file, line and remedy. Cells are text as they
stand in the file, so well `1E02` stays a well and gene `NA` a gene; only an empty cell is missing. What a column means
and whether it is a number is decided by `vocabulary` and `cells`.

Arrow parses text (eight times as fast); the strict parser of `textrows` takes over where Arrow fails or might pass
what is wrong, and says line and cell.
"""

import codecs
import io
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.numbers import plain_number

from .textrows import (
    LONGEST_CELL,
    LONGEST_LINE,
    PACKED_ERRORS,
    SEPARATOR_LINE,
    TextRows,
    first_bytes,
    open_packed,
    read_bare_rows,
    read_rows,
    readable,
)

BadRow = Callable[[int, list[str]], None]
"""Takes the line and the cells of a row that is left out."""
LongRow = BadRow | Literal["cut"] | None

_CHUNK = 10_000  # rows that are Python lists at a time, before they become Arrow
_AT_ONCE = 1 << 30  # bytes of text that are parsed in memory; longer tables go row by row
_XLS = b"\xd0\xcf\x11\xe0"
_ZIP = b"PK\x03\x04"
_LARGEST_WORKBOOK = 1 << 28  # bytes: a sheet ends after 1,048,576 rows, and calamine reads it whole


def read_table(
    path: str | Path,
    *,
    required: Sequence[str] = (),
    columns: Sequence[str | int] | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    quoted: bool = True,
    ragged: bool = False,
    long_row: LongRow = None,
) -> pd.DataFrame:
    """Read a table as text.

    Args:
        path: `.csv`, `.tsv`, `.txt` or any delimited text, plain or packed (gzip, bzip2, xz, zip with one file);
            `.parquet`, whose numbers are spelled plainly (`12`, not `12.0`); `.xls` or `.xlsx`.
        required: columns that must be there.
        columns: read these alone, in this order; required, too. A heading may repeat names that are not asked for;
            a number is the column's place, counted from 0, whatever it is called.
        separator: of delimited text; by default whichever of tab, comma and semicolon the heading has most of.
        encoding: of text that is not UTF-8, such as `cp1252`; UTF-16 with its byte-order mark is always read, anything
            else is refused by default.
        sheet: of a workbook, by name or by number from 1; by default the first.
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
    if (ragged or long_row is not None or not quoted) and _kind(path, sheet) == "text":
        rows = read_rows(path, separator=separator, encoding=encoding, quoted=quoted)
        table = _text(path, rows, required, columns, ragged, long_row)
    else:
        options = {"separator": separator, "encoding": encoding, "sheet": sheet}
        table = read_typed(path, required=required, columns=columns, **options)
    frame: pd.DataFrame = as_text(table).to_pandas(ignore_metadata=True)
    return frame


def read_typed(
    path: str | Path,
    *,
    required: Sequence[str] = (),
    columns: Sequence[str | int] | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
) -> pa.Table:
    """Read a table with the types that the file states: those of Parquet; text, which states none, as text.

    Args:
        path, required, columns, separator, encoding, sheet: as for `read_table`.

    Raises:
        InputError: as for `read_table`.
    """
    path = Path(path)
    kind = _kind(path, sheet)
    if kind == "parquet":
        return _parquet(path, required, columns)
    if kind == "workbook":
        return _workbook(path, required, columns, sheet)
    fast = _parsed_at_once(path, required, columns, separator, encoding)
    return fast or _text(path, read_rows(path, separator=separator, encoding=encoding), required, columns)


def require_filled(table: pd.DataFrame, columns: Sequence[str], path: str | Path) -> None:
    """Refuse a table of `read_table` with an empty cell in these columns: as text it would pass for the word `nan`.

    Raises:
        InputError: how many rows lack which columns, and the first of them.

    Example:
        >>> require_filled(pd.DataFrame({"well": ["A01", "B01"]}), ["well"], "map.csv")
    """
    for column in columns:
        empty = table[column].isna().to_numpy()
        if empty.any():
            raise InputError(f"{path}: {int(empty.sum())} rows have no {column}, row {int(empty.argmax()) + 1} first")


def read_names(
    path: str | Path, *, separator: str | None = None, encoding: str | None = None, sheet: str | None = None
) -> list[str]:
    """The column names of a table as its heading spells them, repeated ones included.

    Raises:
        InputError: as for `read_table`.
    """
    path = Path(path)
    kind = _kind(path, sheet)
    if kind == "parquet":
        return list(open_parquet(path).schema_arrow.names)
    if kind == "workbook":
        return [name.strip() for row in _sheet_rows(path, sheet)[1][:1] for name in row]
    return read_rows(path, separator=separator, encoding=encoding).names


def read_sheets(
    path: str | Path, *, sheet: str | None = None, encoding: str | None = None
) -> dict[str, list[list[str]]]:
    """The first bare cells of a file that may hold something other than a table with a heading.

    Returns:
        Name of the sheet (by default all of a workbook) → its rows of text, blank ones left out; text is one sheet
        without a name. Nothing for Parquet.
    """
    path = Path(path)
    kind = _kind(path, sheet)
    if kind == "parquet":
        return {}
    if kind == "text":
        return {"": [cells for _, cells in islice(read_bare_rows(path, encoding=encoding), _MOST_ROWS)]}
    sheets = dict(_sheet_rows(path, name) for name in ([sheet] if sheet else sheet_names(path)))
    return {name: [row for row in rows[:_MOST_ROWS] if any(row)] for name, rows in sheets.items()}


_MOST_ROWS = 5_000
"""Rows that are looked at: 150 grids of a plate of 1536 wells."""


def _kind(path: Path, sheet: str | None = None) -> str:
    """`parquet`, `workbook` or `text`; anything else is refused, and a sheet of what is not a workbook."""
    with readable(path):
        start = first_bytes(path)
        is_workbook = _is_workbook(path, start)
        if not is_workbook and not start.startswith(b"PAR1"):
            with open_packed(path) as handle:
                is_workbook = handle.read(8).startswith((_XLS, _ZIP))
    if is_workbook:
        return "workbook"
    if not start:
        raise InputError(f"{path} is empty: it should hold a table with a heading")
    for signature, kind in _NO_TABLES.items():
        if start.startswith(signature):
            raise InputError(f"{path} is {kind}")
    if sheet is not None:
        raise InputError(f"{path} is not a workbook: it has no sheet {sheet!r}")
    if start.startswith(b"PAR1"):
        return "parquet"
    if path.suffix.lower() in (".parquet", ".pq"):
        raise InputError(f"{path} is not a Parquet file, whatever its name says. Call a table of text .csv or .tsv")
    return "text"


_NO_TABLES = {
    b"SQLite f": "an SQLite database, as CellProfiler's ExportToDatabase writes it, not a table: export its tables "
    "with ExportToSpreadsheet, or make one with pycytominer or CytoTable",
    b"\x93NUMPY": "an array of NumPy (.npy), not a table: write its rows with plate and well as .parquet or .csv",
    b"\x89HDF": "an HDF5 file (.h5, .h5ad), not a table: write its rows with plate and well as .parquet or .csv",
    b"ARROW1": "an Arrow file (.feather), not a table that is read here: write it as .parquet",
}
"""How other files begin → what they are."""


def _is_workbook(path: Path, start: bytes) -> bool:
    """An `.xls` by its signature; an `.xlsx`, which is a zip, by what it holds, or by its name where it is damaged."""
    if start.startswith(_XLS) or not start.startswith(_ZIP):
        return start.startswith(_XLS)
    try:
        return "[Content_Types].xml" in zipfile.ZipFile(path).namelist()
    except (zipfile.BadZipFile, OSError):
        return path.suffix.lower() == ".xlsx"


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet: {one_line(error)}. Is it damaged or cut short? Copy it again"
        ) from error


def open_parquet(path: Path) -> pq.ParquetFile:
    """A Parquet file with its schema read; a damaged one is an `InputError`."""
    with _parquet_errors(path):
        return pq.ParquetFile(path)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file with the types that it states; a damaged one is an `InputError`."""
    with _parquet_errors(path):
        return pq.ParquetFile(path).read(columns=columns)


def _parquet(path: Path, required: Sequence[str], columns: Sequence[str | int] | None) -> pa.Table:
    opened = open_parquet(path)
    names = list(opened.schema_arrow.names)
    places = _places(path, names, required, columns)
    if opened.metadata.num_rows == 0:
        raise InputError(f"{path} has a heading but no rows")
    return read_parquet(path, None if columns is None else [names[place] for place in places])


def as_text(table: pa.Table) -> pa.Table:
    """Every column of single values as text, whole numbers without a point; lists and structures stay what they are.

    Example:
        >>> as_text(pa.table({"plate": [12.0, None], "dose": [0.5, 1e20]})).to_pydict()
        {'plate': ['12', None], 'dose': ['0.5', '100000000000000000000']}
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            continue
        column = table.column(place)
        if pa.types.is_floating(field.type):
            cells = pa.array([None if value is None else spell_number(value) for value in column.to_pylist()])
            cells = pc.cast(cells, pa.string())
        else:
            cells = pc.cast(column, pa.string(), safe=False)
        table = table.set_column(place, field.name, cells)
    return table


def spell_number(value: float) -> str:
    """A number as one would write it: `12` for 12.0, all digits of a large one.

    Example:
        >>> spell_number(12.0), spell_number(0.3), spell_number(1e20)
        ('12', '0.3', '100000000000000000000')
    """
    return format(value, ".0f") if np.isfinite(value) and value == int(value) else repr(float(value))


def sheet_names(path: str | Path) -> list[str]:
    """The sheets of a workbook; none of any other file."""
    path = Path(path)
    if _kind(path) != "workbook":
        return []
    with _opened_workbook(path) as book:
        return [str(name) for name in book.sheet_names]


@contextmanager
def _opened_workbook(path: Path) -> Iterator[pd.ExcelFile]:
    """A workbook, packed or not; what its reader finds wrong is an `InputError`."""
    try:
        with open(path, "rb") if _is_workbook(path, first_bytes(path)) else open_packed(path) as handle:
            content = handle.read(_LARGEST_WORKBOOK + 1)
        if len(content) > _LARGEST_WORKBOOK:
            raise ValueError(f"it has more than {_LARGEST_WORKBOOK:,} bytes")
        with pd.ExcelFile(io.BytesIO(content), engine="calamine") as book:
            yield book
    except InputError:
        raise
    except Exception as error:  # calamine raises its own class, pandas others, by what is wrong
        raise InputError(
            f"{path} cannot be read as a workbook: {one_line(error)}. Save it again, or as CSV UTF-8"
        ) from error


def _sheet_rows(path: Path, sheet: str | None) -> tuple[str, list[list[str]]]:
    """The name of a sheet, by name or number, by default the first, and its cells."""
    with _opened_workbook(path) as book:
        names = [str(name) for name in book.sheet_names]
        numbered = {str(number): name for number, name in enumerate(names, 1)}
        name = sheet if sheet in names else numbered.get(plain_number(sheet or "1"))
        if name is None:
            raise InputError(f"{path} has no sheet {sheet!r}; it has {', '.join(names)}")
        cells = book.parse(name, dtype=str, header=None, keep_default_na=False)
    return name, [[str(cell) for cell in row] for row in cells.fillna("").to_numpy(dtype=object).tolist()]


def _workbook(path: Path, required: Sequence[str], columns: Sequence[str | int] | None, sheet: str | None) -> pa.Table:
    name, rows = _sheet_rows(path, sheet)
    if not rows:
        raise InputError(f"{path} is empty: its sheet {name} should hold a table with a heading")
    numbered = ((number, row) for number, row in enumerate(rows[1:], start=2) if any(row))
    return _text(path, TextRows([name.strip() for name in rows[0]], numbered), required, columns)


def _parsed_at_once(
    path: Path,
    required: Sequence[str],
    columns: Sequence[str | int] | None,
    separator: str | None,
    encoding: str | None,
) -> pa.Table | None:
    """The table as Arrow parses it; None where the strict parser has to look."""
    content, longest = _plain_utf8(path, encoding)
    if content is None:
        return None
    heading = read_rows(path, separator=separator, encoding=encoding)
    if not _well_quoted(content, heading.separator):
        return None
    places = _places(path, heading.names, required, columns)
    numbers = [str(place) for place in range(len(heading.names))]
    chosen = numbers if columns is None else [numbers[place] for place in places]

    def parse(include: list[str]) -> pa.Table:
        return pyarrow.csv.read_csv(
            pa.BufferReader(content),
            read_options=pyarrow.csv.ReadOptions(
                column_names=numbers, skip_rows=1, block_size=max(1 << 20, 2 * longest + 2)
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=heading.separator),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(numbers, pa.large_string()),
                include_columns=list(dict.fromkeys(include)),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )

    try:
        table = parse(chosen)
        if pc.any(_blank_rows(table)).as_py():
            whole = table if len(set(chosen)) == len(numbers) else parse(numbers)  # blank in the others, too?
            table = table.filter(pc.invert(_blank_rows(whole)))
    except pa.ArrowException:
        return None
    if not len(table):
        return None
    if longest > LONGEST_CELL and any(
        (pc.max(pc.utf8_length(column)).as_py() or 0) > LONGEST_CELL for column in table.columns
    ):
        return None
    named = [heading.names[place] or f"Unnamed: {place}" for place in places]
    return pa.table([table.column(name) for name in chosen], names=named)


def _blank_rows(table: pa.Table) -> pa.ChunkedArray:
    return reduce(pc.and_, (column.is_null() for column in table.columns))


def _plain_utf8(path: Path, encoding: str | None) -> tuple[bytes | None, int]:
    """The text of a file as UTF-8 and its longest line; None where the strict parser has to look at it."""
    try:
        with open_packed(path) as raw:
            content = raw.read(_AT_ONCE + 4).removeprefix(codecs.BOM_UTF8)  # the mark has three bytes
    except PACKED_ERRORS:
        return None, 0
    if len(content) > _AT_ONCE or b"\0" in content or content.count(b"\r") != content.count(b"\r\n"):
        return None, 0
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))
    longest = int(np.diff(ends, prepend=-1, append=len(content)).max())
    head = content[: int(ends[0])] if len(ends) else content
    above_heading = not head.strip() or head.startswith(SEPARATOR_LINE.encode())
    if longest > LONGEST_LINE or above_heading or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return None, 0
    try:
        content.decode()
    except UnicodeDecodeError:
        if encoding is None:
            return None, 0
        try:
            content = content.decode(encoding).encode()
        except (UnicodeError, LookupError):
            return None, 0
        longest *= 3  # a letter of one byte has at most three in UTF-8
    return content, longest


def _well_quoted(content: bytes, separator: str) -> bool:
    """Whether every quoted cell ends in its line, before a separator: Arrow is lenient here, and must not be."""
    if b'"' not in content:
        return True
    mark = re.escape(separator.encode())
    cell = rb'(?:"(?:[^"]|"")*"(?=' + mark + rb'|\r?$)|(?!")[^' + mark + rb"\r]*)"
    row = re.compile(cell + rb"(?:" + mark + cell + rb")*\r?")
    return all(row.fullmatch(line[0]) for line in re.finditer(rb'[^\n]*"[^\n]*', content))


def _text(
    path: Path,
    text: TextRows,
    required: Sequence[str],
    columns: Sequence[str | int] | None = None,
    ragged: bool = False,
    long_row: LongRow = None,
) -> pa.Table:
    places = _places(path, text.names, required, columns)
    names = [text.names[place] or f"Unnamed: {place}" for place in places]
    pick: Callable[[list[str]], Any] = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
    chunks = []
    rows = (pick(cells) for cells in _even(path, text, ragged, long_row))
    while chunk := list(islice(rows, _CHUNK)):
        cells = [[cell or None for cell in column] for column in zip(*chunk, strict=True)]
        chunks.append(pa.table([pa.array(column, pa.large_string()) for column in cells], names=names))
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


def _places(path: Path, names: list[str], required: Sequence[str], columns: Sequence[str | int] | None) -> list[int]:
    """Which columns to read, after those asked for were found and none of them occurs twice."""
    wanted = list(dict.fromkeys([*required, *(name for name in columns or () if isinstance(name, str))]))
    if absent := [name for name in wanted if name not in names]:
        shown = ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
        raise InputError(f"{path} has no column {', '.join(absent)}; it has {shown}")
    counts = Counter(name for name in names if name and (columns is None or name in wanted))
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise InputError(f"{path}: its heading names {', '.join(twice)} more than once. Rename or remove one of them")
    if columns is None:
        return list(range(len(names)))
    return [name if isinstance(name, int) else names.index(name) for name in dict.fromkeys(columns)]
