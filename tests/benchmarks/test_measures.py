"""Measures on hand-made features whose answer can be spelled out, and against scikit-learn, scipy and brute force."""

import numpy as np
import pytest
from scipy.stats import chisquare

from cytoimagenet_hf.benchmarks.measures import few_shot, mixing_rejection, probe
from cytoimagenet_hf.benchmarks.retrieval import enrichment, recall_at_1
from cytoimagenet_hf.core.errors import InputError


def _grouped(rng):
    """Two classes in six groups, each group with an offset of its own; nothing tells the class."""
    groups = np.repeat([f"g{n}" for n in range(6)], 30).astype(object)
    labels = np.array(["a", "b"] * 90)
    offset = np.array([rng.normal(0, 5, 6) for _ in range(6)])[np.repeat(np.arange(6), 30)]
    return offset + rng.normal(0, 1, (180, 6)), labels.astype(object), groups


def test_a_probe_cannot_learn_the_group():
    values, labels, groups = _grouped(np.random.default_rng(3))
    assert abs((probe(values, labels, groups, seed=0) == labels).mean() - 0.5) < 0.15
    values[:, 0] = np.where(labels == "a", -4, 4) + np.random.default_rng(0).normal(0, 0.5, len(labels))
    assert (probe(values, labels, groups, seed=0) == labels).mean() == 1.0
    with pytest.raises(InputError, match="2 groups"):
        probe(values[:60], labels[:60], groups[:60], seed=0)


def test_few_shots_come_from_other_groups_and_more_of_them_help():
    rng = np.random.default_rng(4)
    values, labels, groups = _grouped(rng)
    values = np.where(labels == "a", -1, 1)[:, None] * np.eye(6)[0] * 2 + rng.normal(0, 1, (180, 6))
    shares = {n: right.mean() for n, right in few_shot(values, labels, groups, seed=0).items()}
    assert list(shares) == [1, 5, 10]
    assert shares[1] < shares[5] <= shares[10] + 0.02
    assert shares[10] > 0.9


def test_as_many_shots_as_the_scarcest_class_has_outside_each_fold():
    labels = np.array(["a"] * 12 + ["b"] * 6)
    groups = np.array([*"uvwxyz" * 2, *"uvwxyz"])
    assert list(few_shot(np.eye(18), labels, groups, seed=0)) == [
        1
    ]  # b: six groups in five folds, four outside the fullest
    with pytest.raises(InputError, match="class 'b' has no example outside"):
        few_shot(np.eye(4), np.array(["a", "a", "b", "b"]), np.array(["u", "v", "w", "w"]), seed=0)


def test_mixing_of_shuffled_batches_is_rejected_at_the_level():
    rng = np.random.default_rng(0)
    values, batches = rng.normal(size=(600, 5)), rng.permutation(np.repeat(["a", "b", "c"], 200))
    assert mixing_rejection(values, batches) < 0.1
    # One neighbourhood by hand: all ten neighbours of one batch where a third is expected.
    assert chisquare([10, 0, 0], [10 / 3] * 3).pvalue < 0.05
    with pytest.raises(InputError, match="only one batch"):
        mixing_rejection(values, np.repeat("a", 600))


def test_recall_and_enrichment_by_hand():
    values = np.array([[1, 0], [1, 0.1], [0, 1], [0.2, 1], [1, 0.05]], float)
    names = np.array(["x", "x", "y", "y", "z"], object)
    alone = np.arange(5)
    # x0's nearest is z, x1's is z, the two y find each other, z has no partner.
    assert recall_at_1(values, names=names, excluded=alone).tolist()[:4] == [0, 0, 1, 1]
    assert np.isnan(recall_at_1(values, names=names, excluded=alone)[4])
    # With the batches of x0 and z equal, z may not be x0's neighbour any more.
    batches = np.array([0, 1, 2, 3, 0])
    assert recall_at_1(values, names=names, excluded=batches)[0] == 1
    # y2: its one nearest of four candidates is y3: cells 1, 0, 0, 3 → (1.5 · 3.5) / (0.5 · 0.5) = 21
    ratios, ps = enrichment(values, names=names, excluded=alone)
    assert ratios[2] == pytest.approx(21.0)
    assert np.isnan(ratios[4])
    assert np.isnan(ps[4])
