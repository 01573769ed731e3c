"""Rows of delimited text from outside: any compression recognised by its signature, strict text, exact line numbers.

A file comes in; its heading and its rows of cells come out, one at a time, so that neither a packed file of terabytes
nor a line without an end fills the memory. What is wrong with the text is an `InputError` that names file and line.
"""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from cytoimagenet_hf.core.errors import InputError, one_line

MAX_ROWS = 2**25
"""Rows of a table of text: 33 million, ten times the largest table of the sources; as text they take some 10 GB."""

MAX_BYTES = 2**33
"""Bytes of a table of text, unpacked: 8 GB."""
SEPARATOR_LINE = "sep="
LONGEST_LINE = 1 << 24
"""Characters: a table of 7,000 features has lines of 150,000."""
LONGEST_CELL = 1 << 19
"""Characters: nothing that belongs into one cell is longer; a quote that is not closed soon is."""

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
PACKED_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What the unpackers of the standard library raise; RuntimeError is zipfile's for a password."""


@dataclass(frozen=True)
class TextRows:
    """The heading of a table, a generator of (number of its first line, cells) for each row that is not blank, and
    what stands between cells."""

    names: list[str]
    rows: Iterator[tuple[int, list[str]]]
    separator: str = ","


def read_rows(
    path: Path, *, separator: str | None = None, encoding: str | None = None, quoted: bool = True
) -> TextRows:
    """Open a delimited text file and read its heading.

    Args:
        path: plain, or packed by gzip, bzip2, xz or zip (one file in it) under any name.
        separator: between cells; by default whichever of tab, comma and semicolon the heading has most of.
        encoding: of a file that is not UTF-8, where its makers' is known; by default such a file is refused.
        quoted: a cell that begins with `"` ends at the next one; False takes quotes as text.

    Raises:
        InputError: unreadable, empty, not text, or of more than `MAX_ROWS` rows or `MAX_BYTES` bytes; while rows are
            drawn, a damaged archive, a byte that is not text, a quote that is not closed, or a line or cell that is
            too long.
    """
    with readable(path), open_packed(path) as raw:
        if not isinstance(raw, io.BufferedReader) or path.stat().st_size > MAX_ROWS:  # packed, or long enough
            _require_bounded(path, raw)
    lines = _lines(path, _encoding(path, encoding))
    head = next(lines, "")
    # Blank lines above the heading, and the line by which spreadsheets are told the separator; the reader below starts
    # to count at the heading.
    while head and (not head.strip() or head.startswith(SEPARATOR_LINE)):
        head = next(lines, "")
    mark = separator or _separator(head)
    rows = _parsed(path, chain([head], lines), mark, quoted)
    _, names = next(rows, (0, []))
    if not names:
        raise InputError(f"{path} is empty: it should hold a table with a heading")
    return TextRows([name.strip() for name in names], rows, mark)


def _require_bounded(path: Path, content: IO[bytes]) -> None:
    """Refuse a table, unpacked, of more rows or bytes than can be read as text."""
    rows = size = 0
    while block := content.read(1 << 20):
        rows += block.count(b"\n")
        size += len(block)
        if rows > MAX_ROWS or size > MAX_BYTES:
            what = f"{MAX_ROWS:,} rows" if rows > MAX_ROWS else f"{MAX_BYTES:,} bytes"
            raise InputError(
                f"{path} holds more than {what} of text, unpacked: write it as Parquet, or cut it into several files"
            )


