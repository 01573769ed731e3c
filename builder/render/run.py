"""selection → shards: read, merge channels, quality-check, crop and encode every selected field (paper §2.2, §2.3).

The plan cuts the fields into shards (`plan`), each shard is one task on any executor (`shard`,
`shards`), and a shard that is there is done: a build stopped at any moment continues and, with the same
versions of the libraries, ends with the same bytes.
"""

import concurrent.futures
import time
from pathlib import Path
from typing import Any

from builder.recipe import Recipe, as_dict
from builder.settings import EVERYTHING, Rendering
from builder.shard_files import ShardReport
from builder.shards import (
    PLAN,
    counts_by_source,
    explain_full_disk,
    list_tasks,
    run_with_progress,
    unfinished_tasks,
)
from builder.stage import StageSummary, count_reasons, require_disk, write_rejections
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import build as make_settings
from cytoimagenet_hf.core.simulated import is_simulated, mark_simulated
from cytoimagenet_hf.shards.engine import finished_reports, planning, without_locks_after
from cytoimagenet_hf.shards.shard import Part

from .field import REASONS
from .plan import SEAL, make_plan
from .shard import RenderTask, render_shard

# 56 GB for the 890,737 published images, of which a field gives one or two.
_BYTES_PER_FIELD = 100_000


def render(
    raw: Path,
    output: Path,
    how: Rendering = EVERYTHING,
    *,
    recipe: Recipe,
    seed: int,
    executor: concurrent.futures.Executor | None = None,
    **fields: Any,
) -> StageSummary:
    """Render all selected fields into `shards/`.

    Several commands may render into one folder at a time, each a part of the shards. A call without `part` makes what
    is missing then and writes the summary and the list of rejections.

    Args:
        raw: folder that `channel_files` of the annotations are relative to.
        output: a claimed build folder with `annotations.parquet` and `selection.parquet`.
        how: where shards are rendered; with `keep_channels`, shards without planes are made again.
        recipe: the rules.
        seed: of the crops.
        executor: any `concurrent.futures` executor instead of processes or Dask.
        **fields: of `settings.Rendering`, such as `workers`, in place of or on top of `how`.

    Returns:
        Counts of fields: kept are those that gave at least one image. `details` counts images and crops.

    Raises:
        InputError: a stage before has not run, shards of other rules are there, or the disk is too small.
    """
    started = time.perf_counter()
    how = make_settings(Rendering, fields, name="render", base=how)
    part = how.part
    if not Path(raw).is_dir():
        raise InputError(f"--raw {raw} is not a folder: give the one that holds a folder per source")
    if unknown := sorted(set(how.retry_rejected) - REASONS):
        raise InputError(f"no field is ever rejected for {unknown}; reasons are {', '.join(sorted(REASONS))}")
    shards = output.resolve() / "shards"
    with explain_full_disk(output), without_locks_after(shards, part):
        with planning(shards, PLAN, SEAL):
            plan = make_plan(output.resolve(), recipe=recipe, seed=seed)
        tasks = [
            RenderTask(**vars(task), raw=Path(raw).resolve(), recipe=recipe, seed=seed)
            for task in list_tasks(plan, keep_channels=how.keep_channels)
        ]
        tasks = tasks if part is None else part.of(tasks)
        reports = finished_reports(tasks)
        todo = unfinished_tasks(tasks, reports, retry=how.retry_rejected)
        if is_simulated(raw):
            mark_simulated(output)
        require_disk(output, sum(task.rows for task in todo) * _BYTES_PER_FIELD)
        for report in run_with_progress(
            render_shard, todo, unit="field", workers=how.workers, dask=how.dask, executor=executor
        ):
            reports[report.number] = report
        if part is not None:
            return _summary(list(reports.values()), recipe, seed, time.perf_counter() - started, part=part)
        write_rejections(output, "render", [rejection for r in reports.values() for rejection in r.rejections])
        summary = _summary(list(reports.values()), recipe, seed, time.perf_counter() - started)
        summary.write(output)
    return summary


def _summary(
    reports: list[ShardReport], recipe: Recipe, seed: int, seconds: float, *, part: Part | None = None
) -> StageSummary:
    rejections = [rejection for report in reports for rejection in report.rejections]
    fields = [rejection for rejection in rejections if rejection.image_id is None]
    crops = [rejection for rejection in rejections if rejection.image_id is not None]
    rows_in = sum(sum(report.rows_in.values()) for report in reports)
    return StageSummary(
        stage="render" if part is None else f"render {part}",
        rows_in=rows_in,
        kept=rows_in - len(fields),
        rejected=count_reasons(fields),
        by_source=counts_by_source(reports, fields),
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
