"""The Parquet files of the dataset: which image goes to which file and row group, and writing them in one pass.

Files are cut so that each lies on one side of the stored split *and* of the published one: both splits are then
lists of files, and no image is stored twice for them. Only the author's small subsets have files of their own, so that
one of them loads without the rest. Row groups hold 250 images, some 16 MB: a stream's first row and a single row come
quickly, and a second push after a small change sends little more than the change (`scripts/bench.py push`).
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from builder.shards import explain_full_disk
from builder.stage import require_disk
from cytoimagenet_hf.planes import channel_features
from cytoimagenet_hf.schema import SUBSETS, dataset_features

from .seal import SEAL

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


def write_dataset(
    output: Path,
    shards: Sequence[Path],
    keep: npt.NDArray[np.bool_],
    assigned: pa.Table,
    *,
    labels: Sequence[str],
    split: Sequence[str],
    published: Sequence[str],
) -> dict[str, list[DataFile]]:
    """Write `data/` and a folder for each named subset from shards, and put them in place of what stood there.

    A subset has files of its own, with its own codes: it is loaded without reading the rest, and its classes are its
    own. They are written in the same pass.

    Args:
        output: the dataset repository. Its card, manifest and metadata are removed: they describe what is about to go.
        shards: in order.
        keep: which of their images, in order, go into the dataset.
        assigned: one row per kept image: `label` (code), `path`, `filename` and `png_bytes`.
        labels: class names in the order of their codes.
        split: `train` or `validation` for each kept image.
        published: the same under the published scheme.

    Returns:
        Folder → its files, as written: `data`, and each subset that has images.

    Raises:
        InputError: the disk is too small.
    """
    schema = dataset_features(labels).arrow_schema
    codes, sizes = assigned["label"].to_numpy(), assigned["png_bytes"].to_numpy()
    parts = [_whole(output / "data", schema, split, published, sizes)]
    for name, wanted in SUBSETS.items():
        part = _subset(output / name, sorted(set(wanted) & set(labels)), labels, codes, split, published, sizes)
        if part is None:
            shutil.rmtree(output / name, ignore_errors=True)
        else:
            parts.append(part)
    require_disk(output, sum(int(sizes[part.cells >= 0].sum()) for part in parts))
    for stale in ("README.md", "manifest.json", "croissant.json", SEAL):
        (output / stale).unlink(missing_ok=True)
    with explain_full_disk(output):
        _write_parts(parts, _batches(shards, keep, lambda table, rows: _named(table, rows, schema), assigned))
    return {part.folder.name: part.files for part in parts}


def write_channels(
    output: Path,
    shards: Sequence[Path],
    keep: npt.NDArray[np.bool_],
    codes: npt.NDArray[np.integer[Any]],
    *,
    labels: Sequence[str],
    split: Sequence[str],
    published: Sequence[str],
) -> list[DataFile]:
    """Write `channels/`, the planes of the images in `data/`, or remove it where no planes were kept.

    Args:
        output: the dataset repository.
        shards: of planes, in the order of those of images; none where no planes were kept.
        keep: which of their rows go into the dataset, as for `write_dataset`.
        codes: label of each kept row.
        labels: class names in the order of their codes.
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
    schema = channel_features(labels).arrow_schema
    part = _whole(folder, schema, split, published, sizes)
    require_disk(output, int(sizes.sum()))
    assigned = pa.table({"label": pa.array(codes, pa.int64())})
    with explain_full_disk(output):
        _write_parts([part], _batches(shards, keep, lambda table, rows: _coded(table, rows, schema), assigned))
    return part.files


@dataclass(frozen=True)
class _Part:
    """One folder to write: for each kept image the number of its cell, or -1 where it is not in this folder."""

    folder: Path
    schema: pa.Schema
    files: list[DataFile]
    cells: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64] | None = None  # the code here of each code of the whole dataset; None: the same


