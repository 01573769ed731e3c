"""Shards: the unit of work, of retry and of resume.

A plan (`shards/plan.arrow`) holds the input rows of one shard per record batch. `builder.shard_files` says what stands
on disk for one of them; here they are planned, counted and run.
"""

import concurrent.futures
import errno
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path, file_sha256
from cytoimagenet_hf.core.jsontext import parse_json
from cytoimagenet_hf.shards.engine import run_shards

from .shard_files import ShardReport, ShardTask, row_at_work, rows_with_changed_files
from .stage import Rejection

PLAN = "plan.arrow"
_FINGERPRINT, _ROWS = b"cytoimagenet.fingerprint", b"cytoimagenet.rows"
_CHECKERS = 8  # threads that look at files: they wait for the disk

Task = TypeVar("Task", bound=ShardTask)


def write_or_check_plan(plan: Path, table: pa.Table, fingerprint: dict[str, Any]) -> None:
    """Write a plan, or refuse one that is there and made by another fingerprint or from other rows.

    Args:
        plan: `shards/plan.arrow`.
        table: the input rows in their order.
        fingerprint: what else the shards depend on, as plain JSON values.
    """
    if plan.exists():
        require_same_plan(plan, table, fingerprint)
        return
    for kind in ("shard-*.parquet", "channels-*.parquet", "seal-*.json"):
        for stale in plan.parent.glob(kind):
            stale.unlink()
    content = {_FINGERPRINT: json.dumps(fingerprint, sort_keys=True).encode(), _ROWS: str(len(table)).encode()}
    schema, rows = table.schema.with_metadata(content), _shard_rows(len(table))
    compressed = pa.ipc.IpcWriteOptions(compression="zstd")
    # Parquet would not do: each worker would parse its footer, which grows with the shards, for each shard.
    with atomic_path(plan) as temporary, pa.ipc.new_file(str(temporary), schema, options=compressed) as writer:
        for start in range(0, len(table), rows):
            batch = table.slice(start, rows).replace_schema_metadata(content).combine_chunks()
            writer.write_batch(batch.to_batches()[0])


def require_same_plan(plan: Path, table: pa.Table, fingerprint: dict[str, Any]) -> None:
    """Refuse a plan of other rows or of another fingerprint; writes nothing."""
    before = read_fingerprint(plan)
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


def read_fingerprint(plan: Path) -> dict[str, Any]:
    """What the shards of a plan depend on beside its rows."""
    try:
        with _opened(plan) as file:
            return dict(parse_json((file.schema.metadata or {})[_FINGERPRINT], where=plan))
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{plan} is damaged ({error}): delete {plan.parent} and run `python -m builder render` again"
        ) from error


def list_tasks(plan: Path, *, keep_channels: bool = False) -> list[ShardTask]:
    """One task per record batch of a plan."""
    identity = file_sha256(plan)
    with _opened(plan) as file:
        rows = int(file.schema.metadata[_ROWS])
    size = _shard_rows(rows)
    return [
        ShardTask(number, min(size, rows - start), plan, identity, keep_channels=keep_channels)
        for number, start in enumerate(range(0, rows, size))
    ]


def unfinished_tasks(
    tasks: Sequence[Task], reports: dict[int, ShardReport], *, retry: Collection[str] = ()
) -> list[Task]:
    """Shards that are absent, and those with rows to make again.

    These are rows whose files have another size or time than when they were read, or that were rejected for one of
    the reasons in `retry`. The `reports` are those of `engine.finished_reports`.
    """
    with concurrent.futures.ThreadPoolExecutor(_CHECKERS) as checkers:
        present = [task for task in tasks if task.number in reports]
        changed = dict(zip((t.number for t in present), checkers.map(rows_with_changed_files, present), strict=True))
    todo = []
    for task in tasks:
        if task.number not in reports:
            todo.append(task)
            continue
        again = changed[task.number] | {
            task.key_of_rejection(rejection)
            for rejection in reports[task.number].rejections
            if rejection.reason in retry
        }
        if again:
            todo.append(replace(task, again=frozenset(again)))
    return todo


def run_with_progress(
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
    reports = run_shards(function, tasks, workers=workers, dask=dask, executor=executor, at_work=row_at_work)
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
    by_source = {source: {"in": count, "kept": count} for source, count in sorted(rows_in.items())}
    for rejection in lost:
        counts = by_source[rejection.dir_name or ""]
        counts["kept"] -= 1
        counts[rejection.reason] = counts.get(rejection.reason, 0) + 1
    return by_source


@contextmanager
def explain_full_disk(output: Path) -> Iterator[None]:
    """Turn a full disk into advice; everything else passes."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"the disk of {output} is full: free some space and run the same command again, it continues here"
        ) from error


def _shard_rows(rows: int) -> int:
    """Rows per shard: enough shards for many workers, none so large that losing one hurts."""
    return min(256, max(8, -(-rows // 32)))


def _same_rows(plan: Path, table: pa.Table) -> bool:
    start = 0
    with _opened(plan) as file:
        for number in range(file.num_record_batches):
            batch = pa.Table.from_batches([file.get_batch(number)])
            if not batch.equals(table.slice(start, len(batch))):
                return False
            start += len(batch)
    return start == len(table)


@contextmanager
def _opened(plan: Path) -> Iterator[pa.ipc.RecordBatchFileReader]:
    with pa.memory_map(str(plan)) as file:
        yield pa.ipc.open_file(file)
