"""Macro F1 by counts: equal to scikit-learn's, with an interval and a test that keep to groups."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from cytoimagenet_hf.benchmarks import macro
from cytoimagenet_hf.benchmarks.compare import compare, summarise_score
from tests.benchmarks.scores import score_of


def _score(references, predictions, groups=None):
    return score_of(references, predictions, groups, measure="macro F1")


def _cells(share, *, seed=0, n=600):
    rng = np.random.default_rng(seed)
    references = rng.choice(list("abc"), n, p=[0.8, 0.15, 0.05])
    return references, np.where(rng.random(n) < share, references, rng.choice(list("abc"), n))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_that_of_scikit_learn(seed):
    references, predictions = _cells(0.4, seed=seed, n=40)
    counts = macro.group_counts(references, predictions, np.arange(40) % 7)
    assert macro.macro_f1(counts.sum(axis=0)) == pytest.approx(f1_score(references, predictions, average="macro"))


def test_a_record_has_macro_f1_as_its_value_with_an_interval():
    references, predictions = _cells(0.6)
    record = summarise_score(_score(references, predictions), task="chammi", entry="net", kind="model", seed=0)
    assert record.value == pytest.approx(f1_score(references, predictions, average="macro"))
    assert record.value < record.right / record.n  # the rare classes count as much as the common one
    low, high = record.interval
    assert low < record.value < high


def test_pairs_are_tested_by_group_and_the_better_is_found():
    groups = np.array([f"p{number % 12}" for number in range(600)], object)
    references, poor = _cells(0.3)
    _, good = _cells(0.3, seed=1)
    good = np.where(np.random.default_rng(2).random(600) < 0.7, references, good)
    comparison = compare(_score(references, poor, groups), _score(references, good, groups), names=("a", "b"), seed=0)
    expected = f1_score(references, good, average="macro") - f1_score(references, poor, average="macro")
    assert comparison.difference == pytest.approx(expected)
    assert (comparison.test, comparison.groups) == ("group permutation", 12)
    assert comparison.p < 0.01
    assert comparison.interval[0] > 0
    same = compare(_score(references, poor), _score(references, poor), names=("a", "b"), seed=0)
    assert (same.p, same.test, same.interval) == (1.0, "item permutation", (0.0, 0.0))


def test_equal_models_are_told_apart_as_often_as_the_level_says():
    rejected = []
    for seed in range(60):
        references, first = _cells(0.5, seed=seed, n=200)
        rng, classes = np.random.default_rng(1000 + seed), np.array(list("abc"))
        second = np.where(rng.random(200) < 0.5, references, rng.choice(list("abc"), 200))
        a, b = (macro.group_counts(references, of, np.arange(200), classes=classes) for of in (first, second))
        rejected.append(macro.exchanged(a, b, seed=0) <= 0.05)
    assert np.mean(rejected) <= 0.12
