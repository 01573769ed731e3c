"""Tables as people hold them: name → what becomes of the bytes of a sound CSV table."""

import gzip
import io
from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def frame(content: bytes) -> pd.DataFrame:
    """The sound table."""
    return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)


def lines(content: bytes) -> list[bytes]:
    """Its lines without their ends."""
    return content.rstrip(b"\n").split(b"\n")


def line_replaced(content: bytes, change: Callable[[bytes], bytes], place: int = 1) -> bytes:
    """Another text in one line."""
    rows = lines(content)
    rows[place] = change(rows[place])
    return b"\n".join(rows) + b"\n"


def parquet(content: bytes) -> bytes:
    """The table as Parquet."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame(content), preserve_index=False), buffer)
    return buffer.getvalue()


def first_cell(cell: bytes) -> Callable[[bytes], bytes]:
    """Another first cell in the first row."""
    return lambda content: line_replaced(content, lambda row: cell + b"," + row.partition(b",")[2])


TABLES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "blank_lines": lambda _: b"\n\n\n",
    "heading_only": lambda content: lines(content)[0] + b"\n",
    "no_heading": lambda content: b"\n".join(lines(content)[1:]) + b"\n",
    "text": lambda _: b"Lorem ipsum dolor sit amet\nconsectetur, adipiscing\nelit, sed, do\n",
    "html": lambda _: b"<!DOCTYPE html>\n<html><body>404: Not found, sorry, gone</body></html>\n",
    "binary": lambda _: bytes(range(256)) * 20,
    "zeros": lambda _: bytes(2000),
    "png": lambda _: b"\x89PNG\r\n\x1a\n" + bytes(200),
    "utf_16_unmarked": lambda content: content.decode().encode("utf-16-le"),
    "utf_32": lambda content: content.decode().encode("utf-32"),
    "latin_1": lambda content: line_replaced(content, lambda row: row + "Müller".encode("latin-1")),
    "nul": lambda content: line_replaced(content, lambda row: row + b"\0"),
    "long_row": lambda content: line_replaced(content, lambda row: row + b",more,and more"),
    "short_row": lambda content: line_replaced(content, lambda row: row.rpartition(b",")[0], place=-1),
    "unclosed_quote": lambda content: line_replaced(content, lambda row: b'"' + row),
    "stray_quote": lambda content: line_replaced(content, lambda row: b'"a"b' + row),
    "million_characters": first_cell(b"a" * 1_000_000),
    "doubled_heading": lambda content: line_replaced(
        content, lambda row: b",".join([row.split(b",")[0]] * len(row.split(b","))), place=0
    ),
    "other_columns": lambda content: line_replaced(
        content, lambda row: b",".join(b"column%d" % n for n in range(len(row.split(b",")))), place=0
    ),
    "cut_gzip": lambda content: gzip.compress(content)[:-9],
    "false_gzip": lambda _: b"\x1f\x8b\x08\0" + b"rubbish" * 9,
    "gzip_bomb": lambda content: gzip.compress(content + b"a" * (1 << 26)),
    "false_zip": lambda _: b"PK\x03\x04" + bytes(80),
    "cut_parquet": lambda content: parquet(content)[:-30],
    "false_parquet": lambda _: b"PAR1" + bytes(100) + b"PAR1",
    "lfs_pointer": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
}
"""Each of these must be refused by whatever reads the table."""
