"""The Parquet files of the dataset: which image goes to which file and row group, and writing them in one pass.

Files are cut so that each lies on one side of the stored split *and* of the published one: both splits are then
lists of files, and no image is stored twice. Row groups hold 100 images, as streaming and the Hub's viewer expect.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 100
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

    Args:
        splits: the stored split of each image, `train` or `validation`.
        published: the published split of each image.
        png_bytes: the size of each image.

    Example:
        >>> [(file.name, file.groups) for file in plan_files(["train"] * 150, ["train"] * 150, [9] * 150)]
        [('train-00000-of-00001.parquet', (100, 50))]
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


def write_files(
    folder: Path, files: Sequence[DataFile], batches: Iterable[tuple[pa.Table, npt.NDArray[Any]]], schema: pa.Schema
) -> None:
    """Write all files below a new folder, then put it in place of `folder` at once.

    Args:
        folder: `data` of the dataset; what stood there goes when the new files are complete.
        files: the plan.
        batches: tables of `schema` with the cell of each row, as positions in the sorted cells of the plan.
        schema: `Features.arrow_schema`.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    cells = sorted({file.cell for file in files})
    writers = [_CellWriter(temporary, [file for file in files if file.cell == cell], schema) for cell in cells]
    for table, cell_of_row in batches:
        for number, writer in enumerate(writers):
            writer.add(table.filter(pa.array(cell_of_row == number)))
    for writer in writers:
        writer.require_complete()
    _replace_folder(temporary, folder)


class _CellWriter:
    """Gathers the rows of one cell and writes them group by group, file by file."""

    def __init__(self, folder: Path, files: Sequence[DataFile], schema: pa.Schema):
        self._folder = folder
        self._schema = schema
        self._steps = iter([(file, rows, n == 0) for file in files for n, rows in enumerate(file.groups)])
        self._next = next(self._steps, None)
        self._waiting: list[pa.Table] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, table: pa.Table) -> None:
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
        if self._next is not None or self._waiting:
            raise RuntimeError(f"the rows written to {self._folder} are not those that were planned")

    def _open(self, file: DataFile) -> None:
        self._close()
        self._writer = pq.ParquetWriter(self._folder / file.name, self._schema, write_page_index=True)

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            raise RuntimeError("no file is open")
        self._writer.write_table(table.combine_chunks(), row_group_size=len(table))

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _replace_folder(new: Path, folder: Path) -> None:
    for path in new.iterdir():
        with open(path, "rb") as handle:
            os.fsync(handle.fileno())
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def cell_numbers(files: Sequence[DataFile], splits: Sequence[str], published: Sequence[str]) -> npt.NDArray[np.int64]:
    """The cell of each image, as `write_files` numbers them."""
    number = {cell: n for n, cell in enumerate(sorted({file.cell for file in files}))}
    return np.array([number[cell] for cell in zip(splits, published, strict=True)], dtype=np.int64)
