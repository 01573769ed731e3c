"""One shard: some fields of the plan to one Parquet file, which also holds what was rejected on the way.

The file appears under its name only when it is complete, so a shard is done or absent, whenever a worker dies. Its
bytes depend on the recipe, the seed and its rows alone.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa
import pyarrow.parquet as pq

from cytoimagenet_hf.files import atomic_path
from cytoimagenet_hf.schema import dataset_features

from .recipe import Recipe
from .render_field import PlaneReader, render_field
from .stage import Rejection

ROW_GROUP_ROWS = 100
"""Images per row group: what the Hub's viewer and streaming expect."""

_ROW_GROUP_BYTES = 32 << 20  # large whole images close a group earlier: memory stays bounded
_REPORT = b"cytoimagenet.shard"


def _shard_schema() -> pa.Schema:
    published: pa.Schema = dataset_features([]).arrow_schema.remove_metadata()
    kept = [field for field in published if field.name not in ("label", "path", "filename")]
    own = [("label", pa.string()), ("dhash", pa.string()), ("png_bytes", pa.int32())]
    return pa.schema([*kept, *own])


SHARD_SCHEMA = _shard_schema()
"""The columns of the dataset, less those `publish` assigns, with the label as text."""


@dataclass(frozen=True)
class ShardTask:
    """What a worker needs to render one shard.

    Attributes:
        retry: reasons; a shard already there keeps its images, and only fields rejected for these are tried again.
    """

    number: int
    fields: int
    plan: Path
    plan_id: str
    raw: Path
    recipe: Recipe
    seed: int
    retry: frozenset[str] = frozenset()

    @property
    def path(self) -> Path:
        """Where the shard stands when it is done."""
        return self.plan.parent / f"shard-{self.number:05d}.parquet"


@dataclass(frozen=True)
class ShardReport:
    """What a finished shard says about itself."""

    number: int
    plan_id: str
    fields: dict[str, int]  # per source
    images: int
    crops: int
    png_bytes: int
    rejections: list[Rejection]


def render_shard(task: ShardTask) -> ShardReport:
    """Render one shard and write it.

    Raises:
        OSError: the disk is full or the output cannot be written. Trouble with the fields is recorded, not raised.
    """
    cv2.setNumThreads(1)  # the workers are the parallelism
    with pq.ParquetFile(task.plan) as plan:
        fields = plan.read_row_group(task.number).to_pylist()
    rejections: list[Rejection] = []
    written: Counter[str] = Counter()

    def images() -> Iterator[dict[str, Any]]:
        for rows, rejected in _rendered(task, fields):
            rejections.extend(rejected)
            written["images"] += len(rows)
            written["crops"] += sum(row["crop"] for row in rows)
            written["png_bytes"] += sum(row["png_bytes"] for row in rows)
            yield from rows

    with atomic_path(task.path) as temporary, pq.ParquetWriter(temporary, SHARD_SCHEMA) as writer:
        for group in row_groups(images()):
            writer.write_table(pa.Table.from_pylist(group, schema=SHARD_SCHEMA))
        report = ShardReport(
            number=task.number,
            plan_id=task.plan_id,
            fields=dict(sorted(Counter(field["dir_name"] for field in fields).items())),
            images=written["images"],
            crops=written["crops"],
            png_bytes=written["png_bytes"],
            rejections=rejections,
        )
        writer.add_key_value_metadata({_REPORT: json.dumps(asdict(report), sort_keys=True).encode()})
    return report


def read_report(path: Path, plan_id: str) -> ShardReport | None:
    """The report in a shard's footer; None if there is no shard of this plan, or a damaged one."""
    try:
        content = json.loads((pq.read_metadata(path).metadata or {})[_REPORT])
    except (OSError, KeyError, pa.ArrowInvalid):
        return None
    if content["plan_id"] != plan_id:
        return None
    return ShardReport(**content | {"rejections": [Rejection(**row) for row in content["rejections"]]})


def row_groups(images: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Images in groups of 100, fewer where they are large."""
    group: list[dict[str, Any]] = []
    size = 0
    for image in images:
        group.append(image)
        size += len(image["image"]["bytes"])
        if len(group) == ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _rendered(task: ShardTask, fields: list[dict[str, Any]]) -> Iterator[tuple[list[dict[str, Any]], list[Rejection]]]:
    """Images and rejections field by field: rendered, or taken over from the shard that is there."""
    planes = PlaneReader(task.raw, task.recipe)
    before = read_report(task.path, task.plan_id) if task.retry else None
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
        own: list[dict[str, Any]] = []
        if idx == field["idx"]:
            own = rows
            idx, rows = next(images, (None, []))
        reasons = {rejection.reason for rejection in rejected.get(field["idx"], [])}
        if reasons & task.retry:
            yield render_field(field, planes=planes, recipe=task.recipe, seed=task.seed)
        else:
            yield own, rejected.get(field["idx"], [])


def _images_by_field(path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    with pq.ParquetFile(path) as file:
        images = itertools.chain.from_iterable(batch.to_pylist() for batch in file.iter_batches(batch_size=16))
        for idx, rows in itertools.groupby(images, key=lambda row: row["idx"]):
            yield idx, list(rows)