def read_bare_rows(path: Path, *, encoding: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each row of a file that need not have a heading; its first lines tell the separator."""
    lines = _lines(path, _encoding(path, encoding))
    first = list(islice(lines, _TOLD_BY))
    yield from _parsed(path, chain(first, lines), _separator("".join(first)), True)


_TOLD_BY = 40  # lines


def _parsed(path: Path, lines: Iterator[str], separator: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST_CELL)  # of the whole process; the csv module knows no other
    reader = csv.reader(
        lines,
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}, line {first}: {_explained(str(error))}") from error
        if any(cells):
            yield first, cells


def _explained(error: str) -> str:
    if "field larger" in error:
        return f'a cell of more than {LONGEST_CELL:,} characters. Is a quote (") not closed?'
    if "unexpected end" in error:
        return 'the quote (") that begins here is never closed: close it, or double it where it is part of the text'
    return f'{error}. A quote (") inside a quoted cell is written twice ("")'


def _separator(head: str) -> str:
    return max("\t,;", key=head.count) if any(mark in head for mark in "\t,;") else ","


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """Lines with their ends, checked for NUL and length."""
    try:
        with readable(path), open_packed(path) as raw, _decoded(raw, encoding) as text:
            for number, line in enumerate(iter(lambda: text.readline(LONGEST_LINE), ""), start=1):
                where = f"{path}, line {number}"
                if "\0" in line:
                    wrong = "a NUL byte. Is it a table, or UTF-16 without its mark? Save it as UTF-8 text"
                    raise InputError(f"{where}: {wrong}")
                if len(line) == LONGEST_LINE:
                    raise InputError(f"{where}: longer than {LONGEST_LINE:,} characters. Is it a table of text?")
                yield line
    except UnicodeDecodeError as error:
        raise InputError(_undecodable(path, encoding)) from error


def _undecodable(path: Path, encoding: str) -> str:
    """Locate the first bad byte by a second, slower pass."""
    if encoding == "utf-16":
        return f"{path} begins like UTF-16 but is not UTF-16 text. Save it as UTF-8"
    with open_packed(path) as raw:
        for number, line in enumerate(iter(lambda: raw.readline(LONGEST_LINE), b""), start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                where = f"{path}, line {number}, byte {error.start + 1}: 0x{line[error.start]:02x} is not"
                if encoding not in ("utf-8", "utf-8-sig"):
                    return f"{where} {encoding}. Which encoding is it saved in? Save it as UTF-8"
                return (
                    f"{where} UTF-8. Spreadsheets on Windows write cp1252: extract and profile take "
                    "--encoding cp1252 (encoding=); or save it as CSV UTF-8, or convert it: iconv -f CP1252 -t UTF-8"
                )
    return f"{path} is not {encoding} text"  # it changed between the two passes


def _encoding(path: Path, fallback: str | None) -> str:
    if fallback is not None and not _is_text_encoding(fallback):
        raise InputError(
            f"encoding {fallback!r} is unknown: cp1252 is Windows in the west, latin-1, mac_roman, shift_jis"
        )
    try:
        with readable(path), open_packed(path) as raw:
            start = raw.read(4)
            if start[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
                raise InputError(f"{path} is UTF-32 text. Save it as UTF-8")
            for mark, encoding in _MARKS.items():
                if start.startswith(mark):
                    return encoding
        if fallback is not None:
            with readable(path), open_packed(path) as raw, _decoded(raw, "utf-8") as text:
                while text.read(1 << 20):
                    pass
        return "utf-8"
    except UnicodeDecodeError:
        return fallback or "utf-8"


def _decoded(raw: IO[bytes], encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(raw), encoding, newline="")  # type: ignore[type-var]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What a damaged or packed file raises, as an error that names it."""
    try:
        yield
    except PACKED_ERRORS as error:
        reason = one_line(getattr(error, "strerror", None) or error)
        raise InputError(f"{path} cannot be read: {reason}. Is it damaged or cut short? Copy it again") from error


def _is_text_encoding(name: str) -> bool:
    try:
        return bool(codecs.lookup(name)._is_text_encoding)
    except LookupError:
        return False


def first_bytes(path: Path) -> bytes:
    """The first 8 bytes of a file as it lies on the disk.

    Raises:
        InputError: no such file.
    """
    if not path.is_file():
        raise InputError(f"{path} {'is a folder, not a table' if path.is_dir() else 'does not exist'}")
    with open(path, "rb") as handle:
        return handle.read(8)


def open_packed(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked as they are read when its signature says that it is packed.

    Raises:
        InputError: no such file, or a zip that does not hold one file.
        OSError: it cannot be opened.
    """
    start = first_bytes(path)
    for signature, opener in _UNPACKERS.items():
        if start.startswith(signature):
            unpacked: IO[bytes] = opener(path)  # all of them read by default
            return unpacked
    return open(path, "rb")


def _only_member(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    members = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if members and all(name.endswith(".npy") for name in members):
        raise InputError(
            f"{path} holds arrays of NumPy (.npz), as DeepProfiler writes them, one file per site, not a table: "
            "collect them with pycytominer or CytoTable, with plate and well, as .parquet or .csv"
        )
    if len(members) != 1:
        raise InputError(f"{path} holds {len(members)} files: unpack it and name the table")
    return archive.open(members[0])


_UNPACKERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"PK\x03\x04": _only_member,
    b"PK\x05\x06": _only_member,  # a zip without files
}
