"""Fusion by id, and the controls that tell a gain from a leak (E2, docs/paper.md)."""

import numpy as np
import pytest

from cytoimagenet_hf.benchmarks import RECIPES
from cytoimagenet_hf.benchmarks.base import labelled
from cytoimagenet_hf.benchmarks.entries import fuse, random_features, shuffle_within_class
from cytoimagenet_hf.benchmarks.protocols import predict_leave_one_out
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import make_table

CLASSES, PER_CLASS = 6, 120


@pytest.fixture(scope="module")
def cells():
    """Cells whose own character, shared by both models, outweighs their class."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(CLASSES), PER_CLASS)
    character = 1.6 * rng.normal(size=(len(codes), 8)) + rng.normal(size=(CLASSES, 8))[codes]
    items = [labelled(f"cell-{number:04d}", (), f"class-{code}") for number, code in enumerate(codes)]
    ids = np.array([item.id for item in items], dtype=object)
    views = [character @ rng.normal(size=(8, 24)) + 0.8 * rng.normal(size=(len(codes), 24)) for _ in range(2)]
    order = rng.permutation(len(ids))  # the second model's table lists its rows otherwise
    return items, make_table(ids, views[0]), make_table(ids[order], views[1][order])


def accuracy(table, items):
    ids = np.array([item.id for item in items], dtype=object)
    labels = np.array([item.metadata["label"] for item in items], dtype=object)
    predicted = predict_leave_one_out(table.rows(ids).values, labels, ids, recipe=RECIPES["corrected"], seed=0)
    return (predicted == labels).mean(), predicted


def test_misaligned_fusion_inflates_accuracy_and_the_controls_catch_it(cells):
    items, a, b = cells
    alone, votes = accuracy(a, items)
    doubled, doubled_votes = accuracy(fuse(a, a, ids=a.ids), items)
    aligned, _ = accuracy(fuse(a, b, ids=a.ids), items)
    noise = random_features(a.ids, 24, seed=0)
    with_noise, _ = accuracy(fuse(a, noise, ids=a.ids), items)
    leaked, _ = accuracy(fuse(a, shuffle_within_class(b, items, seed=1), ids=a.ids), items)
    assert (doubled, doubled_votes.tolist()) == (alone, votes.tolist())
    assert with_noise < alone
    # The same features, joined to the wrong cell of the right class, look better than joined to their own.
    assert leaked > aligned + 0.05
    assert leaked > alone + 0.05


def test_shuffle_exchanges_rows_within_class_and_split_only():
    items = [
        labelled(name, (), name[0], facts={"split": split})
        for name, split in [("x1", "train"), ("x2", "train"), ("x3", "test"), ("y1", "train"), ("y2", "train")]
    ]
    ids = np.array([item.id for item in items], dtype=object)
    table = make_table(ids, np.arange(5.0)[:, None])
    seen = {tuple(shuffle_within_class(table, items, seed=seed).values[:, 0]) for seed in range(30)}
    for row in seen:
        assert sorted(row[:2]) == [0, 1]
        assert row[2] == 2
        assert sorted(row[3:]) == [3, 4]
    assert len(seen) == 4
    assert shuffle_within_class(table, items, seed=1).values.tolist() == (
        shuffle_within_class(table, items[::-1], seed=1).rows(ids).values.tolist()
    )


def test_tables_of_different_items_are_not_fused():
    one, more = make_table(["a", "b"], np.ones((2, 1))), make_table(["a", "b", "c"], np.ones((3, 1)))
    with pytest.raises(InputError, match=r"no features for 1.*'c'"):
        fuse(one, more, ids=more.ids)
