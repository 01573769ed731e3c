"""annotations.parquet → selection.parquet: which fields of view become examples of which weak label (paper §2.1)."""

from .run import select, select_labels

__all__ = ["select", "select_labels"]
