"""The Parquet files of the dataset: which image goes to which file and row group, and writing them in one pass.

Files are cut so that each lies on one side of the stored split *and* of the published one: both splits are then
lists of files, and no image is stored twice. Row groups hold 100 images, as streaming and the Hub's viewer expect.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features
from tqdm.auto import tqdm

from builder.shards import explain_full_disk
from builder.stage import require_disk

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


def write_dataset(
    output: Path,
    shards: Sequence[Path],
    keep: npt.NDArray[np.bool_],
    assigned: pa.Table,
    *,
    features: Features,
    split: Sequence[str],
    published: Sequence[str],
) -> list[DataFile]:
    """Write `data/` from shards, and put it in place of what stood there when it is complete.

    Args:
        output: the dataset repository. Its card, manifest and metadata are removed: they describe what is about to go.
        shards: in order.
        keep: which of their images, in order, go into the dataset.
        assigned: one row per kept image: `label` (code), `path`, `filename` and `png_bytes`.
        features: of the dataset.
        split: `train` or `validation` for each kept image.
        published: the same under the published scheme.

    Returns:
        The files, as written.

    Raises:
        InputError: the disk is too small.
    """
    files = plan_files(split, published, assigned["png_bytes"].to_pylist())
    require_disk(output, int(np.sum(assigned["png_bytes"].to_numpy())))
    for stale in ("README.md", "manifest.json", "croissant.json"):
        (output / stale).unlink(missing_ok=True)
    schema = features.arrow_schema
    batches = _batches(
        shards, keep, _cells(files, split, published), lambda table, rows: _named(table, rows, schema), assigned
    )
    with explain_full_disk(output):
        _write_files(output / "data", files, batches, schema)
    return files


def write_channels(
    output: Path,
    shards: Sequence[Path],
    keep: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.integer[Any]],
    *,
    features: Features,
    split: Sequence[str],
    published: Sequence[str],
) -> list[DataFile]:
    """Write `channels/`, the planes of the images in `data/`, or remove it where no planes were kept.

    Args:
        output: the dataset repository.
        shards: of planes, in the order of those of images; none where no planes were kept.
        keep: which of their rows go into the dataset, as for `write_dataset`.
        labels: code of each kept row.
        features: of the configuration.
        split, published: as for `write_dataset`: rows come in the order of the images in `data/`.

    Returns:
        The files, as written.

    Raises:
        InputError: the disk is too small.
    """
    folder = output / "channels"
    if not shards:
        shutil.rmtree(folder, ignore_errors=True)
        return []
    sizes = np.concatenate([pq.read_table(path, columns=["png_bytes"])["png_bytes"].to_numpy() for path in shards])
    sizes = sizes[keep]
    files = plan_files(split, published, sizes.tolist())
    require_disk(output, int(sizes.sum()))
    schema = features.arrow_schema
    assigned = pa.table({"label": pa.array(labels, pa.int64())})
    batches = _batches(
        shards, keep, _cells(files, split, published), lambda table, rows: _coded(table, rows, schema), assigned
    )
    with explain_full_disk(output):
        _write_files(folder, files, batches, schema)
    return files


def _cells(files: Sequence[DataFile], split: Sequence[str], published: Sequence[str]) -> npt.NDArray[np.int64]:
    number = {cell: n for n, cell in enumerate(sorted({file.cell for file in files}))}
    return np.array([number[cell] for cell in zip(split, published, strict=True)], dtype=np.int64)


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


def _write_files(
    folder: Path,
    files: Sequence[DataFile],
    batches: Iterable[tuple[pa.Table, npt.NDArray[np.int64]]],
    schema: pa.Schema,
) -> None:
    """Write all files below a new folder, then put it in place of `folder`; each batch comes with cell numbers."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    cells = sorted({file.cell for file in files})
    writers = [_CellWriter(temporary, [file for file in files if file.cell == cell], schema) for cell in cells]
    for table, cell_of_row in batches:
        for number in np.unique(cell_of_row).tolist():
            is_own = cell_of_row == number
            writers[number].add(table if is_own.all() else table.filter(pa.array(is_own)))
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
        # Pages end where the content says so: after a change, what did not change is the same bytes to the Hub, which
        # stores and sends only what is new. With the index of pages, readers skip to those they need.
        self._writer = pq.ParquetWriter(
            self._folder / file.name, self._schema, write_page_index=True, use_content_defined_chunking=True
        )

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


def _batches(
    shards: Sequence[Path],
    keep: npt.NDArray[np.bool_],
    cells: npt.NDArray[np.int64],
    convert: Callable[[pa.Table, pa.Table], pa.Table],
    assigned: pa.Table,
) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64]]]:
    """The kept rows of all shards, converted with what was assigned to them, in the order of the first pass."""
    row = kept_row = 0
    with tqdm(total=len(assigned), unit="image", desc="publish", disable=None) as bar:
        for path in shards:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=100):
                    mask = keep[row : row + len(batch)]
                    table = pa.Table.from_batches([batch]).filter(pa.array(mask))
                    part = slice(kept_row, kept_row + len(table))
                    yield convert(table, assigned.slice(kept_row, len(table))), cells[part]
                    row += len(batch)
                    kept_row += len(table)
                    bar.update(len(table))


def _coded(table: pa.Table, assigned: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = {name: table[name] for name in table.column_names} | {"label": assigned["label"]}
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _named(table: pa.Table, assigned: pa.Table, schema: pa.Schema) -> pa.Table:
    images = table["image"].combine_chunks()
    content = images.field("bytes") if len(table) else pa.array([], pa.binary())
    columns = {name: table[name] for name in table.column_names} | {
        "image": pa.StructArray.from_arrays([content, _flat(assigned["filename"])], ["bytes", "path"]),
        **{name: assigned[name] for name in ("label", "path", "filename")},
    }
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
