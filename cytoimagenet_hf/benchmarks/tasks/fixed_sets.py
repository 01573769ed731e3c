"""Benchmarks with a training set of their own: each test set is predicted from it, and measured with it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cytoimagenet_hf.benchmarks.base import Array, LabelledRows, RowsBySet, column, ids_of, labels_of
from cytoimagenet_hf.benchmarks.protocols import predict_transfer
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.tables import FeatureTable


def each_test_set(items: Sequence[Image], names: Sequence[str]) -> Iterator[tuple[str, list[Image], list[Image]]]:
    """Name, training items and test items of every test set that is there, as the fact `split` tells."""
    train = [item for item in items if item.metadata["split"] == "train"]
    for name in names:
        test = [item for item in items if item.metadata["split"] == name]
        if test:
            yield name, train, test


def predicted(
    features: FeatureTable, train: Sequence[Image], test: Sequence[Image], *, recipe: BenchmarkRecipe, k: int
) -> Array:
    """(n,) labels of the test items by their neighbours among the training items."""
    trained, queries = features.rows(ids_of(train)).values, features.rows(ids_of(test)).values
    return predict_transfer(trained, labels_of(train), queries, column(test, "label"), recipe=recipe, k=k)


def fixed_rows(
    features: FeatureTable,
    items: Sequence[Image],
    recipe: BenchmarkRecipe,
    *,
    name: str,
    tests: Sequence[str],
    batch: str | None = None,
) -> RowsBySet:
    """The training items with each test set, for measures that learn from the former and score the latter.

    `batch` is the fact that items share beside their class and that ought to be mixed, such as `experiment`.
    """
    rows = {}
    for split, train, test in each_test_set(items, tests):
        both = [*train, *test]
        shared: dict[str, Any] = {}
        if batch is not None:
            values = column(both, batch)
            shared = {"groups": values, "group_name": batch, "batches": values, "batch_name": batch}
        ids, marks = ids_of(both), np.arange(len(both)) < len(train)
        rows[f"{name}/{split}"] = LabelledRows(
            features.rows(ids).values, ids, column(both, "label"), train=marks, **shared
        )
    return rows
