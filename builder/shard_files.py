"""One shard on disk: written once, sealed, checked whenever it is taken over, mended row by row.

A shard is a Parquet file. Beside it stands its seal, `seal-#####.json`: its report, the SHA-256 of the shard, its size
and time, and those of every raw file it was made from. A shard whose seal is absent or does not fit is not a shard: it
is made again. One of the same size and time is not hashed again, nor opened. The seal has times alone, so copies of an
archive give the same shards.
"""

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from cytoimagenet_hf.core.files import atomic_path, file_sha256
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.shards.shard import Shard

from .stage import Rejection

_ROW_GROUP_ROWS = 100
_ROW_GROUP_BYTES = 32 << 20  # large images close a group earlier: memory stays bounded

Row = dict[str, Any]
Made = tuple[list[Row], list[Rejection]]
"""What becomes of one input row: its images, and what was left out."""


@dataclass(frozen=True)
class ShardTask(Shard):
    """One shard to make: a record batch of a plan. Stages add what workers need, and say which files a row reads."""

    plan: Path
    plan_id: str
    again: frozenset[str] | None = None  # keys of rows to make again, the others are taken over; None makes all
    keep_channels: bool = False  # a second file holds the planes of the same images, row by row

    columns_of_files: ClassVar[tuple[str, ...]] = ("idx",)
    """The columns of the plan that `key` and `files_of` need."""

    @property
    def channels_path(self) -> Path:
        """Where the planes of the same images stand, when channels are kept."""
        return self.plan.parent / f"channels-{self.number:05d}.parquet"

    @property
    def path(self) -> Path:
        """Where the shard stands when it is done."""
        return self.plan.parent / f"shard-{self.number:05d}.parquet"

    @property
    def record(self) -> Path:
        """Where its seal stands."""
        return self.plan.parent / f"seal-{self.number:05d}.json"

    @property
    def files(self) -> tuple[Path, ...]:
        """The shard, its seal and the planes of its images."""
        return (self.path, self.record, self.channels_path)

    def finished(self) -> "ShardReport | None":
        """Its report, unless rows of it are to be made again."""
        return read_report(self) if self.again is None else None

    def read_rows(self, columns: list[str] | None = None) -> list[Row]:
        """The rows of the plan this shard is made from; it takes the same time however many shards a plan has."""
        with pa.memory_map(str(self.plan)) as file:
            names = pa.ipc.open_file(file).schema.names
            options = pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in columns or names])
            batch = pa.ipc.open_file(file, options=options).get_batch(self.number)
            return list(batch.to_pylist())

    def key(self, row: Row) -> str:
        """What an input row and the images made from it share; unique among the input rows."""
        return str(row["idx"])

    def key_of_rejection(self, rejection: Rejection) -> str:
        """The key of the row that a rejection is about."""
        return rejection.idx

    def files_of(self, row: Row) -> list[str]:
        """The raw files a row is made from, unchecked."""
        return []


@dataclass(frozen=True)
class ShardReport:
    """What a finished shard says about itself."""

    number: int
    plan_id: str
    rows_in: dict[str, int]  # per source
    images: int
    crops: int
    png_bytes: int
    rejections: list[Rejection]


def read_report(task: ShardTask) -> ShardReport | None:
    """The report of a shard; None if there is no shard of this plan, or its bytes are not those sealed."""
    try:
        sealed = read_json_file(task.record)
        content = sealed["report"]
        if content["plan_id"] != task.plan_id or not _is_sealed(task.path, sealed):
            return None
        if task.keep_channels and not _is_sealed(task.channels_path, sealed, "channels_"):
            return None
        return ShardReport(**content | {"rejections": [Rejection(**row) for row in content["rejections"]]})
    except (OSError, KeyError, TypeError, ValueError):  # JSON and Unicode errors are ValueErrors
        return None


def _is_sealed(path: Path, sealed: dict[str, Any], which: str = "") -> bool:
    """Whether a file is the one of the seal: of the same size and time, or else of the same content."""
    stamp = sealed.get(f"{which}stamp")  # absent: of a shard without planes, or of an earlier version
    return (stamp is not None and file_stamps([path]) == [stamp]) or file_sha256(path) == sealed[f"{which}sha256"]


def file_stamps(paths: Iterable[Path | str]) -> list[str | None]:
    """Size and time of files in twelve hex digits each; None for one that is not there.

    Stamps are compared for equality only, so clocks of several machines may differ.
    """
    stamps: list[str | None] = []
    for path in paths:
        try:
            state = os.stat(path)
        except (OSError, ValueError):
            stamps.append(None)
        else:
            text = f"{state.st_size} {state.st_mtime_ns}".encode()
            stamps.append(hashlib.blake2b(text, digest_size=6).hexdigest())
    return stamps


def rows_with_changed_files(task: ShardTask) -> frozenset[str]:
    """Keys of the rows whose raw files have another size or time than when the shard was made, or are new.

    A file that is gone changes nothing: archives are deleted to make room for the next.
    """
    try:
        sealed = read_json_file(task.record)["files"]
    except (OSError, KeyError, TypeError, ValueError):
        return frozenset()
    changed = set()
    for row, before in zip(task.read_rows([*task.columns_of_files]), sealed, strict=True):
        now = file_stamps(task.files_of(row))
        if any(stamp is not None and stamp != was for stamp, was in zip(now, before, strict=True)):
            changed.add(task.key(row))
    return frozenset(changed)


