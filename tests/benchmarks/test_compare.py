"""Paired tests of scores: by group where groups are known, with the level they promise; and many sets together."""

from dataclasses import replace

import numpy as np
import pytest

from cytoimagenet_hf.benchmarks.compare import (
    BEST_BASELINE,
    compare,
    compare_pairs,
    compare_with_best,
    pool_record,
    smallest_p,
    summarise_score,
)
from cytoimagenet_hf.benchmarks.figures import forest
from cytoimagenet_hf.benchmarks.table import pooled_table, to_markdown
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.scoring.pooling_over_sets import pool_effects
from cytoimagenet_hf.scoring.results import Comparison, ResultsRecord, ScoreRecord, from_json
from tests.benchmarks.scores import score_of

_SETS = 400


def _score(correct, groups=None):
    return score_of(["x"] * len(correct), np.where(np.asarray(correct, bool), "x", "y"), groups)


def _clustered(rng, *, plates, cells, gain):
    """Two models whose chance of being right varies by plate, each in its own way; the second better by `gain`."""
    groups = np.repeat([f"p{number}" for number in range(plates)], cells).astype(object)
    levels = 0.7 + rng.normal(0, 0.08, (2, plates)) + np.array([[0.0], [gain]])
    draws = rng.random((2, plates * cells)) < np.repeat(np.clip(levels, 0, 1), cells, axis=1)
    return [_score(row, groups) for row in draws]


def _share_rejected(*, plates, cells, gain, sets=_SETS):
    rng = np.random.default_rng(5)
    pairs = [_clustered(rng, plates=plates, cells=cells, gain=gain) for _ in range(sets)]
    ps = [compare(a, b, names=("a", "b"), seed=0).p for a, b in pairs]
    return np.mean([p is not None and p <= 0.05 for p in ps])


@pytest.mark.parametrize(("plates", "cells"), [(6, 400), (38, 3)])
def test_true_nulls_with_groups_are_rejected_at_most_at_their_level(plates, cells):
    assert _share_rejected(plates=plates, cells=cells, gain=0.0) <= 0.07


def test_a_true_effect_is_found():
    # 20 plates, a gain of 10 points where plates differ by 8: power about 0.9
    assert _share_rejected(plates=20, cells=100, gain=0.10, sets=100) >= 0.8


def test_too_few_groups_are_said_and_not_tested():
    groups = np.array(["a", "b", "c", "d", "e"] * 4, object)
    comparison = compare(_score([0] * 20, groups), _score([1] * 20, groups), names=("a", "b"), seed=0)
    assert (comparison.test, comparison.p, comparison.p_holm, comparison.groups) == ("none", None, None, 5)
    assert smallest_p(5) > 0.05 >= smallest_p(6)


def test_without_groups_items_are_compared_by_mcnemar():
    comparison = compare(_score([1, 1, 1] + [0] * 100), _score([0] * 103), names=("a", "b"), seed=0)
    assert (comparison.test, comparison.groups, comparison.p) == ("exact McNemar", None, 0.25)
    assert comparison.interval == pytest.approx((-3 / 103 - 0.0324, -3 / 103 + 0.0324), abs=1e-3)


def test_the_sign_does_not_depend_on_the_order_of_the_models():
    scores = {("b", "set"): _score([1, 1, 0, 0]), ("a", "set"): _score([1, 0, 0, 0])}
    for order in (["a", "b"], ["b", "a"]):
        (pair,) = compare_pairs(scores, entries=order, sets=["set"], seed=0)
        assert (pair.first, pair.second, pair.difference) == ("a", "b", 0.25)


def test_gain_is_over_the_best_baseline_of_each_set():
    scores = {
        ("net", "set"): _score([1, 1, 1, 0]),
        ("histogram", "set"): _score([1, 1, 0, 0]),
        ("area", "set"): _score([1, 0, 0, 0]),
    }
    (gain,) = compare_with_best(scores, entries=["net"], baselines=["area", "histogram"], sets=["set"], seed=0)
    assert (gain.first, gain.second, gain.difference) == ("histogram", "net", 0.25)


def test_the_interval_of_a_difference_goes_by_group():
    groups = np.repeat(["a", "b", "c", "d", "e", "f"], 50).astype(object)
    better = np.repeat([1, 0, 1, 0, 1, 0], 50)
    comparison = compare(_score(np.zeros(300), groups), _score(better, groups), names=("a", "b"), seed=0)
    low, high = comparison.interval
    assert low <= 0.1
    assert high >= 0.9


