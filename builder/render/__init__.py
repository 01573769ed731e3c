"""selection.parquet → shards: read, merge channels, judge, crop and encode every chosen field (paper §2.2, §2.3)."""

from .crops import Crop, plan_crops
from .run import render

__all__ = ["Crop", "plan_crops", "render"]