def write_shard(
    task: ShardTask, make: Callable[[Row], Made], schema: pa.Schema, *, channels: pa.Schema | None = None
) -> ShardReport:
    """Write one shard and its seal.

    Args:
        task: the shard; with `again`, rows of other keys are taken over from the shard that is there.
        make: images and rejections of a row; with `keep_channels` an image has its planes as `kept_channels`.
        schema: of the images.
        channels: schema of the file of planes.
    """
    rows_in = task.read_rows()
    rejections: list[Rejection] = []
    written: Counter[str] = Counter()
    stamps: list[list[str | None]] = []

    # The seal goes last: whoever dies in between leaves a shard without its seal, which counts as absent.
    with ExitStack() as stack:
        seal = stack.enter_context(atomic_path(task.record))
        second = stack.enter_context(atomic_path(task.channels_path)) if task.keep_channels else None
        temporary = stack.enter_context(atomic_path(task.path))
        planes = _GroupWriter(second, channels) if second is not None and channels is not None else None
        images = _GroupWriter(temporary, schema)
        with images, planes or nullcontext():
            for rows, rejected in _made(task, rows_in, make, stamps):
                rejections.extend(rejected)
                for row in rows:
                    kept = row.pop("kept_channels", None)
                    images.add(row)
                    if planes is not None:
                        planes.add(row | kept)
                    written["images"] += 1
                    written["crops"] += bool(row["crop"])
                    written["png_bytes"] += row["png_bytes"]
        report = ShardReport(
            number=task.number,
            plan_id=task.plan_id,
            rows_in=dict(sorted(Counter(row["dir_name"] for row in rows_in).items())),
            images=written["images"],
            crops=written["crops"],
            png_bytes=written["png_bytes"],
            rejections=rejections,
        )
        content: dict[str, Any] = {"report": asdict(report), "files": stamps}
        content |= {"sha256": file_sha256(temporary), "stamp": file_stamps([temporary])[0]}
        if second is not None:
            content |= {"channels_sha256": file_sha256(second), "channels_stamp": file_stamps([second])[0]}
        else:
            task.channels_path.unlink(missing_ok=True)  # planes of an earlier run would be those of other images
        seal.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return report


class _GroupWriter:
    """A Parquet file written image by image, in row groups that are bounded in rows and in bytes."""

    def __init__(self, path: Path, schema: pa.Schema):
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema)
        self._group: list[Row] = []
        self._bytes = 0

    def add(self, image: Row) -> None:
        self._group.append(image)
        self._bytes += image["png_bytes"]
        if len(self._group) == _ROW_GROUP_ROWS or self._bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._group:
            self._writer.write_table(pa.Table.from_pylist(self._group, schema=self._schema))
            self._group, self._bytes = [], 0

    def __enter__(self) -> "_GroupWriter":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()


def row_at_work(task: ShardTask) -> str | None:
    """The row and the files that a worker of this shard had before it when it died; None if it was not at one."""
    try:
        number = int(_mark(task).read_bytes() or b"-1")
    except (OSError, ValueError):
        return None
    if number < 0:
        return None
    row = task.read_rows()[number]
    return f"{task.key(row)} ({', '.join(task.files_of(row))})"


def _made(
    task: ShardTask, rows: list[Row], make: Callable[[Row], Made], stamps: list[list[str | None]]
) -> Iterator[Made]:
    """What becomes of each row, made or taken over; `stamps` receives the state of its files before they are read."""
    before = read_report(task) if task.again is not None else None
    taken_over = _taken_over(task, before) if before else None
    sealed = read_json_file(task.record)["files"] if before else None
    with _marked(task) as mark:
        for number, row in enumerate(rows):
            made = None if taken_over is None else taken_over(task.key(row))
            if made is not None and sealed is not None and task.key(row) not in (task.again or ()):
                stamps.append(sealed[number])
                yield made
                continue
            mark(number)
            stamps.append(file_stamps(task.files_of(row)))
            yield make(row)


def _taken_over(task: ShardTask, before: ShardReport) -> Callable[[str], Made]:
    """Images and rejections of a key in the shard that is there; keys are asked for in the order of the plan."""
    rejected: dict[str, list[Rejection]] = {}
    for rejection in before.rejections:
        rejected.setdefault(task.key_of_rejection(rejection), []).append(rejection)
    images = _stored(task.path)
    if task.keep_channels:
        images = (row | {"kept_channels": kept} for row, kept in zip(images, _stored(task.channels_path), strict=True))
    following = next(images, None)

    def find(key: str) -> Made:
        nonlocal following
        images_of_key = []
        while following is not None and task.key(following) == key:
            images_of_key.append(following)
            following = next(images, None)
        return images_of_key, rejected.get(key, [])

    return find


def _stored(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        yield from itertools.chain.from_iterable(batch.to_pylist() for batch in file.iter_batches(batch_size=16))


def _mark(task: ShardTask) -> Path:
    return task.plan.parent / f".{task.path.name}.at.tmp"


@contextmanager
def _marked(task: ShardTask) -> Iterator[Callable[[int], object]]:
    """A file that says which row is being made: what a killed process wrote is still there to be read."""
    try:
        with open(_mark(task), "wb", buffering=0) as handle:
            yield lambda number: os.pwrite(handle.fileno(), b"%06d" % number, 0)
    finally:
        _mark(task).unlink(missing_ok=True)
