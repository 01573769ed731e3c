"""shards → dataset repository: duplicates, splits, subsets, statistics, figures and the card."""

from .run import publish, require_split

__all__ = ["publish", "require_split"]
