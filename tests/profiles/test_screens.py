"""Z', SSMD, scores between controls and dose-response curves, against hand calculation and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.profiles import screens


def test_z_prime_and_ssmd_by_hand():
    # Means 10 and 20, deviations 1 and 2: 1 - 3 * 3 / 10 and 10 / sqrt(5).
    negative, positive = [9, 10, 11], [18, 20, 22]
    assert screens.z_prime(negative, positive) == pytest.approx(0.1)
    assert screens.ssmd(negative, positive) == pytest.approx(10 / np.sqrt(5))
    assert screens.ssmd(positive, negative) == pytest.approx(-10 / np.sqrt(5))


def test_robust_variants_do_not_see_one_lost_well():
    negative, positive = [9, 10, 11, 10, 500], [18, 20, 22, 20, 20]
    # Medians 10 and 20; deviations from them 1, 0, 1, 0, 490 and 2, 0, 2, 0, 0: MAD 1 and 0.
    assert screens.z_prime(negative, positive, robust=True) == pytest.approx(1 - 3 * 1.4826 / 10)
    assert screens.ssmd(negative, positive, robust=True) == pytest.approx(10 / 1.4826)
    assert screens.z_prime(negative, positive) < 0


def test_controls_that_do_not_differ():
    assert screens.z_prime([1, 1], [1, 1]) == -np.inf
    assert screens.ssmd([1, 1], [1, 1]) == 0
    assert screens.ssmd([1, 1], [2, 2]) == np.inf


@pytest.mark.parametrize("wells", [[], [1.0], [1.0, np.nan]])
def test_too_few_or_odd_controls_are_refused(wells):
    with pytest.raises(InputError, match="positive control"):
        screens.z_prime([1.0, 2.0], wells)


@given(st.floats(0.1, 100), st.floats(-100, 100))
def test_z_prime_does_not_depend_on_units(factor, shift):
    negative, positive = np.array([1.0, 1.2, 0.9]), np.array([2.0, 2.2, 2.3])
    moved = screens.z_prime(negative * factor + shift, positive * factor + shift)
    assert moved == pytest.approx(screens.z_prime(negative, positive), abs=1e-6)


def controls(n, low, high):
    marks = np.arange(n)
    return marks < low, (marks >= low) & (marks < low + high)


def test_scores_leave_each_control_out_of_its_axis():
    values = np.array([[0.0], [2.0], [4.0], [10.0], [12.0], [14.0], [7.0]])
    low, high = controls(7, 3, 3)
    # The first negative: the others' mean is 3, the positives' 12; the first positive: 2 and 13. All: 2 and 12.
    found = screens.control_scores(values, low, high)
    assert found == pytest.approx([-3 / 9, 0, 3 / 11, 8 / 11, 1, 12 / 9, 0.5])


def test_noise_alone_gives_controls_no_distance():
    # In 2000 dimensions the means of few wells always differ; with a well's own part in them, noise would separate.
    x = derive_rng(0, "noise").normal(size=(16, 2000))
    low, high = controls(16, 8, 8)
    found = screens.control_scores(x, low, high)
    assert screens.z_prime(found[low], found[high]) < -1
    axis = x[high].mean(axis=0) - x[low].mean(axis=0)
    assert screens.z_prime(x[low] @ axis, x[high] @ axis) > 0  # what leaving out prevents


def test_scores_do_not_depend_on_the_scale_of_a_feature():
    x = derive_rng(1, "scale").normal(size=(10, 4)) + np.arange(10)[:, None]
    low, high = controls(10, 4, 4)
    stretched = x * [1, 10, 1e-3, 1e4]
    assert screens.control_scores(stretched, low, high) == pytest.approx(screens.control_scores(x, low, high))


def test_scores_skip_features_that_do_not_vary():
    x = np.column_stack([derive_rng(2, "vary").normal(size=9) + np.arange(9), np.full(9, 7.0)])
    low, high = controls(9, 4, 4)
    assert screens.control_scores(x, low, high) == pytest.approx(screens.control_scores(x[:, :1], low, high))


def test_scores_refuse_what_has_no_axis():
    x = np.zeros((8, 2))
    low, high = controls(8, 4, 4)
    with pytest.raises(InputError, match="equal means"):
        screens.control_scores(x, low, high)
    with pytest.raises(InputError, match="three of each"):
        screens.control_scores(x, *controls(8, 4, 2))
    with pytest.raises(InputError, match="at once"):
        screens.control_scores(x, low, low)


def test_distance_from_controls_is_one_for_their_like():
    x = derive_rng(3, "distance").normal(size=(60, 50))
    x[-1] += 5
    low = np.arange(60) < 40
    found = screens.control_distance(x, low)
    assert np.median(found[:59]) == pytest.approx(1, abs=0.15)
    assert found[59] > 4


def test_spearman_is_scipys():
    x, y = derive_rng(5, "rank").normal(size=(2, 12))
    found = stats.spearmanr(x, y)
    assert screens.spearman(x, y) == pytest.approx((found.statistic, found.pvalue))
    assert np.isnan(screens.spearman([1, 1, 1], [1, 2, 3])).all()


DOSES = np.repeat(3.0 ** np.arange(-4, 5), 4)


@pytest.mark.parametrize(("bottom", "top", "slope"), [(0.0, 1.0, 1.0), (1.0, 0.2, 2.0), (-3.0, 5.0, 0.7)])
def test_a_curve_is_found_again(bottom, top, slope):
    noise = derive_rng(6, "curve", str(slope)).normal(scale=0.01 * abs(top - bottom), size=len(DOSES))
    truth = bottom + (top - bottom) / (1 + (2.0 / DOSES) ** slope)
    curve = screens.fit_dose_response(DOSES, truth + noise)
    assert isinstance(curve, screens.DoseResponse)
    assert curve.ec50 == pytest.approx(2.0, rel=0.15)
    assert curve.interval[0] < 2.0 < curve.interval[1]
    assert curve.slope == pytest.approx(slope, rel=0.15)
    assert curve.r2 > 0.98
    assert curve.at(0.0) == pytest.approx(curve.bottom)


@given(st.floats(1e-6, 1e6))
def test_the_ec50_moves_with_the_unit(factor):
    response = 1 / (1 + 2.0 / DOSES) + np.tile([-0.01, 0.01], len(DOSES) // 2)
    plain, moved = (screens.fit_dose_response(DOSES * by, response) for by in (1.0, factor))
    assert moved.ec50 == pytest.approx(plain.ec50 * factor, rel=1e-3)


def test_what_cannot_be_fitted_says_why():
    noise = derive_rng(7, "flat").normal(size=len(DOSES))
    assert "better than a constant" in screens.fit_dose_response(DOSES, noise)
    assert "needs four doses" in screens.fit_dose_response([1, 1, 2, 2, 3, 3], np.arange(6.0))
    assert "does not vary" in screens.fit_dose_response(DOSES, np.ones(len(DOSES)))
    late = 1 / (1 + (300 / DOSES) ** 2) + 0.001 * noise
    assert "levelled off" in screens.fit_dose_response(DOSES, late)
    with pytest.raises(InputError, match="from 0 up"):
        screens.fit_dose_response(-DOSES, noise)