def test_shares_are_compared_item_by_item_or_by_group_and_never_with_predictions():
    a, b = (score_of(["x"] * 12, shares=np.full(12, share), measure="replicate mAP") for share in (0.5, 0.75))
    comparison = compare(a, b, names=("a", "b"), seed=0)
    assert (comparison.test, comparison.difference) == ("item permutation", 0.25)
    assert (comparison.only_first, comparison.only_second) == (0, 12)
    assert comparison.p < 0.01
    groups = np.repeat(["x", "y", "z"], 4).astype(object)
    grouped = [replace(score, clusters=groups, cluster_name="plate") for score in (a, b)]
    assert compare(*grouped, names=("a", "b"), seed=0).test == "none"
    with pytest.raises(InputError, match="are not a pair"):
        compare(a, replace(b, measure="probe"), names=("a", "b"), seed=0)
    with pytest.raises(InputError, match=r"must be numbers in \[0, 1\]"):
        replace(a, shares=np.full(12, 1.5))
    with pytest.raises(InputError, match="has no predictions"):
        _ = a.correct


def test_a_record_of_shares_has_no_confusion_and_an_interval_all_the_same():
    score = score_of(list("abcd"), shares=np.array([0.2, 0.4, 0.6, 0.8]), measure="replicate mAP")
    record = summarise_score(score, task="task", entry="net", kind="model", seed=0)
    assert (record.measure, record.n, record.right, record.wilson) == ("replicate mAP", 4, None, None)
    assert record.value == pytest.approx(0.5)
    assert record.classes == record.confusion == ()
    assert record.interval == pytest.approx((0.5 - 0.2191, 0.5 + 0.2191), abs=1e-3)


def test_pooled_is_the_random_effects_mean_of_the_comparisons(record_of, feature_file) -> None:
    features = tuple(feature_file(name, "coos7", noise=n, seed=n) for name, n in (("good", 2), ("poor", 3)))
    record = record_of("coos7", features=features)
    (pooled,) = record.pooled
    assert (pooled.first, pooled.second, pooled.measure) == ("good", "poor", "accuracy")
    assert pooled.sets == tuple(pair.set for pair in record.comparisons)
    assert len(pooled.sets) == 4
    expected = pool_effects([p.difference for p in record.comparisons], [p.error for p in record.comparisons])
    assert pooled.difference == expected.difference
    assert pooled.interval == tuple(expected.interval)
    assert from_json(record.to_json()) == record
    table = to_markdown(pooled_table(record))
    assert f"| {100 * expected.difference:+.2f} |" in table
    shown = forest(record, pooled).axes[0]
    assert [label.get_text() for label in shown.get_yticklabels()] == [*pooled.sets, "all 4 sets"]


def test_the_error_is_that_of_a_mean_over_groups() -> None:
    groups = np.repeat(np.array(list("abcdef"), dtype=object), 4)
    right = np.arange(24) % 4 < np.repeat([0, 1, 2, 3, 4, 2], 4)
    first, second = (score_of(["x"] * 24, np.where(of, "x", "y"), groups) for of in (np.zeros(24, bool), right))
    comparison = compare(first, second, names=("none", "some"), seed=0)
    means = np.array([0, 1, 2, 3, 4, 2]) / 4
    assert comparison.error == pytest.approx(means.std(ddof=1) / np.sqrt(6))
    assert comparison.detectable == pytest.approx((1.959964 + 0.841621) * comparison.error, rel=1e-5)
    assert compare(first, first, names=("none", "none"), seed=0).error is None


def pair(name: str, second: str, error: float | None, *, first: str = "histogram") -> Comparison:
    ends = None if error is None else (0.01 - 2 * error, 0.01 + 2 * error)
    return Comparison(name, first, second, 9, 0.01, ends, 0, 0, "none", 3, "plate", None, None, None, error)


def test_sets_that_do_not_vary_are_named_and_one_set_is_not_pooled() -> None:
    scores = [("a", "Net"), ("b", "Net"), ("c", "Net"), ("a", "Other"), ("d", "Net")]
    measures = {"d": "replicate mAP"}
    records = tuple(
        ScoreRecord(
            *("t", name, entry, "model", 9, 5, 0.5, 0.1, None, None, None, None, {}, (), ()),
            measure=measures.get(name, "accuracy"),
        )
        for name, entry in scores
    )
    # The best baseline is another one on each set.
    gains = (
        *(pair("a", "Net", 0.02), pair("b", "Net", 0.03, first="texture"), pair("c", "Net", None)),
        *(pair("a", "Other", 0.02), pair("d", "Net", 0.02)),
    )
    (pooled,) = pool_record(ResultsRecord({}, {}, (), records, (), gains))
    assert (pooled.first, pooled.second) == (BEST_BASELINE, "Net")
    assert (pooled.sets, pooled.left_out) == (("a", "b"), ("c",))
    assert pooled.difference == pytest.approx(0.01)
    record = ResultsRecord({}, {}, (), records, (), gains, pooled=(pooled,))
    row = pooled_table(record).rows[0]
    assert row[2] == "2, without c"
    assert row[-1] == f"no, {100 * pooled.detectable:.1f} would be"
    assert "not clear" in forest(record, pooled).axes[0].get_title()