def _whole(
    folder: Path,
    schema: pa.Schema,
    split: Sequence[str],
    published: Sequence[str],
    sizes: npt.NDArray[np.integer[Any]],
) -> _Part:
    files = plan_files(split, published, sizes.tolist())
    return _Part(folder, schema, files, _cells(files, split, published))


def _subset(
    folder: Path,
    chosen: Sequence[str],
    labels: Sequence[str],
    codes: npt.NDArray[np.int64],
    split: Sequence[str],
    published: Sequence[str],
    sizes: npt.NDArray[np.integer[Any]],
) -> _Part | None:
    """The images of some labels, in their order, with codes in the order of `chosen`; None where there are none."""
    new_codes = np.array([chosen.index(label) if label in chosen else -1 for label in labels], dtype=np.int64)
    rows = np.flatnonzero(new_codes[codes] >= 0)
    if not len(rows):
        return None
    schema = dataset_features(chosen).arrow_schema
    own = [[sides[row] for row in rows.tolist()] for sides in (split, published)]
    part = _whole(folder, schema, own[0], own[1], sizes[rows])
    cells = np.full(len(codes), -1, dtype=np.int64)
    cells[rows] = part.cells
    return replace(part, cells=cells, codes=new_codes)


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


def _write_parts(parts: Sequence[_Part], batches: Iterable[tuple[pa.Table, slice]]) -> None:
    """Write all files of all parts below new folders, then put these in place; each batch comes with its rows."""
    temporary = [part.folder.with_name(f".{part.folder.name}.tmp") for part in parts]
    writers = []
    for part, folder in zip(parts, temporary, strict=True):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        cells = sorted({file.cell for file in part.files})
        writers.append(
            [_CellWriter(folder, [file for file in part.files if file.cell == cell], part.schema) for cell in cells]
        )
    for table, rows in batches:
        for part, own in zip(parts, writers, strict=True):
            cell_of_row = part.cells[rows]
            for number in np.unique(cell_of_row[cell_of_row >= 0]).tolist():
                is_own = cell_of_row == number
                chosen = table if is_own.all() else table.filter(pa.array(is_own))
                own[number].add(chosen if part.codes is None else _recoded(chosen, part.codes, part.schema))
    for part, folder, own in zip(parts, temporary, writers, strict=True):
        for writer in own:
            writer.require_complete()
        _replace_folder(folder, part.folder)


def _recoded(table: pa.Table, codes: npt.NDArray[np.int64], schema: pa.Schema) -> pa.Table:
    labels = pa.array(codes[table["label"].to_numpy()], pa.int64())
    columns = {name: table[name] for name in table.column_names} | {"label": labels}
    return pa.table(columns, schema=schema)


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
    columns = [path for field in schema for path in _leaves(field.name, field.type)]
    pictures = {path for path in columns if path.endswith(".bytes")}
    return pq.ParquetWriter(
        path,
        schema,
        compression={path: "none" if path in pictures else "snappy" for path in columns},
        use_dictionary=[path for path in columns if path not in pictures],
        data_page_size=1 << 30,
        write_page_index=True,
    )


def _leaves(path: str, kind: pa.DataType) -> list[str]:
    """The columns of the file that a column of the table becomes."""
    if pa.types.is_struct(kind):
        return [leaf for field in kind for leaf in _leaves(f"{path}.{field.name}", field.type)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _leaves(f"{path}.list.element", kind.value_type)
    return [path]


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
    convert: Callable[[pa.Table, pa.Table], pa.Table],
    assigned: pa.Table,
) -> Iterator[tuple[pa.Table, slice]]:
    """The kept rows of all shards, converted with what was assigned to them, in the order of the first pass."""
    row = kept_row = 0
    with tqdm(total=len(assigned), unit="image", desc="publish", disable=None) as bar:
        for path in shards:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=100):
                    mask = keep[row : row + len(batch)]
                    table = pa.Table.from_batches([batch]).filter(pa.array(mask))
                    rows = slice(kept_row, kept_row + len(table))
                    yield convert(table, assigned.slice(kept_row, len(table))), rows
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
