"""Benchmarks with a training set of their own: each test set is predicted from it, and measured with it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cytoimagenet_hf.benchmarks.base import Array, LabelledRows, column, ids_of, labels_of
from cytoimagenet_hf.benchmarks.protocols import predict_transfer
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.tables import FeatureTable


def each_test_set(items: Sequence[Image], names: Sequence[str]) -> Iterator[tuple[str, list[Image], list[Image]]]:
    """Name, training items and test items of every test set that is there, in the order of `names`.

    Args:
        items: with the fact `split`: `train`, or the name of a test set.
        names: of the test sets.
    """
    train = [item for item in items if item.metadata["split"] == "train"]
    for name in names:
        test = [item for item in items if item.metadata["split"] == name]
        if test:
            yield name, train, test


def predicted(
    features: FeatureTable, train: Sequence[Image], test: Sequence[Image], *, recipe: BenchmarkRecipe, k: int
) -> Array:
    """(n,) labels of the test items by their neighbours among the training items."""
    known, queries = features.rows(ids_of(train)).values, features.rows(ids_of(test)).values
    return predict_transfer(known, labels_of(train), queries, column(test, "label"), recipe=recipe, k=k)


def labelled_rows(
    features: FeatureTable, train: Sequence[Image], test: Sequence[Image], *, batch: str | None = None
) -> LabelledRows:
    """Training and test items for measures that learn from the former and score the latter.

    Args:
        features: of all of them.
        train: to learn from.
        test: to score.
        batch: the fact that names what items share beside their class and what ought to be mixed, such as
            `experiment`.
    """
    both = [*train, *test]
    shared: dict[str, Any] = {}
    if batch is not None:
        values = column(both, batch)
        shared = {"groups": values, "group_name": batch, "batches": values, "batch_name": batch}
    marks = np.arange(len(both)) < len(train)
    return LabelledRows(features.rows(ids_of(both)).values, ids_of(both), column(both, "label"), train=marks, **shared)
