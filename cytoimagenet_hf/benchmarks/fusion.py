"""Two models' features side by side, joined by id, and the controls without which a gain means nothing (FACTS E2)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.seeding import derive_rng

from .base import Item
from .inputs import FeatureTable

CONTROLS_NOTE = (
    "Rows were joined by id. A fusion A + B is worth what it gains over its controls, not over A alone: A + A has the "
    "neighbours of A, A + random net tells what more dimensions give without pretraining. A + B shuffled within class "
    "joins two different images of one class on purpose, which leaks the label; its accuracy is no result, it shows "
    "how high a fusion would seem to score with its rows joined wrongly."
)


def fuse(first: FeatureTable, second: FeatureTable, *, name: str, ids: npt.NDArray[Any] | None = None) -> FeatureTable:
    """Both tables' features side by side, joined by id.

    Args:
        first: one model's.
        second: the other's, in any order.
        name: of the result.
        ids: items to fuse; both tables may hold more. None: all, and both must hold the same.

    Raises:
        InputError: an id that one of them lacks.

    Example:
        >>> a = FeatureTable("a", np.array(["x", "y"]), np.array([[1.0], [2.0]]))
        >>> b = FeatureTable("b", np.array(["y", "x"]), np.array([[20.0], [10.0]]))
        >>> fuse(a, b, name="a + b").values.tolist()
        [[1.0, 10.0], [2.0, 20.0]]
    """
    if ids is None:
        ids = first.ids
        extra = sorted(set(second.ids) - set(ids))
        if extra:
            raise InputError(f"{second.name} has {len(extra)} ids that {first.name} lacks, such as {extra[:3]}")
    values = np.hstack([first.rows(ids), second.rows(ids)])
    return FeatureTable(name, ids, values, None, {"fused": [first.about, second.about]})


def shuffle_within_class(table: FeatureTable, items: Sequence[Item], *, seed: int) -> FeatureTable:
    """The table with its rows exchanged among items of one label (and one split): every row lies about its id.

    The control that shows what misaligned rows do, and what the recipe `published` does where the original listed its
    cells from a set.
    """
    ids = np.array([item.id for item in items], dtype=object)
    strata = np.array([f"{item.groups.get('split', '')}\x1f{item.label}" for item in items])
    source = np.arange(len(ids))
    for stratum in np.unique(strata):
        rows = (strata == stratum).nonzero()[0]
        rows = rows[np.argsort(ids[rows].astype(str))]  # the same exchange, whatever the order of the items
        source[rows] = rows[derive_rng(seed, "shuffle-within-class", stratum).permutation(len(rows))]
    return FeatureTable(f"{table.name} shuffled within class", ids, table.rows(ids[source]), None, table.about)


def random_features(ids: npt.NDArray[Any], width: int, *, seed: int, name: str = "noise") -> FeatureTable:
    """Features that know nothing: the random partner of tables that came without images."""
    values = derive_rng(seed, "random-features").normal(size=(len(ids), width)).astype(np.float32)
    return FeatureTable(name, ids, values)
