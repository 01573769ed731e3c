"""Shards: the unit of work, of retry and of resume.

A plan (`shards/plan.parquet`) holds the input rows of one shard per row group. A shard is one Parquet file that
appears under its name only when it is complete and carries its own report: it is done or absent, whoever dies when.
"""

import concurrent.futures
import errno
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import atomic_path, file_sha256

from .executors import run_tasks
from .stage import Rejection

_ROW_GROUP_ROWS = 100
_ROW_GROUP_BYTES = 32 << 20  # large images close a group earlier: memory stays bounded
_FINGERPRINT = b"cytoimagenet.fingerprint"
_REPORT = b"cytoimagenet.shard"

Row = dict[str, Any]


@dataclass(frozen=True)
class ShardTask:
    """One shard to make: a row group of a plan. Stages add what their workers need."""

    number: int
    rows: int
    plan: Path
    plan_id: str

    @property
    def path(self) -> Path:
        """Where the shard stands when it is done."""
        return self.plan.parent / f"shard-{self.number:05d}.parquet"

    def read_rows(self) -> list[Row]:
        """The rows of the plan this shard is made from."""
        with pq.ParquetFile(self.plan) as plan:
            return list(plan.read_row_group(self.number).to_pylist())


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


def settle_plan(plan: Path, table: pa.Table, fingerprint: dict[str, Any]) -> None:
    """Write a plan, or check that the one there is the same.

    Args:
        plan: `shards/plan.parquet`.
        table: the input rows in their order.
        fingerprint: what else the shards depend on, as plain JSON values.

    Raises:
        InputError: the shards there were made by another fingerprint or from other rows; says what differs.
    """
    if plan.exists():
        _require_same(plan, table, fingerprint)
        return
    for stale in plan.parent.glob("shard-*.parquet"):
        stale.unlink()
    with atomic_path(plan) as temporary:
        content = {_FINGERPRINT: json.dumps(fingerprint, sort_keys=True).encode()}
        pq.write_table(table.replace_schema_metadata(content), temporary, row_group_size=_shard_rows(len(table)))


def list_tasks(plan: Path) -> list[ShardTask]:
    """One task per row group of a plan."""
    identity = file_sha256(plan)
    metadata = pq.read_metadata(plan)
    return [
        ShardTask(number, metadata.row_group(number).num_rows, plan, identity)
        for number in range(metadata.num_row_groups)
    ]


def finished_reports(tasks: Iterable[ShardTask]) -> dict[int, ShardReport]:
    """Reports of the shards that are there, by number; what killed workers left half-written is removed."""
    tasks = list(tasks)
    for folder in {task.plan.parent for task in tasks}:
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
    return {task.number: report for task in tasks if (report := read_report(task))}


def read_report(task: ShardTask) -> ShardReport | None:
    """The report in a shard's footer; None if there is no shard of this plan, or a damaged one."""
    try:
        content = json.loads((pq.read_metadata(task.path).metadata or {})[_REPORT])
    except (OSError, KeyError, pa.ArrowInvalid):
        return None
    if content["plan_id"] != task.plan_id:
        return None
    return ShardReport(**content | {"rejections": [Rejection(**row) for row in content["rejections"]]})


def write_shard(
    task: ShardTask, rows_in: Sequence[Row], made: Iterable[tuple[list[Row], list[Rejection]]], schema: pa.Schema
) -> ShardReport:
    """Write one shard from what became of its rows.

    Args:
        task: the shard.
        rows_in: its input rows, for the counts per source.
        made: images and rejections, input row by input row.
        schema: of the images.
    """
    rejections: list[Rejection] = []
    written: Counter[str] = Counter()

    def images() -> Iterator[Row]:
        for rows, rejected in made:
            rejections.extend(rejected)
            written["images"] += len(rows)
            written["crops"] += sum(bool(row["crop"]) for row in rows)
            written["png_bytes"] += sum(row["png_bytes"] for row in rows)
            yield from rows

    with atomic_path(task.path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for group in _row_groups(images()):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
        report = ShardReport(
            number=task.number,
            plan_id=task.plan_id,
            rows_in=dict(sorted(Counter(row["dir_name"] for row in rows_in).items())),
            images=written["images"],
            crops=written["crops"],
            png_bytes=written["png_bytes"],
            rejections=rejections,
        )
        writer.add_key_value_metadata({_REPORT: json.dumps(asdict(report), sort_keys=True).encode()})
    return report


Task = TypeVar("Task", bound=ShardTask)


def run_shards(
    function: Callable[[Task], ShardReport],
    tasks: Sequence[Task],
    *,
    unit: str,
    workers: int | None = None,
    dask: str | None = None,
    executor: concurrent.futures.Executor | None = None,
) -> Iterator[ShardReport]:
    """Make shards on any executor and show how far they are: rows done, images per second, time left."""
    images = 0
    reports = run_tasks(function, tasks, workers=workers, dask=dask, executor=executor)
    with tqdm(total=sum(task.rows for task in tasks), unit=unit, disable=None) as bar:
        for report in reports:
            images += report.images
            bar.update(sum(report.rows_in.values()))
            bar.set_postfix_str(f"{images / max(bar.format_dict['elapsed'], 1e-9):.0f} images/s")
            yield report


def counts_by_source(reports: Iterable[ShardReport], lost: Iterable[Rejection]) -> dict[str, dict[str, int]]:
    """Rows in, rejected by reason, and kept, per source."""
    rows_in: Counter[str] = Counter()
    for report in reports:
        rows_in.update(report.rows_in)
    found = {source: {"in": count, "kept": count} for source, count in sorted(rows_in.items())}
    for rejection in lost:
        counts = found[rejection.dir_name or ""]
        counts["kept"] -= 1
        counts[rejection.reason] = counts.get(rejection.reason, 0) + 1
    return found


@contextmanager
def full_disk_said(output: Path) -> Iterator[None]:
    """Turn a full disk into advice; everything else passes."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"the disk of {output} is full: free some space and run the same command again, it continues here"
        ) from error


def _row_groups(images: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for image in images:
        group.append(image)
        size += image["png_bytes"]
        if len(group) == _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _shard_rows(rows: int) -> int:
    """Rows per shard: enough shards for many workers, none so large that losing one hurts."""
    return min(256, max(8, -(-rows // 32)))


def _require_same(plan: Path, table: pa.Table, fingerprint: dict[str, Any]) -> None:
    before = dict(json.loads((pq.read_schema(plan).metadata or {})[_FINGERPRINT]))
    changes = [
        f"{name}: {before.get(name)!r} there, {value!r} asked for"
        for name, value in fingerprint.items()
        if before.get(name) != value
    ]
    if not changes and not _same_rows(plan, table):
        changes = ["other annotations or another selection of the same fields"]
    if changes:
        raise InputError(
            f"{plan.parent} holds shards made otherwise ({'; '.join(changes)}): "
            "choose another --output, or delete that folder to make them anew"
        )


def _same_rows(plan: Path, table: pa.Table) -> bool:
    start = 0
    with pq.ParquetFile(plan) as file:
        for number in range(file.num_row_groups):
            group = file.read_row_group(number).replace_schema_metadata(None)
            if not group.equals(table.slice(start, len(group)).replace_schema_metadata(None)):
                return False
            start += len(group)
    return start == len(table)
