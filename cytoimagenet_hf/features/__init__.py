"""Features of microscopy images: one vector per image, in tables keyed by image id."""

from .extract import extract_features

__all__ = ["extract_features"]
