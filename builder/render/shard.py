"""One shard of rendered fields: its bytes depend on the recipe, the seed and its rows alone."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import pyarrow as pa
import pyarrow.parquet as pq

from builder.recipe import Recipe
from builder.shards import Row, ShardReport, ShardTask, read_report, write_shard
from builder.stage import Rejection
from cytoimagenet_hf.schema import dataset_features

from .field import PlaneReader, render_field


def _shard_schema() -> pa.Schema:
    published: pa.Schema = dataset_features([]).arrow_schema.remove_metadata()
    kept = [field for field in published if field.name not in ("label", "path", "filename")]
    own = [("label", pa.string()), ("dhash", pa.string()), ("png_bytes", pa.int32())]
    return pa.schema([*kept, *own])


SHARD_SCHEMA = _shard_schema()
"""The columns of the dataset, less those `publish` assigns, with the label as text."""


@dataclass(frozen=True, kw_only=True)
class RenderTask(ShardTask):
    """What a worker needs to render one shard.

    Attributes:
        retry: reasons; a shard already there keeps its images, and only fields rejected for these are tried again.
    """

    raw: Path
    recipe: Recipe
    seed: int
    retry: frozenset[str] = frozenset()


def render_shard(task: RenderTask) -> ShardReport:
    """Render one shard and write it.

    Raises:
        OSError: the disk is full or the output cannot be written. Trouble with the fields is recorded, not raised.
    """
    cv2.setNumThreads(1)  # the workers are the parallelism
    fields = task.read_rows()
    return write_shard(task, fields, _rendered(task, fields), SHARD_SCHEMA)


def _rendered(task: RenderTask, fields: list[Row]) -> Iterator[tuple[list[Row], list[Rejection]]]:
    """Images and rejections field by field: rendered, or taken over from the shard that is there."""
    planes = PlaneReader(task.raw, task.recipe)
    before = read_report(task) if task.retry else None
    if before is None:
        for field in fields:
            yield render_field(field, planes=planes, recipe=task.recipe, seed=task.seed)
        return
    rejected: dict[str, list[Rejection]] = {}
    for rejection in before.rejections:
        rejected.setdefault(rejection.idx, []).append(rejection)
    images = _images_by_field(task.path)
    idx, rows = next(images, (None, []))
    for field in fields:
        own: list[Row] = []
        if idx == field["idx"]:
            own = rows
            idx, rows = next(images, (None, []))
        reasons = {rejection.reason for rejection in rejected.get(field["idx"], [])}
        if reasons & task.retry:
            yield render_field(field, planes=planes, recipe=task.recipe, seed=task.seed)
        else:
            yield own, rejected.get(field["idx"], [])


def _images_by_field(path: Path) -> Iterator[tuple[str, list[Row]]]:
    with pq.ParquetFile(path) as file:
        images = itertools.chain.from_iterable(batch.to_pylist() for batch in file.iter_batches(batch_size=16))
        for idx, rows in itertools.groupby(images, key=lambda row: row["idx"]):
            yield idx, list(rows)
