"""Two models' features side by side, joined by id, and the controls that a gain is read beside (E2, docs/paper.md)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.tables import FeatureTable, join_features, make_table

from .base import column, ids_of

CONTROLS_NOTE = (
    "Rows were joined by id. A fusion A + B is worth what it gains over its controls, not over A alone: A + A has the "
    "neighbours of A, A + random net tells what more dimensions give without pretraining. A + B shuffled within class "
    "joins two different images of one class on purpose, which leaks the label; its accuracy is not a result. It "
    "shows how high a fusion would seem to score with its rows joined wrongly."
)


def fuse(first: FeatureTable, second: FeatureTable, *, ids: npt.NDArray[Any]) -> FeatureTable:
    """Both tables' features of these ids side by side, without their metadata, which need not agree.

    Raises:
        InputError: an id that one of them lacks.

    Example:
        >>> one, two = make_table(["x", "y"], [[1.0], [2.0]]), make_table(["y", "x"], [[20.0], [10.0]])
        >>> fuse(one, two, ids=one.ids).values.tolist()
        [[1.0, 10.0], [2.0, 20.0]]
    """
    return join_features([replace(own, metadata=own.metadata[[]]) for own in (first.rows(ids), second.rows(ids))])


def shuffle_within_class(table: FeatureTable, items: Sequence[Image], *, seed: int) -> FeatureTable:
    """The table with its rows exchanged among items of one label (and one split): every row lies about its id.

    The control that shows what misaligned rows do, and what the recipe `published` does where the original listed its
    cells from a set.
    """
    ids = ids_of(items)
    labels = column(items, "label")
    strata = np.array(
        [f"{item.metadata.get('split', '')}\x1f{label}" for item, label in zip(items, labels, strict=True)]
    )
    source = np.arange(len(ids))
    for stratum in np.unique(strata):
        rows = (strata == stratum).nonzero()[0]
        rows = rows[np.argsort(ids[rows].astype(str))]  # the same exchange, whatever the order of the items
        source[rows] = rows[derive_rng(seed, "shuffle-within-class", stratum).permutation(len(rows))]
    return make_table(ids, table.rows(ids[source]).values, names=table.names, about=table.about)


def random_features(ids: npt.NDArray[Any], width: int, *, seed: int) -> FeatureTable:
    """Features that know nothing: the random partner of tables that came without images."""
    values = derive_rng(seed, "random-features").normal(size=(len(ids), width)).astype(np.float32)
    return make_table(ids, values)
