"""Intervals and tests against scipy, statsmodels and simulation."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.scoring import stats


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (86, 103), (1, 1), (13000, 27058)])
def test_intervals_equal_statsmodels(successes, n):
    for ours, method in ((stats.wald_interval, "normal"), (stats.wilson_interval, "wilson")):
        for confidence in (0.9, 0.95):
            wanted = proportion_confint(successes, n, alpha=1 - confidence, method=method)
            np.testing.assert_allclose(ours(successes, n, confidence=confidence), wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("percent", "n", "half"), [(27.18, 103, 8.59), (83.50, 103, 7.17), (86.41, 103, 6.62), (77.97, 27058, 0.49)]
)
def test_half_widths_printed_in_the_paper(percent, n, half):
    assert round(100 * stats.wald_half_width(round(percent * n / 100), n), 2) == half


def test_mcnemar_equals_statsmodels_and_has_no_hole_at_zero():
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.random(60) < 0.6, rng.random(60) < 0.7
        table = [
            [(first & second).sum(), (first & ~second).sum()],
            [(~first & second).sum(), (~first & ~second).sum()],
        ]
        assert stats.mcnemar_exact(first, second) == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert stats.mcnemar_exact([True, False], [True, False]) == 1.0
    assert stats.discordant([1, 1, 0, 0], [1, 0, 1, 1]) == (1, 2)


def test_holm_equals_statsmodels():
    rng = np.random.default_rng(1)
    for size in (1, 2, 7):
        pvalues = rng.random(size) ** 3
        np.testing.assert_allclose(stats.holm(pvalues), multipletests(pvalues, method="holm")[1])
    assert stats.holm([]).tolist() == []


def test_permutation_equals_the_exact_sign_test_on_few_pairs():
    first, second = np.array([1, 1, 1, 1, 0, 1]), np.array([0, 0, 0, 0, 1, 1])
    # Five pairs differ, four in favour: P(|sum| >= 3) = 2 (5 + 1) / 32.
    p = stats.paired_permutation(first, second, seed=0, resamples=20000)
    assert p == pytest.approx(12 / 32, abs=0.015)
    exact = scipy_stats.permutation_test(
        (first - second,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert p == pytest.approx(exact, abs=0.015)


def test_permutation_never_gives_zero_and_respects_groups():
    first, second = np.ones(100), np.zeros(100)
    assert stats.paired_permutation(first, second, seed=0, resamples=99) == 1 / 100
    # Two groups: four equally likely swaps, two as extreme as observed.
    grouped = stats.paired_permutation(first, second, seed=0, groups=[0] * 50 + [1] * 50, resamples=4000)
    assert grouped == pytest.approx(0.5, abs=0.03)


def test_resampling_is_a_function_of_the_seed():
    values, groups = np.random.default_rng(0).random(60), np.arange(60) // 6
    again = [stats.cluster_bootstrap(values, groups, seed=seed, resamples=200) for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def test_bootstrap_interval_covers_under_clustering_where_wald_does_not():
    rng = np.random.default_rng(2)
    covered = {"cluster": 0, "wald": 0}
    trials = 400
    for trial in range(trials):
        rates = rng.beta(3, 3, size=25)  # plates differ: mean 0.5
        groups = np.repeat(np.arange(25), 40)
        values = rng.random(1000) < rates[groups]
        low, high = stats.cluster_bootstrap(values, groups, seed=trial, resamples=400)
        covered["cluster"] += low <= 0.5 <= high
        low, high = stats.wald_interval(int(values.sum()), len(values))
        covered["wald"] += low <= 0.5 <= high
    # Binomial spread of 400 trials around 0.95 is ± 0.03 at three standard errors.
    assert 0.92 <= covered["cluster"] / trials <= 0.98
    assert covered["wald"] / trials < 0.8


def test_tests_keep_their_level_under_the_null():
    rng = np.random.default_rng(3)
    small = {"mcnemar": 0, "permutation": 0}
    for trial in range(300):
        first, second = rng.random((2, 80)) < 0.6
        small["mcnemar"] += stats.mcnemar_exact(first, second) <= 0.05
        small["permutation"] += stats.paired_permutation(first, second, seed=trial, resamples=199) <= 0.05
    assert small["mcnemar"] / 300 <= 0.05 + 0.03
    assert small["permutation"] / 300 <= 0.05 + 0.03


def test_smallest_gain_that_can_be_significant_on_103_treatments():
    assert stats.minimum_detectable_difference(103) == 6 / 103  # 2 * 0.5^5 = 0.0625, 2 * 0.5^6 = 0.031
    assert stats.minimum_detectable_difference(5) == float("inf")
    assert stats.minimum_detectable_difference(103, alpha=0.25) == 3 / 103  # a gain of 3: p = 0.25


def test_detectable_difference_has_the_power_it_claims():
    n, discordance = 150, 0.2
    difference = stats.minimum_detectable_difference(n, discordance=discordance)
    rng = np.random.default_rng(4)
    shares = [(discordance + difference) / 2, (discordance - difference) / 2, 1 - discordance]
    draws = rng.multinomial(n, shares, size=3000)
    p = np.mean([scipy_stats.binomtest(int(b), int(b + c)).pvalue <= 0.05 if b + c else 0 for b, c, _ in draws])
    assert p == pytest.approx(0.8, abs=0.025)
    assert stats.minimum_detectable_difference(600, discordance=discordance) < difference
    assert stats.minimum_detectable_difference(10, discordance=0.1) == float("inf")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.wald_interval(3, 0), "n at least 1"),
        (lambda: stats.wald_interval(4, 3), "0 <= right"),
        (lambda: stats.wilson_interval(1, 3, confidence=95), "confidence"),
        (lambda: stats.cluster_bootstrap([1, 0], ["a", "a"], seed=0), "two groups"),
        (lambda: stats.cluster_bootstrap([1, 0], ["a"], seed=0), "common length"),
        (lambda: stats.mcnemar_exact([True], [True, False]), "common length"),
        (lambda: stats.holm([0.1, np.nan]), "p-values"),
        (lambda: stats.minimum_detectable_difference(0), "positive"),
        (lambda: stats.minimum_detectable_difference(9, discordance=0.0), "share"),
        (lambda: stats.paired_permutation([], [], seed=0), "common length"),
        (lambda: stats.cluster_bootstrap([], [], seed=0), "at least 1"),
        (lambda: stats.mcnemar_exact([], []), "common length"),
        (lambda: stats.discordant([], []), "common length"),
        (lambda: stats.paired_permutation([1, 2], [1], seed=0), "common length"),
        (lambda: stats.paired_permutation(["x", "y"], [1, 2], seed=0), "must be numbers"),
        (lambda: stats.paired_permutation([1, 2], [1, 2], seed=0, resamples=0), "resamples"),
        (lambda: stats.paired_permutation([1, 2], [1, 2], seed=0, groups=["a", None]), "no name"),
        (lambda: stats.cluster_bootstrap([1, 0], [1.0, np.nan], seed=0), "no name"),
        (lambda: stats.cluster_bootstrap([1, 0], ["a", "b"], seed=0, confidence=1.5), "confidence"),
        (lambda: stats.mcnemar_exact([0.4, 0.9], [0, 1]), "right or wrong"),
        (lambda: stats.mcnemar_exact(["yes", "no"], ["no", "no"]), "right or wrong"),
        (lambda: stats.holm(["a"]), "must be numbers"),
        (lambda: stats.wald_interval(1.5, 3), "whole numbers"),
        (lambda: stats.minimum_detectable_difference(9.5), "whole"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


ODD = [float("nan"), float("inf"), float("-inf")]
GROUPS = ["a", "a", "b", "b"]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize(
    "call",
    [
        lambda x: stats.paired_permutation([x, 1, 0, 1], [0, 1, 0, 1], seed=0),
        lambda x: stats.paired_permutation([0, 1, 0, 1], [0, 1, 0, x], seed=0, groups=GROUPS),
        lambda x: stats.cluster_bootstrap([x, 1, 0, 1], GROUPS, seed=0),
        lambda x: stats.cluster_bootstrap([0, 1, 0, 1], GROUPS, seed=0, confidence=x),
        lambda x: stats.cluster_bootstrap([0, 1, 0, 1], GROUPS, seed=0, resamples=x),
        lambda x: stats.paired_permutation([0, 1], [1, 1], seed=0, resamples=x),
        lambda x: stats.mcnemar_exact([x, 1], [0, 1]),
        lambda x: stats.discordant([0, 1], [0, x]),
        lambda x: stats.holm([0.1, x]),
        lambda x: stats.wald_interval(x, 3),
        lambda x: stats.wald_half_width(1, x),
        lambda x: stats.wilson_interval(1, x),
        lambda x: stats.wilson_interval(1, 3, confidence=x),
        lambda x: stats.minimum_detectable_difference(x),
        lambda x: stats.minimum_detectable_difference(9, discordance=x),
        lambda x: stats.minimum_detectable_difference(9, alpha=x),
        lambda x: stats.minimum_detectable_difference(9, discordance=0.5, power=x),
    ],
)
def test_what_is_not_finite_is_refused_everywhere(call, odd):
    with pytest.raises(InputError):
        call(odd)
