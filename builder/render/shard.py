"""One shard of rendered fields: its bytes depend on the recipe, the seed and its rows alone."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import pyarrow as pa

from builder.recipe import Recipe
from builder.shard_files import Row, ShardReport, ShardTask, write_shard
from cytoimagenet_hf.dataset.planes import channel_features
from cytoimagenet_hf.dataset.schema import dataset_features

from .field import render_field
from .reader import PlaneReader


def _shard_schema() -> pa.Schema:
    published: pa.Schema = dataset_features([]).arrow_schema.remove_metadata()
    kept = [field for field in published if field.name not in ("label", "path", "filename")]
    added = [("label", pa.string()), ("dhash", pa.string()), ("png_bytes", pa.int32())]
    return pa.schema([*kept, *added])


SHARD_SCHEMA = _shard_schema()
"""The columns of the dataset, less those `publish` assigns, with the label as text."""


def _channels_schema() -> pa.Schema:
    wanted: pa.Schema = channel_features([]).arrow_schema.remove_metadata()
    kept = [field for field in wanted if field.name != "label"]
    return pa.schema([*kept, ("label", pa.string()), ("png_bytes", pa.int32())])


CHANNELS_SCHEMA = _channels_schema()
"""The columns of the configuration `channels`, with the label as text."""


@dataclass(frozen=True, kw_only=True)
class RenderTask(ShardTask):
    """What a worker needs to render one shard."""

    raw: Path
    recipe: Recipe
    seed: int

    columns_of_files = ("idx", "channel_files")

    def files_of(self, row: Row) -> list[str]:
        """The channel files of a field."""
        return [f"{self.raw}/{name}" for name in row["channel_files"]]


def render_shard(task: RenderTask) -> ShardReport:
    """Render one shard and write it; trouble with the fields is recorded, trouble with the disk raised."""
    cv2.setNumThreads(1)  # the workers are the parallelism
    planes = PlaneReader(task.raw, task.recipe)
    make = partial(render_field, planes=planes, recipe=task.recipe, seed=task.seed, keep_channels=task.keep_channels)
    return write_shard(task, make, SHARD_SCHEMA, channels=CHANNELS_SCHEMA)
