"""Batches from Parquet files as they arrive: data on the Hub, or more of it than the disk holds.

The row groups of a split are put in a drawn order and cut into parts of equal numbers of rows, one for each process:
no row is drawn twice and none is left out, however unequal the files are. Rows of many groups are mixed in a window,
and decoded when their turn comes, so that skipping to the middle of an epoch reads nothing of what comes before.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import datasets as hf
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from huggingface_hub import HfFileSystem
from numpy.typing import NDArray

from cytoimagenet_hf.core.ahead import map_ahead
from cytoimagenet_hf.core.boundary import reading
from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.dataset.hub import require_hub
from cytoimagenet_hf.dataset.images import (
    DatasetName,
    find_id_column,
    find_image_column,
    find_label_column,
    row_id,
)
from cytoimagenet_hf.dataset.load import stored_files, subset_labels
from cytoimagenet_hf.dataset.schema import SUBSETS
from cytoimagenet_hf.dataset.splits import apply_split_scheme

from .config import TrainConfig
from .data import Batch, count_steps, decode_all, stored_image
from .tables import category_codes, choose_splits, dataset_name, outside_map, resolve_subset

_WINDOW = 4096  # rows that are mixed: some 250 MB of encoded images
_ROW = "_row"  # the column of row numbers that is added


class Piece(NamedTuple):
    """Rows `first` to `end` of a row group, counted among those of it that are taken."""

    group: int
    first: int
    end: int


def deal_rows(sizes: Sequence[int], *, processes: int, rank: int, order: Sequence[int] | None = None) -> list[Piece]:
    """The rows of one process, of groups of these sizes in this order: the parts differ by one row at most."""
    total = int(sum(sizes))
    first, end = total * rank // processes, total * (rank + 1) // processes
    pieces, start = [], 0
    for group in range(len(sizes)) if order is None else order:
        low, high = max(first - start, 0), min(end - start, sizes[group])
        if low < high:
            pieces.append(Piece(int(group), low, high))
        start += sizes[group]
    return pieces


class StreamSource:
    """The streaming counterpart of `data.RowSource`.

    An epoch is as many whole steps as the split has rows for; what does not fill a step is other rows in each epoch.
    The order is a function of (seed, epoch) and the number of processes.
    """

    def __init__(self, config: TrainConfig, *, rank: int, processes: int) -> None:
        self.config, self.rank, self.processes = config, rank, processes
        self.splits, self.classes = _open_splits(config)
        counts = {name: len(split) for name, split in self.splits.items()}
        stated = [f"{name} {split.where_files}" for name, split in self.splits.items()]
        content = "\x1f".join([*self.classes, *map(str, counts.items()), *stated])
        self.fingerprint = hashlib.sha256(content.encode()).hexdigest()
        self.steps = count_steps(
            counts["train"], batch_size=config.batch_size, accumulate=config.passes, processes=processes
        )
        drawn = self.steps * config.batch_size
        self.coverage = (
            f"streaming: an epoch draws {drawn:,} of {counts['train']:,} rows, each once, {drawn // processes:,} on "
            f"each of {processes} processes"
        )
        if left := counts["train"] - drawn:
            self.coverage += f"; {left:,} rows do not fill a step, others in each epoch"

    def training(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The forward passes of an epoch from optimiser step `start` on."""
        config, split = self.config, self.splits["train"]
        micro = config.batch_size // (config.passes * self.processes)
        order = derive_rng(config.seed, "stream", str(epoch)).permutation(len(split.groups))
        pieces = deal_rows(split.sizes, processes=self.processes, rank=self.rank, order=order.tolist())
        windows = [
            (window, derive_rng(config.seed, "window", f"{epoch}/{self.rank}/{number}"))
            for number, window in enumerate(_windows(pieces))
        ]
        passes = self.steps * config.passes
        batches = self._batches("train", windows, micro, skipped=start * config.passes * micro)
        return map_ahead(self._decode, islice(batches, passes - start * config.passes))

    def validation(self, size: int) -> Iterator[Batch]:
        """Every row of the validation split that falls to this process, each once."""
        split = self.splits["validation"]
        pieces = deal_rows(split.sizes, processes=self.processes, rank=self.rank)
        windows = [(window, None) for window in _windows(pieces)]
        return map_ahead(self._decode, self._batches("validation", windows, size))

    def _batches(self, name: str, windows: Sequence[Any], size: int, skipped: int = 0) -> Iterator[pa.Table]:
        """Rows of the windows in batches, the last one shorter, after those that are skipped."""
        lengths = [sum(piece.end - piece.first for piece in window) for window, _ in windows]
        while windows and lengths[0] <= skipped:
            skipped -= lengths.pop(0)
            windows = windows[1:]
        split = self.splits[name]
        rest = None
        for table in map_ahead(lambda window: split.read(*window), windows, depth=lambda: 1):
            rows = table.slice(skipped) if rest is None else pa.concat_tables([rest, table])
            skipped = 0
            whole = len(rows) // size * size
            yield from (rows.slice(at, size) for at in range(0, whole, size))
            rest = rows.slice(whole)
        if rest is not None and len(rest):
            yield rest

    def _decode(self, rows: pa.Table) -> Batch:
        columns, config = self.splits["train"].columns, self.config
        if columns.id is None:
            ids = [row_id("row", number) for number in rows[_ROW].to_pylist()]
        else:
            ids = rows[columns.id].to_pylist()
        if None in ids:
            raise InputError(f"{config.dataset} has a row without an id ({columns.id}): rows are known by it")
        labels = self._labels(rows, ids)
        feature = columns.feature
        pixels, slots = decode_all(
            (stored_image(cell, feature) for cell in rows[columns.image].to_pylist()),
            map(str, ids),
            config.image_size,
            skip=config.on_unreadable == "skip",
            where=config.dataset,
        )
        names = rows["category"].to_pylist() if "category" in rows.column_names else [None] * len(ids)
        codes = category_codes(names)
        kept = tuple(str(ids[slot]) for slot in slots)
        tensor = torch.from_numpy
        return Batch(pixels, tensor(labels[slots]), tensor(codes[slots]), tensor(slots), kept)

    def _labels(self, rows: pa.Table, ids: Sequence[Any]) -> NDArray[np.int64]:
        column = self.splits["train"].columns.label
        if column is None or not self.classes:
            return np.full(len(rows), -1, dtype=np.int64)
        labels = _codes(rows[column], self.splits["train"].recoded)
        lowest = 0 if self.config.objective != "views" else -1
        if len(bad := np.flatnonzero((labels < lowest) | (labels >= len(self.classes)))):
            raise InputError(outside_map(self.config.dataset, str(ids[bad[0]]), labels[bad[0]], len(self.classes)))
        return labels


