"""Writing the Parquet files of the dataset: row groups as planned, in the form that the Hub can deduplicate."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cytoimagenet_hf.dataset.mapped import PICTURES, leaves

from .file_plan import DataFile


class CellWriter:
    """Gathers the rows of one cell and writes them group by group, file by file.

    Args:
        folder: where the files go.
        files: those of the cell, in order.
        schema: of their rows.
    """

    def __init__(self, folder: Path, files: Sequence[DataFile], schema: pa.Schema):
        self._folder = folder
        self._schema = schema
        self._steps = iter([(file, rows, n == 0) for file in files for n, rows in enumerate(file.groups)])
        self._next = next(self._steps, None)
        self._waiting: list[pa.Table] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
        """Take in the next rows; a row group is written as soon as it is full."""
        if len(table):
            self._waiting.append(table)
        while self._next and sum(map(len, self._waiting)) >= self._next[1]:
            file, rows, opens = self._next
            if opens:
                self._open(file)
            gathered = pa.concat_tables(self._waiting)
            self._write(gathered.slice(0, rows))
            self._waiting = [gathered.slice(rows)] if len(gathered) > rows else []
            self._next = next(self._steps, None)
        if self._next is None:
            self._close()

    def require_complete(self) -> None:
        """Raise RuntimeError unless every planned row was written, and no other."""
        if self._next is not None or self._waiting:
            raise RuntimeError(f"the rows written to {self._folder} are not those that were planned")

    def _open(self, file: DataFile) -> None:
        self._close()
        self._writer = open_writer(self._folder / file.name, self._schema)

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            raise RuntimeError("no file is open")
        self._writer.write_table(table.combine_chunks(), row_group_size=len(table))

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of one file of the dataset."""
    # The Hub cuts files into chunks by their content and takes only those it has not seen. Pictures therefore stand in
    # the file as they are, one after the other: compressing them again would save nothing, and after a change it would
    # give those around it other bytes; so would the headers of pages, which fall on other places then. One page for
    # each row group leaves nothing but the change (`scripts/bench.py push`): pages cut by content sent 5 to 16 % of a
    # file of which 1 % had changed, and with compression up to 54 %.
    # Their lengths come first, so that the bytes lie as in Arrow: `dataset.mapped` reads them where they are.
    columns = [path for field in schema for path in leaves(field.name, field.type)]
    pictures = {path for path in columns if path.endswith(".bytes")}
    return pq.ParquetWriter(
        path,
        schema,
        compression={path: "none" if path in pictures else "snappy" for path in columns},
        column_encoding=dict.fromkeys(pictures, PICTURES),
        use_dictionary=[path for path in columns if path not in pictures],
        data_page_size=1 << 30,
        write_page_index=True,
    )
