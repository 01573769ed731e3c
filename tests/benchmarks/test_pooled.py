"""Many sets together: what the record pools is what its comparisons say."""

import numpy as np
import pytest

from cytoimagenet_hf.benchmarks.compare import BEST_BASELINE, compare, pool_record
from cytoimagenet_hf.benchmarks.figures import forest
from cytoimagenet_hf.benchmarks.table import pooled_table, to_markdown
from cytoimagenet_hf.scoring.pooling_over_sets import pool_effects
from cytoimagenet_hf.scoring.results import Comparison, ResultsRecord, ScoreRecord, from_json
from tests.benchmarks.scores import score_of


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
    found = compare(first, second, names=("none", "some"), seed=0)
    means = np.array([0, 1, 2, 3, 4, 2]) / 4
    assert found.error == pytest.approx(means.std(ddof=1) / np.sqrt(6))
    assert found.detectable == pytest.approx((1.959964 + 0.841621) * found.error, rel=1e-5)
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