@dataclass(frozen=True)
class _Columns:
    image: str
    label: str | None
    id: str | None
    feature: Any  # of the images


@dataclass(frozen=True)
class _Group:
    """A row group: its file, its number there, and its first row counted over the whole split."""

    file: str
    number: int
    start: int
    rows: int


@dataclass(frozen=True)
class _Split:
    """The Parquet files of a split, opened; which of their rows are taken, and which columns are read."""

    files: Mapping[str, pq.ParquetFile]
    columns: _Columns
    read_columns: tuple[str, ...]
    recoded: Mapping[Any, int] | None = None  # value or code of the label → class; None: the code itself
    kept: NDArray[np.int64] | None = None  # row numbers over the whole split, ascending; None: all
    where_files: str = ""  # what tells the files from those of other data

    def __len__(self) -> int:
        return int(sum(self.sizes))

    @cached_property
    def groups(self) -> list[_Group]:
        """All row groups in the order of the files."""
        groups, start = [], 0
        for name, file in self.files.items():
            for number in range(file.num_row_groups):
                rows = file.metadata.row_group(number).num_rows
                groups.append(_Group(name, number, start, rows))
                start += rows
        return groups

    @cached_property
    def sizes(self) -> list[int]:
        """How many rows of each group are taken."""
        return [len(self._taken(group)) for group in self.groups]

    def _taken(self, group: _Group) -> NDArray[np.int64]:
        """The row numbers of a group that are taken."""
        if self.kept is None:
            return np.arange(group.start, group.start + group.rows)
        low, high = np.searchsorted(self.kept, [group.start, group.start + group.rows])
        return self.kept[low:high]

    def read(self, pieces: Sequence[Piece], rng: np.random.Generator | None) -> pa.Table:
        """The rows of some pieces, mixed by `rng` where there is one, with their numbers as a column."""
        tables = []
        for piece in pieces:
            group = self.groups[piece.group]
            numbers = self._taken(group)[piece.first : piece.end]
            with reading(group.file, kind="a shard"):
                table = self.files[group.file].read_row_group(group.number, columns=list(self.read_columns))
            tables.append(table.take(numbers - group.start).append_column(_ROW, pa.array(numbers)))
        rows = pa.concat_tables(tables, promote_options="permissive")
        return rows if rng is None else rows.take(rng.permutation(len(rows)))

    def small(self, columns: Sequence[str]) -> pa.Table:
        """Some small columns of all rows, in order."""
        names = list(dict.fromkeys(columns))
        return pa.concat_tables([file.read(columns=names) for file in self.files.values()])


