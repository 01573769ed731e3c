"""Features of microscopy images: one vector per image, in tables keyed by image id."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .extract import extract_features

__all__ = ["extract_features"]


def __getattr__(name: str) -> Any:
    """`extract_features`, loaded when it is asked for: tables are read without torch."""
    if name != "extract_features":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .extract import extract_features

    return extract_features
