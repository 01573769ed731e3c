"""Parquet files as a dataset with rows by position, its pictures read from where they lie.

`datasets` copies Parquet to Arrow files first, as many bytes again. Here that copy, the index, holds the other columns
and the length of each picture. The pictures are mapped from the Parquet files, in which they stand as in Arrow, one
after the other (`PICTURES`; `publish` writes them so). Those of other files, compressed or cut into pages, are copied.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import datasets as hf
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets.table import MemoryMappedTable, table_cast

from cytoimagenet_hf.core.boundary import explain, reading
from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import atomic_path, held

PICTURES = "DELTA_LENGTH_BYTE_ARRAY"
"""The encoding that keeps the bytes of a page together, after their lengths."""

_RECORD = b"parquet"  # in the metadata of an index: what it was written from

_Exchange = Mapping[str, Callable[[Any], pa.Array]]
"""Path of a column of the file → what makes another array of its values."""


class MappedTable(MemoryMappedTable):
    """The rows of an index, with their pictures.

    Pickled as the path of the index, what it was written from, and what was done to the table.
    """

    def __init__(self, table: pa.Table, path: str, replays: list[Any] | None, fingerprint: str) -> None:
        super().__init__(table, path, replays)
        self.fingerprint = fingerprint

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "replays": self.replays, "fingerprint": self.fingerprint}

    def __setstate__(self, state: dict[str, Any]) -> None:
        table, fingerprint = _open_index(Path(state["path"]))
        if fingerprint != state["fingerprint"]:
            raise InputError(f"the dataset of {state['path']} has changed since it was opened: load the dataset again")
        self.__init__(self._apply_replays(table, state["replays"]), **state)  # type: ignore[misc]

    def _then(self, name: str, *given: Any, **options: Any) -> "MappedTable":
        step = (name, given, options)
        table = self._apply_replays(self.table, [step])
        return MappedTable(table, self.path, self._append_replay(step), self.fingerprint)

    slice = partialmethod(_then, "slice")
    filter = partialmethod(_then, "filter")
    flatten = partialmethod(_then, "flatten")
    combine_chunks = partialmethod(_then, "combine_chunks")
    cast = partialmethod(_then, "cast")
    replace_schema_metadata = partialmethod(_then, "replace_schema_metadata")
    add_column = partialmethod(_then, "add_column")
    append_column = partialmethod(_then, "append_column")
    remove_column = partialmethod(_then, "remove_column")
    set_column = partialmethod(_then, "set_column")
    rename_columns = partialmethod(_then, "rename_columns")
    drop = partialmethod(_then, "drop")
    select = partialmethod(_then, "select")


def map_parquet(
    files: Sequence[str | Path], index: Path, *, info: hf.DatasetInfo, split: hf.NamedSplit | None = None
) -> hf.Dataset:
    """The rows of Parquet files, in order; the index is written first where it is not that of these files, or damaged.

    Args:
        files: on this machine. They must stay as they are while the rows are used.
        index: a file in the cache, one for each list of files.
        info: what the dataset states about itself, with the features of the rows.
        split: its name.
    """
    record = {"features": info.features.to_dict(), "files": [_state(file) for file in files]}
    fingerprint = _fingerprint(record)
    table = _current(index, fingerprint)  # without a lock, which a folder that can only be read does not take
    try:
        if table is None:
            index.parent.mkdir(parents=True, exist_ok=True)
            with held(index.with_suffix(".lock"), wait=True):  # of several processes one writes it
                table = _current(index, fingerprint)
                if table is None:
                    _write_index(index, record)
                    table = _open_index(index)[0]
    except OSError as error:
        raise InputError(
            f"{index.parent} cannot keep an index of the dataset ({explain(error)}): set HF_DATASETS_CACHE to a "
            "folder that can be written, or stream the dataset"
        ) from error
    rows = MappedTable(table, str(index), None, fingerprint)
    return hf.Dataset(rows, info.copy(), split, fingerprint=fingerprint)


def leaves(path: str, kind: pa.DataType) -> dict[str, pa.DataType]:
    """The columns of a Parquet file that a column of a table becomes, by their paths.

    Example:
        >>> leaves("image", hf.Image().pa_type)
        {'image.bytes': DataType(binary), 'image.path': DataType(string)}
    """
    if pa.types.is_struct(kind):
        return {name: leaf for field in kind for name, leaf in leaves(f"{path}.{field.name}", field.type).items()}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return leaves(f"{path}.list.element", kind.value_type)
    return {path: kind}


class _ScatteredError(Exception):
    """The pictures of a row group do not stand one after the other."""


def _state(file: str | Path) -> list[Any]:
    facts = os.stat(file)
    return [os.path.realpath(file), facts.st_size, facts.st_mtime_ns]


def _fingerprint(record: Mapping[str, Any]) -> str:
    """Which files, in which state, with which features."""
    content = json.dumps({name: record[name] for name in ("features", "files")})
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _current(index: Path, fingerprint: str) -> pa.Table | None:
    """The table of an index; None where there is none, or one of something else, or a damaged one."""
    try:
        table, stated = _open_index(index)
    except (OSError, ValueError, TypeError, LookupError, AttributeError):  # of Arrow and JSON; ours are ValueErrors
        return None
    return table if stated == fingerprint else None


def _opened(file: str | Path) -> pq.ParquetFile:
    with reading(file, kind="a shard"):
        return pq.ParquetFile(pa.memory_map(str(file)))


def _groups(files: Sequence[pq.ParquetFile]) -> list[tuple[int, int]]:
    """The number of the file and of the row group in it, of every row group that has rows."""
    return [
        (number, group)
        for number, file in enumerate(files)
        for group in range(file.num_row_groups)
        if file.metadata.row_group(group).num_rows
    ]


def _ends(files: Sequence[pq.ParquetFile], schema: pa.Schema) -> dict[str, list[int]]:
    """Where the pictures of each row group end in its file, for each column whose pictures can be mapped as stated."""
    kinds = {path: kind for field in schema for path, kind in leaves(field.name, field.type).items()}
    ends: dict[str, list[int]] = {path: [] for path, kind in kinds.items() if pa.types.is_binary(kind)}
    for number, group in _groups(files):
        facts = files[number].metadata.row_group(group)
        columns = {facts.column(place).path_in_schema: facts.column(place) for place in range(facts.num_columns)}
        for path in list(ends):
            column = columns.get(path)
            if column is None or column.compression != "UNCOMPRESSED" or PICTURES not in column.encodings:
                del ends[path]
            else:
                ends[path].append(column.data_page_offset + column.total_compressed_size)
    return ends


def _write_index(index: Path, record: Mapping[str, Any]) -> None:
    files = [_opened(name) for name, *_ in record["files"]]
    schema = hf.Features.from_dict(record["features"]).arrow_schema
    try:
        _write_batches(index, files, record, schema, _ends(files, schema))
    except _ScatteredError:
        _write_batches(index, files, record, schema, {})


def _write_batches(
    index: Path,
    files: Sequence[pq.ParquetFile],
    record: Mapping[str, Any],
    schema: pa.Schema,
    ends: Mapping[str, list[int]],
) -> None:
    """One batch for each row group; of the pictures in `ends` their lengths."""
    names = [name for name, *_ in record["files"]]
    contents = [pa.memory_map(name).read_buffer() for name in names]
    groups = _groups(files)
    numbers = [number for number, _ in groups]
    stated = json.dumps({**record, "groups": numbers, "ends": ends}).encode()
    writer = None
    with atomic_path(index) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        for place, (number, group) in enumerate(groups):
            with reading(names[number], kind="a shard"):
                rows = files[number].read_row_group(group)
            try:
                table = table_cast(rows, schema)
            except (TypeError, ValueError) as error:  # of Arrow, and of classes that the dataset does not name
                raise InputError(
                    f"{names[number]} cannot be read as a shard: its columns are not those of the dataset: "
                    f"{one_line(error)}"
                ) from error
            (batch,) = table.combine_chunks().to_batches()
            batch = _exchanged(
                batch, {path: partial(_lengths, contents[number], of[place]) for path, of in ends.items()}
            )
            writer = writer or pa.ipc.new_stream(sink, batch.schema.with_metadata({_RECORD: stated}))
            writer.write_batch(batch)
        (writer or pa.ipc.new_stream(sink, schema.with_metadata({_RECORD: stated}))).close()


def _open_index(index: Path) -> tuple[pa.Table, str]:
    """The rows of an index, and the fingerprint of what it was written from."""
    reader = pa.ipc.open_stream(pa.memory_map(str(index)))
    record = json.loads(reader.schema.metadata[_RECORD])
    for name, *state in record["files"]:
        if _state(name)[1:] != state:
            raise InputError(f"{name} has changed since it was opened: load the dataset again")
    contents = [pa.memory_map(name).read_buffer() for name, *_ in record["files"]]
    batches = [
        _exchanged(
            batch, {path: partial(_pictures, contents[number], of[place]) for path, of in record["ends"].items()}
        )
        for place, (number, batch) in enumerate(zip(record["groups"], reader, strict=True))
    ]
    table = pa.Table.from_batches(batches, hf.Features.from_dict(record["features"]).arrow_schema)
    return table, _fingerprint(record)


def _lengths(content: pa.Buffer, end: int, pictures: pa.Array) -> pa.Array:
    """The lengths of pictures that stand in a file one after the other up to `end`."""
    offsets = np.frombuffer(pictures.buffers()[1], np.int32)[pictures.offset :][: len(pictures) + 1]
    first, size = int(offsets[0]), int(offsets[-1] - offsets[0])
    if size and not (size <= end and content.slice(end - size, size).equals(pictures.buffers()[2].slice(first, size))):
        raise _ScatteredError
    return pc.binary_length(pictures)


def _pictures(content: pa.Buffer, end: int, lengths: pa.Array) -> pa.Array:
    """The pictures of these lengths that stand in a file one after the other up to `end`."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths.fill_null(0).to_numpy(), out=offsets[1:])
    size = int(offsets[-1])
    buffers = [lengths.buffers()[0], pa.py_buffer(offsets), content.slice(end - size, size)]
    return pa.Array.from_buffers(pa.binary(), len(lengths), buffers, lengths.null_count)


def _exchanged(batch: pa.RecordBatch, exchange: _Exchange) -> pa.RecordBatch:
    arrays = [_with_exchanged(batch.column(name), name, exchange) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)


def _with_exchanged(array: pa.Array, path: str, exchange: _Exchange) -> pa.Array:
    if path in exchange:
        return exchange[path](array)
    kind = array.type
    if pa.types.is_struct(kind):
        children = [_with_exchanged(array.field(field.name), f"{path}.{field.name}", exchange) for field in kind]
        return pa.StructArray.from_arrays(children, [field.name for field in kind], mask=array.is_null())
    if pa.types.is_list(kind):
        values = _with_exchanged(array.values, f"{path}.list.element", exchange)
        return pa.ListArray.from_arrays(array.offsets, values, mask=array.is_null())
    return array