def _windows(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces in runs of `_WINDOW` rows and more."""
    window: list[Piece] = []
    for piece in pieces:
        window.append(piece)
        if sum(part.end - part.first for part in window) >= _WINDOW:
            yield window
            window = []
    if window:
        yield window


def _codes(values: Any, recoded: Mapping[Any, int] | None) -> NDArray[np.int64]:
    """Class codes of a label column; -1 where there is none."""
    if recoded is None:
        return pc.fill_null(values, -1).to_numpy().astype(np.int64)
    return np.asarray([recoded.get(value, -1) for value in values.to_pylist()], dtype=np.int64)


def _open_splits(config: TrainConfig) -> tuple[dict[str, _Split], tuple[str, ...]]:
    """`train` and `validation` of a dataset, with the rows that the configuration takes, and the classes."""
    name = dataset_name(config)
    subset = resolve_subset(config)
    builder = None
    if isinstance(subset, str) and subset in SUBSETS and config.split_scheme is None:
        builder = _builder(replace(name, configuration=subset), optional=True)
    subset = "full" if builder is not None else subset
    builder = builder or _builder(name)
    chosen = choose_splits(builder.config.data_files, config, name)
    if "validation" not in chosen:
        raise InputError(
            f"{config.dataset} has no validation split, and a stream draws none: --validation-split names one, or do "
            "not stream"
        )
    opened = {side: _open_files(builder.config.data_files[split], name) for side, split in chosen.items()}
    schema = next(iter(opened["train"].values())).schema_arrow
    features = builder.info.features or hf.Features.from_arrow_schema(schema)
    columns = _find_columns(features, config, name)
    needed = [column for column in (columns.image, columns.label, columns.id) if column is not None]
    read = tuple(dict.fromkeys([*needed, *({"category"} & features.keys())]))
    splits = {}
    for side, files in opened.items():
        _check_files(files, read, columns, schema)
        if not sum(file.metadata.num_rows for file in files.values()):
            raise InputError(f"{name.path}: split {chosen[side]} is empty")
        splits[side] = _Split(files, columns, read, where_files=_stated(files, name))
    splits, classes = _with_classes(splits, features)
    if config.split_scheme is not None:
        splits = _under_scheme(splits, config.split_scheme)
    return (splits, classes) if subset == "full" else _of_labels(splits, classes, subset_labels(subset, classes))


def _builder(name: DatasetName, *, optional: bool = False) -> Any:
    """The builder of a dataset; None where it has no such configuration and `optional` is set."""
    if not Path(name.path).is_dir():
        require_hub(name.path)
    configuration = None if name.configuration == "default" else name.configuration
    try:
        return hf.load_dataset_builder(name.path, configuration, revision=name.revision)
    except (ValueError, OSError) as error:
        if optional and "not found" in str(error):
            return None
        raise InputError(f"no dataset streams from {name.path!r}: {one_line(error)}") from error


def _open_files(paths: Sequence[str], name: DatasetName) -> dict[str, pq.ParquetFile]:
    """The Parquet files at these paths, their footers read."""
    if other := next((path for path in paths if not path.endswith(".parquet")), None):
        raise InputError(
            f"{name.path} is not kept as Parquet ({other.rpartition('/')[2]}), which streaming reads: do not stream, "
            f"or take the Hub's own copy, hf:{name.path}@refs/convert/parquet"
        )

    def opened(path: str) -> pq.ParquetFile:
        with reading(path, kind="a shard"):
            return pq.ParquetFile(HfFileSystem().open(path) if path.startswith("hf://") else path)

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(paths, pool.map(opened, paths), strict=True))


def _find_columns(features: hf.Features, config: TrainConfig, name: DatasetName) -> _Columns:
    required = config.objective != "views"
    image = find_image_column(features, config.image_column, name.path)
    feature = features[image]
    return _Columns(
        image,
        find_label_column(features, config.label_column, name.path, required=required),
        find_id_column(list(features), config.id_column, name.path),
        hf.Image(decode=False) if isinstance(feature, hf.Image) else feature,
    )


def _check_files(
    files: Mapping[str, pq.ParquetFile], read: Sequence[str], columns: _Columns, schema: pa.Schema
) -> None:
    """Refuse a file that lacks a column, or numbers its classes in another order than the first."""
    expected = hf.Features.from_arrow_schema(schema).get(columns.label)
    for path, file in files.items():
        if absent := [name for name in read if name not in file.schema_arrow.names]:
            raise InputError(f"{path} has no column {', '.join(absent)}: build it again, or copy it again")
        if columns.label and hf.Features.from_arrow_schema(file.schema_arrow)[columns.label] != expected:
            raise InputError(f"{path} has other classes in {columns.label!r} than the first file: build it again")


def _stated(files: Mapping[str, pq.ParquetFile], name: DatasetName) -> str:
    """What tells these files from others: hashes where a manifest has them, sizes, and on the Hub the commit."""
    is_built = Path(name.path).is_dir() and any(Path(name.path).glob("data/*.parquet"))
    stored = stored_files(name.path) if is_built else []
    if stored:
        return str(stored)
    return str([(path if "://" in path else Path(path).name, file.metadata.num_rows) for path, file in files.items()])


def _with_classes(splits: dict[str, _Split], features: hf.Features) -> tuple[dict[str, _Split], tuple[str, ...]]:
    column = splits["train"].columns.label
    if column is None or isinstance(features[column], hf.ClassLabel):
        return splits, tuple(getattr(features.get(column or ""), "names", ()))
    values = {value for split in splits.values() for value in pc.unique(split.small([column])[column]).to_pylist()}
    ordered = sorted(values - {None})
    code = {value: number for number, value in enumerate(ordered)}
    return {name: replace(split, recoded=code) for name, split in splits.items()}, tuple(map(str, ordered))


def _of_labels(
    splits: dict[str, _Split], classes: Sequence[str], labels: Sequence[str]
) -> tuple[dict[str, _Split], tuple[str, ...]]:
    """The rows of some labels, which are numbered anew."""
    restricted = {}
    for name, split in splits.items():
        column = str(split.columns.label)
        codes = _codes(split.small([column])[column], split.recoded)
        wanted = [classes.index(label) for label in labels]
        rows = np.flatnonzero(np.isin(codes, wanted))
        kept = rows if split.kept is None else np.intersect1d(rows, split.kept)
        before = split.recoded or {code: code for code in range(len(classes))}
        recoded = {value: wanted.index(code) for value, code in before.items() if code in wanted}
        restricted[name] = replace(split, kept=kept, recoded=recoded)
    return restricted, tuple(labels)


def _under_scheme(splits: dict[str, _Split], scheme: str) -> dict[str, _Split]:
    """The rows of both splits divided anew; each side then reads the files of both."""
    train, validation = splits["train"], splits["validation"]
    both = replace(train, files={**train.files, **validation.files})
    first = train.groups[-1].start + train.groups[-1].rows
    present = next(iter(both.files.values())).schema_arrow.names
    table = both.small([name for name in ("image_id", "label", "idx", "sha256") if name in present])
    table = table.append_column(_ROW, pa.array(np.arange(len(table))))
    parts = {"train": table.slice(0, first), "validation": table.slice(first)}
    divided = apply_split_scheme(hf.DatasetDict({name: hf.Dataset(part) for name, part in parts.items()}), scheme)
    return {name: replace(both, kept=np.sort(np.asarray(part[_ROW][:]))) for name, part in divided.items()}
