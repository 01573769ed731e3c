"""Features of microscopy images: one vector per image, in tables keyed by image id."""

from typing import TYPE_CHECKING, Any

from .reading import read_features, write_features
from .table import FeatureTable, join_features, make_table

if TYPE_CHECKING:
    from .extract import extract_features

__all__ = [
    "FeatureTable",
    "extract_features",
    "join_features",
    "make_table",
    "read_features",
    "write_features",
]


def __getattr__(name: str) -> Any:
    """`extract_features`, loaded when it is asked for: tables are read without torch."""
    if name == "extract_features":
        from .extract import extract_features

        return extract_features
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
