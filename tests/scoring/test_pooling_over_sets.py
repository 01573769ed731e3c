"""Random-effects pooling against a published example, statsmodels, and simulated sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from cytoimagenet_hf.scoring.pooling_over_sets import pool_effects

# Colditz et al., JAMA 271 (1994): thirteen trials of the BCG vaccine, the example of textbooks and of the R package
# metafor. Cases and healthy among vaccinated, then among controls.
BCG = np.array(
    [
        *((4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761)),
        *((180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232)),
        *((17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825)),
    ],
    float,
)


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d = BCG.T
    effects = np.log(a / (a + b)) - np.log(c / (c + d))
    return effects, np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))


def test_the_published_example() -> None:
    """What metafor prints for it, by REML: -0.7145, standard error 0.1798, tau² 0.3132, I² 92.22 %.

    Its standard error is the plain one; that of Hartung and Knapp is compared with statsmodels' below.
    """
    effects, errors = log_risk_ratios()
    pooled = pool_effects(effects, errors)
    assert pooled.difference == pytest.approx(-0.7145, abs=5e-5)
    assert (1 / (errors**2 + pooled.spread**2)).sum() ** -0.5 == pytest.approx(0.1798, abs=5e-5)
    assert pooled.spread**2 == pytest.approx(0.3132, abs=5e-5)
    assert pooled.heterogeneity == pytest.approx(0.9222, abs=5e-5)
    assert sum(pooled.weights) == pytest.approx(1)


def test_the_same_as_statsmodels_at_the_same_variance() -> None:
    """statsmodels has no REML; given tau², weights, mean and the Hartung-Knapp error are its own."""
    from statsmodels.stats.meta_analysis import combine_effects

    effects, errors = log_risk_ratios()
    pooled = pool_effects(effects, errors)
    # Fed with the total variances, its fixed-effect result is the random-effects one.
    other = combine_effects(effects, errors**2 + pooled.spread**2, method_re="dl", use_t=True)
    assert pooled.difference == pytest.approx(other.mean_effect_fe, rel=1e-6)
    error = (pooled.interval.high - pooled.difference) / scipy_stats.t.ppf(0.975, len(effects) - 1)
    assert error == pytest.approx(other.sd_eff_w_fe_hksj, rel=1e-4)
    assert pooled.weights == pytest.approx(other.weights_rel_fe, rel=1e-6)


def test_reml_has_no_slope_at_its_top() -> None:
    effects, errors = log_risk_ratios()
    between = pool_effects(effects, errors).spread ** 2
    weights = 1 / (errors**2 + between)
    mean = (weights * effects).sum() / weights.sum()
    slope = (weights**2 * (effects - mean) ** 2).sum() - weights.sum() + (weights**2).sum() / weights.sum()
    assert abs(slope) < 1e-4 * weights.sum()


def test_equal_sets_have_no_spread_and_the_interval_keeps_a_width() -> None:
    pooled = pool_effects([0.02] * 4, [0.01] * 4)
    assert (pooled.spread, pooled.heterogeneity) == (0, 0)
    assert pooled.difference == pytest.approx(0.02)
    assert pooled.interval == pytest.approx((0.02 - 3.18245 * 0.005, 0.02 + 3.18245 * 0.005), abs=1e-6)
    assert pooled.detectable == pytest.approx((3.18245 + 0.97847) * 0.005, rel=1e-4)


def test_two_sets_have_no_prediction_and_three_have() -> None:
    assert pool_effects([0.0, 0.1], [0.1, 0.1]).prediction is None
    wide = pool_effects([0.0, 0.1, 0.2], [0.01, 0.01, 0.01])
    assert wide.prediction is not None
    assert wide.prediction[0] < wide.interval[0]


def test_it_covers_the_mean_of_few_sets_that_differ() -> None:
    rng = np.random.default_rng(0)
    errors = np.array([0.5, 1.0, 1.5, 2.0, 1.0])
    inside = 0
    for _ in range(300):
        effects = 1.0 + rng.normal(0, 1.0, 5) + rng.normal(0, errors)
        low, high = pool_effects(effects, errors).interval
        inside += low <= 1.0 <= high
    assert inside >= 0.92 * 300


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0.001, 1)), min_size=2, max_size=8),
    st.floats(0.01, 100),
    st.floats(-5, 5),
)
def test_units_and_zero_do_not_matter(sets, factor, shift) -> None:
    effects, errors = np.array(sets).T
    pooled = pool_effects(effects, errors)
    moved = pool_effects(effects * factor + shift, errors * factor)
    assert moved.difference == pytest.approx(pooled.difference * factor + shift, abs=1e-3 * factor)
    assert moved.spread == pytest.approx(pooled.spread * factor, abs=2e-3 * factor)
    assert effects.min() - 1e-9 <= pooled.difference <= effects.max() + 1e-9
