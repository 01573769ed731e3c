"""shards → dataset repository: duplicates, splits, subsets, statistics, figures and the card."""

from .run import publish

__all__ = ["publish"]
