"""Features of microscopy images: one vector per image, in tables keyed by image id."""

from .extract import extract_features
from .tables import as_matrix, feature_names, join_features, metadata_of, read_features, write_features

__all__ = [
    "as_matrix",
    "extract_features",
    "feature_names",
    "join_features",
    "metadata_of",
    "read_features",
    "write_features",
]
