"""Features of microscopy images: one vector per image, in tables keyed by image id."""

from .extract import extract_features
from .reading import read_features, write_features
from .table import FeatureTable, join_features, make_table

__all__ = [
    "FeatureTable",
    "extract_features",
    "join_features",
    "make_table",
    "read_features",
    "write_features",
]
