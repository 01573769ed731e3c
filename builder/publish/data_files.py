"""The folders of the dataset, written from shards in one pass: `data/`, the author's small subsets, `channels/`.

The kept rows of all shards meet what `publish` assigned to them, by their ids. The small subsets have files of their
own, so that one of them loads without the rest.
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
from cytoimagenet_hf.dataset.planes import channel_features
from cytoimagenet_hf.dataset.schema import SUBSETS, dataset_features

from .files import CellWriter, DataFile, plan_files
from .repository import SEAL


@dataclass(frozen=True)
class KeptImages:
    """What goes into the dataset, decided for the images of all shards."""

    keep: npt.NDArray[np.bool_]  # (images,) which go into the dataset, in the order of the shards
    assigned: pa.Table  # a row per kept image: `image_id`, `label` (code), `path`, `filename` and `png_bytes`
    labels: Sequence[str]  # class names in the order of their codes
    split: Sequence[str]  # `train` or `validation` for each kept image
    published: Sequence[str]  # the same under the published scheme


def write_dataset(output: Path, shards: Sequence[Path], images: KeptImages) -> dict[str, list[DataFile]]:
    """Write `data/` and each named subset, which has its own codes, and put them in place of what stood there.

    Card, manifest and metadata are removed first: they describe what is about to go.

    Returns:
        Folder → its files, as written: `data`, and each subset that has images.
    """
    schema = dataset_features(images.labels).arrow_schema
    sizes = images.assigned["png_bytes"].to_numpy()
    parts = [_whole(output / "data", schema, images, sizes)]
    for name, wanted in SUBSETS.items():
        part = _subset(output / name, sorted(set(wanted) & set(images.labels)), images, sizes)
        if part is None:
            shutil.rmtree(output / name, ignore_errors=True)
        else:
            parts.append(part)
    require_disk(output, sum(int(sizes[part.cells >= 0].sum()) for part in parts))
    for stale in ("README.md", "LICENSE.md", "manifest.json", "croissant.json", SEAL):
        (output / stale).unlink(missing_ok=True)
    with explain_full_disk(output):
        _write_parts(parts, _batches(shards, images, lambda table, rows: _named(table, rows, schema)))
    return {part.folder.name: part.files for part in parts}


def write_channels(output: Path, shards: Sequence[Path], images: KeptImages) -> list[DataFile]:
    """Write `channels/`, the planes of the images in `data/` in their order, or remove it where no planes were kept.

    `shards` are those of planes, in the order of those of images.
    """
    folder = output / "channels"
    if not shards:
        shutil.rmtree(folder, ignore_errors=True)
        return []
    sizes = np.concatenate([pq.read_table(path, columns=["png_bytes"])["png_bytes"].to_numpy() for path in shards])
    sizes = sizes[images.keep]
    schema = channel_features(images.labels).arrow_schema
    part = _whole(folder, schema, images, sizes)
    require_disk(output, int(sizes.sum()))
    with explain_full_disk(output):
        _write_parts([part], _batches(shards, images, lambda table, rows: _coded(table, rows, schema)))
    return part.files


@dataclass(frozen=True)
class _Part:
    """One folder to write: for each kept image the number of its cell, or -1 where it is not in this folder."""

    folder: Path
    schema: pa.Schema
    files: list[DataFile]
    cells: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64] | None = None  # the code here of each code of the whole dataset; None: the same


def _whole(folder: Path, schema: pa.Schema, images: KeptImages, sizes: npt.NDArray[np.integer[Any]]) -> _Part:
    files = plan_files(images.split, images.published, sizes.tolist())
    numbers = {cell: number for number, cell in enumerate(sorted({file.cell for file in files}))}
    cells = [numbers[cell] for cell in zip(images.split, images.published, strict=True)]
    return _Part(folder, schema, files, np.array(cells, dtype=np.int64))


def _subset(
    folder: Path, chosen: Sequence[str], images: KeptImages, sizes: npt.NDArray[np.integer[Any]]
) -> _Part | None:
    """The images of some labels, in their order, with codes in the order of `chosen`; None where there are none."""
    codes = images.assigned["label"].to_numpy()
    new_codes = np.array([chosen.index(label) if label in chosen else -1 for label in images.labels], dtype=np.int64)
    rows = np.flatnonzero(new_codes[codes] >= 0)
    if not len(rows):
        return None
    schema = dataset_features(chosen).arrow_schema
    split, published = ([sides[row] for row in rows.tolist()] for sides in (images.split, images.published))
    part = _whole(folder, schema, replace(images, split=split, published=published), sizes[rows])
    cells = np.full(len(codes), -1, dtype=np.int64)
    cells[rows] = part.cells
    return replace(part, cells=cells, codes=new_codes)


def _write_parts(parts: Sequence[_Part], batches: Iterable[tuple[pa.Table, slice]]) -> None:
    """Write all files of all parts below new folders, then put these in place; each batch comes with its rows."""
    temporary = [part.folder.with_name(f".{part.folder.name}.tmp") for part in parts]
    writers = []
    for part, folder in zip(parts, temporary, strict=True):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        cells = sorted({file.cell for file in part.files})
        writers.append(
            [CellWriter(folder, [file for file in part.files if file.cell == cell], part.schema) for cell in cells]
        )
    for table, rows in batches:
        for part, cell_writers in zip(parts, writers, strict=True):
            cell_of_row = part.cells[rows]
            for number in np.unique(cell_of_row[cell_of_row >= 0]).tolist():
                is_in_cell = cell_of_row == number
                chosen = table if is_in_cell.all() else table.filter(pa.array(is_in_cell))
                cell_writers[number].add(chosen if part.codes is None else _recoded(chosen, part.codes, part.schema))
    for part, folder, cell_writers in zip(parts, temporary, writers, strict=True):
        for writer in cell_writers:
            writer.require_complete()
        _replace_folder(folder, part.folder)


def _recoded(table: pa.Table, codes: npt.NDArray[np.int64], schema: pa.Schema) -> pa.Table:
    labels = pa.array(codes[table["label"].to_numpy()], pa.int64())
    columns = {name: table[name] for name in table.column_names} | {"label": labels}
    return pa.table(columns, schema=schema)


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
    shards: Sequence[Path], images: KeptImages, convert: Callable[[pa.Table, pa.Table], pa.Table]
) -> Iterator[tuple[pa.Table, slice]]:
    """The kept rows of all shards, converted with what was assigned to them, in the order of the first pass.

    Raises:
        RuntimeError: the rows are not those that `images` were decided for.
    """
    row = kept_row = 0
    with tqdm(total=len(images.assigned), unit="image", desc="publish", disable=None) as bar:
        for path in shards:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=100):
                    mask = images.keep[row : row + len(batch)]
                    table = pa.Table.from_batches([batch]).filter(pa.array(mask))
                    rows, facts = slice(kept_row, kept_row + len(table)), images.assigned.slice(kept_row, len(table))
                    if not table["image_id"].equals(facts["image_id"]):
                        raise RuntimeError(f"{path} holds other images than those that were assigned")
                    yield convert(table, facts), rows
                    row += len(batch)
                    kept_row += len(table)
                    bar.update(len(table))
    if row != len(images.keep):
        raise RuntimeError(f"the shards hold {row} images where {len(images.keep)} were judged")


def _coded(table: pa.Table, assigned: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = {name: table[name] for name in table.column_names} | {"label": assigned["label"]}
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _named(table: pa.Table, assigned: pa.Table, schema: pa.Schema) -> pa.Table:
    images = table["image"].combine_chunks()
    content = images.field("bytes") if len(table) else pa.array([], pa.binary())
    columns = {name: table[name] for name in table.column_names} | {
        "image": pa.StructArray.from_arrays([content, assigned["filename"].combine_chunks()], ["bytes", "path"]),
        **{name: assigned[name] for name in ("label", "path", "filename")},
    }
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)
