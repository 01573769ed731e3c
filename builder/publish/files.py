"""The Parquet files of the dataset: which image goes to which file and row group, and how these are written.

Files are cut so that each lies on one side of the stored split *and* of the published one: both splits are then
lists of files, and no image is stored twice for them. Row groups hold 250 images, some 16 MB: a stream's first row and
a single row come quickly, and a second push after a small change sends little more than the change
(`scripts/bench.py push`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cytoimagenet_hf.dataset.mapped import PICTURES, leaves

ROW_GROUP_ROWS = 250
_ROW_GROUP_BYTES = 32 << 20  # of large whole images fewer: memory stays bounded
_FILE_BYTES = 500_000_000

Cell = tuple[str, str]
"""(stored split, published split)."""


@dataclass(frozen=True)
class DataFile:
    """One file to write: its name below `data/`, its cell, and the images in each of its row groups."""

    name: str
    cell: Cell
    groups: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Images in the file."""
        return sum(self.groups)


def plan_files(splits: Sequence[str], published: Sequence[str], png_bytes: Sequence[int]) -> list[DataFile]:
    """Cut the images of each cell, in their order, into row groups and files.

    Example:
        >>> [(file.name, file.groups) for file in plan_files(["train"] * 300, ["train"] * 300, [9] * 300)]
        [('train-00000-of-00001.parquet', (250, 50))]
    """
    sizes: dict[Cell, list[int]] = {}
    for cell, size in zip(zip(splits, published, strict=True), png_bytes, strict=True):
        sizes.setdefault(cell, []).append(size)
    files = []
    for split in ("train", "validation"):
        parts = [(cell, groups) for cell in sorted(sizes) if cell[0] == split for groups in _cut_files(sizes[cell])]
        files += [
            DataFile(f"{split}-{number:05d}-of-{len(parts):05d}.parquet", cell, groups)
            for number, (cell, groups) in enumerate(parts)
        ]
    return files


def _cut_files(sizes: list[int]) -> Iterator[tuple[int, ...]]:
    groups: list[int] = []
    file_bytes = rows = group_bytes = 0
    for number, size in enumerate(sizes):
        rows += 1
        group_bytes += size
        last = number == len(sizes) - 1
        if not (last or rows == ROW_GROUP_ROWS or group_bytes >= _ROW_GROUP_BYTES):
            continue
        groups.append(rows)
        file_bytes += group_bytes
        rows = group_bytes = 0
        if last or file_bytes >= _FILE_BYTES:
            yield tuple(groups)
            groups, file_bytes = [], 0


class CellWriter:
    """Gathers the rows of one cell and writes its files in a folder, group by group."""

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
                self._close()
                self._writer = open_writer(self._folder / file.name, self._schema)
            gathered = pa.concat_tables(self._waiting)
            group = gathered.slice(0, rows).combine_chunks()
            if self._writer is not None:
                self._writer.write_table(group, row_group_size=rows)
            self._waiting = [gathered.slice(rows)] if len(gathered) > rows else []
            self._next = next(self._steps, None)
        if self._next is None:
            self._close()

    def require_complete(self) -> None:
        """Raise RuntimeError unless every planned row was written, and no other."""
        if self._next is not None or self._waiting:
            raise RuntimeError(f"the rows written to {self._folder} are not those that were planned")

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
