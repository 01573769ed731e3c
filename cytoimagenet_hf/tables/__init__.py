"""Tables from outside and feature tables: the vocabulary of their columns, wells, reading and writing."""

from .features import FeatureTable, join_features, make_table
from .reading import read_features, write_features

__all__ = ["FeatureTable", "join_features", "make_table", "read_features", "write_features"]
