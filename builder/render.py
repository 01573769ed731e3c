"""selection → shards: read, merge channels, quality-check, crop and encode every selected field (paper §2.2, §2.3).

The plan cuts the fields into shards (`render_plan`), each shard is one task on any executor (`render_shard`,
`executors`), and a shard that is there is done: a build stopped at any moment continues and ends with the same bytes.
"""

import concurrent.futures
import errno
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
from tqdm.auto import tqdm

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import file_sha256

from .crops import Crop, plan_crops
from .executors import run_tasks
from .recipe import Recipe, as_dict
from .render_field import REASONS
from .render_plan import make_plan
from .render_shard import ShardReport, ShardTask, read_report, render_shard
from .stage import StageSummary, count_reasons, require_disk, write_rejections

__all__ = ["Crop", "plan_crops", "render"]

# 56 GB for the 890,737 published images, of which a field gives one or two.
_BYTES_PER_FIELD = 100_000


def render(
    raw: Path,
    output: Path,
    *,
    recipe: Recipe,
    seed: int,
    workers: int | None = None,
    dask: str | None = None,
    executor: concurrent.futures.Executor | None = None,
    retry_rejected: Collection[str] = (),
) -> StageSummary:
    """Render all selected fields into `shards/`.

    Args:
        raw: folder that `channel_files` of the annotations are relative to.
        output: a claimed build folder with `annotations.parquet` and `selection.parquet`.
        recipe: the rules.
        seed: of the crops.
        workers: local processes; all cores by default.
        dask: address of a Dask scheduler instead.
        executor: any `concurrent.futures` executor instead.
        retry_rejected: reasons; fields rejected for them by an earlier run are tried again, all others stay.

    Returns:
        Counts of fields: kept are those that gave at least one image. `details` counts images and crops.

    Raises:
        InputError: a stage before has not run, shards of other rules are there, or the disk is too small.
    """
    started = time.perf_counter()
    if not Path(raw).is_dir():
        raise InputError(f"--raw {raw} is no folder: give the one that holds a folder per source")
    if unknown := sorted(set(retry_rejected) - REASONS):
        raise InputError(f"no field is ever rejected for {unknown}; reasons are {', '.join(sorted(REASONS))}")
    with _full_disk_said(output):
        plan = make_plan(output.resolve(), recipe=recipe, seed=seed)
        tasks = _tasks(Path(raw).resolve(), plan, recipe, seed)
        _clear_temporary(plan.parent)
        reports = {task.number: report for task in tasks if (report := read_report(task.path, task.plan_id))}
        todo = [task for task in tasks if task.number not in reports]
        require_disk(output, sum(task.fields for task in todo) * _BYTES_PER_FIELD)
        for task in tasks:
            if task.number in reports and {r.reason for r in reports[task.number].rejections} & set(retry_rejected):
                todo.append(replace(task, retry=frozenset(retry_rejected)))
        for report in _shown(run_tasks(render_shard, todo, workers=workers, dask=dask, executor=executor), todo):
            reports[report.number] = report
        write_rejections(output, "render", [rejection for r in reports.values() for rejection in r.rejections])
        summary = _summary(list(reports.values()), recipe, seed, time.perf_counter() - started)
        summary.write(output)
    return summary


def _tasks(raw: Path, plan: Path, recipe: Recipe, seed: int) -> list[ShardTask]:
    identity = file_sha256(plan)
    metadata = pq.read_metadata(plan)
    return [
        ShardTask(number, metadata.row_group(number).num_rows, plan, identity, raw, recipe, seed)
        for number in range(metadata.num_row_groups)
    ]


def _clear_temporary(shards: Path) -> None:
    """Remove what killed workers left half-written."""
    for leftover in shards.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


@contextmanager
def _full_disk_said(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"the disk of {output} is full: free some space and run the same command again, it continues here"
        ) from error


def _shown(reports: Iterator[ShardReport], todo: list[ShardTask]) -> Iterator[ShardReport]:
    """The reports, with a progress bar: fields done, images per second, time left."""
    images = 0
    with tqdm(total=sum(task.fields for task in todo), unit="field", desc="render", disable=None) as bar:
        for report in reports:
            images += report.images
            bar.update(sum(report.fields.values()))
            bar.set_postfix_str(f"{images / max(bar.format_dict['elapsed'], 1e-9):.0f} images/s")
            yield report


def _summary(reports: list[ShardReport], recipe: Recipe, seed: int, seconds: float) -> StageSummary:
    rejections = [rejection for report in reports for rejection in report.rejections]
    fields = [rejection for rejection in rejections if rejection.image_id is None]
    crops = [rejection for rejection in rejections if rejection.image_id is not None]
    rows_in: Counter[str] = Counter()
    for report in reports:
        rows_in.update(report.fields)
    lost = Counter((rejection.dir_name, rejection.reason) for rejection in fields)
    by_source = {
        source: {"in": count}
        | {reason: number for (name, reason), number in sorted(lost.items()) if name == source}
        | {"kept": count - sum(number for (name, _), number in lost.items() if name == source)}
        for source, count in sorted(rows_in.items())
    }
    return StageSummary(
        stage="render",
        rows_in=rows_in.total(),
        kept=rows_in.total() - len(fields),
        rejected=count_reasons(fields),
        by_source=by_source,
        recipe=as_dict(recipe),
        seed=seed,
        seconds=seconds,
        details={
            "images": sum(report.images for report in reports),
            "crops": sum(report.crops for report in reports),
            "crops_rejected": count_reasons(crops),
            "png_bytes": sum(report.png_bytes for report in reports),
            "shards": len(reports),
        },
    )
