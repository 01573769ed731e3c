"""Intervals, paired tests and detectable differences for accuracies: arrays in, numbers out.

An accuracy is the mean of booleans, one per treatment or cell. Wald is what the paper prints (§4); the cluster
bootstrap respects that cells of one plate or compound are not independent; paired tests compare two models on the same
items (E6, docs/paper.md).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng

_DRAWS = 4_000_000  # in memory at a time


class Interval(NamedTuple):
    """Ends of a confidence interval."""

    low: float
    high: float


def wald_half_width(successes: int, n: int, *, confidence: float = 0.95) -> float:
    """The ± of the paper: z * sqrt(p (1 - p) / n).

    Args:
        successes: items predicted right.
        n: items, at least 1.
        confidence: coverage aimed at, in (0, 1).

    Raises:
        InputError: n below 1 or successes outside 0..n.

    Example:
        >>> round(100 * wald_half_width(86, 103), 2)  # BBBC021, ImageNet: 83.50 ± 7.17
        7.17
    """
    share = _share(successes, n)
    return _z(confidence) * float(np.sqrt(share * (1 - share) / n))


def wald_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Normal approximation, clipped to [0, 1]; treats the n items as independent. Arguments as of `wald_half_width`.

    Example:
        >>> low, high = wald_interval(86, 103)
        >>> round(low, 3), round(high, 3)
        (0.763, 0.907)
    """
    half, share = wald_half_width(successes, n, confidence=confidence), successes / n
    return Interval(max(0.0, share - half), min(1.0, share + half))


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval: keeps its coverage near 0 and 1, where Wald's has no width. Arguments as of Wald's.

    Example:
        >>> low, high = wilson_interval(20, 20)
        >>> round(low, 3), high
        (0.839, 1.0)
    """
    share, z = _share(successes, n), _z(confidence)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def cluster_bootstrap(
    values: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of the mean when whole groups, not items, are drawn with replacement.

    The tail is widened to that of Student's t with G - 1 degrees of freedom and by sqrt(G / (G - 1)) (Hesterberg 2015,
    "expanded percentile"): with few groups the plain percentile interval is too narrow.

    Args:
        values: (n,) booleans or numbers.
        groups: (n,) the group of each value: compound, plate, source.
        seed: of the resampling.
        resamples: bootstrap samples.
        confidence: coverage aimed at.

    Raises:
        InputError: fewer than two groups, lengths that differ, nothing, NaN or infinite values, groups without a name,
            a confidence outside (0, 1) or no resamples.

    Example:
        >>> cluster_bootstrap([1, 1, 1, 0, 0, 0], ["a", "a", "a", "b", "b", "b"], seed=0)
        Interval(low=0.0, high=1.0)
    """
    _require_draws(resamples, confidence)
    sums, sizes = _group_sums(_numbers(values, "values"), groups)
    count = len(sums)
    if count < 2:
        raise InputError("a cluster bootstrap needs at least two groups: choose a finer group, or another interval")
    return bootstrap_groups(
        lambda draws: (draws @ sums) / (draws @ sizes),
        count,
        rng=derive_rng(seed, "cluster-bootstrap"),
        resamples=resamples,
        confidence=confidence,
    )


def bootstrap_groups(
    statistic: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]],
    count: int,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Expanded percentile interval of a statistic of groups that are drawn with replacement: see `cluster_bootstrap`.

    Args:
        statistic: (B, G) how often each group was drawn → (B,).
        count: groups, G, at least two.
        rng: draws.
        resamples: bootstrap samples.
        confidence: coverage aimed at.
    """
    step = max(1, _DRAWS // count)
    values = []
    for start in range(0, resamples, step):
        values.append(statistic(rng.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start))))
    width = np.sqrt(count / (count - 1)) * scipy_stats.t.ppf((1 + confidence) / 2, count - 1)
    tail = float(scipy_stats.norm.sf(width))
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return Interval(float(low), float(high))


def discordant(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[int, int]:
    """How many items only the first model gets right, and how many only the second.

    Raises:
        InputError: lengths that differ, nothing, or values that are neither booleans nor 0 and 1.

    Example:
        >>> discordant([True, True, False, True], [True, False, True, False])
        (2, 1)
    """
    a, b = _paired(first, second)
    return int((a & ~b).sum()), int((b & ~a).sum())


def mcnemar_exact(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Two-sided exact p-value that two models are equally often right on the same items; 1 when they never differ.

    Args:
        first: (n,) booleans, the first model was right.
        second: (n,) booleans, the second was.

    Raises:
        InputError: as of `discordant`.

    Example:
        >>> mcnemar_exact([True] * 3 + [False] * 100, [False] * 103)  # a gain of 3 of 103 treatments
        0.25
    """
    only_first, only_second = discordant(first, second)
    total = only_first + only_second
    return 1.0 if total == 0 else float(scipy_stats.binomtest(only_first, total).pvalue)


def paired_permutation(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    seed: int,
    groups: npt.ArrayLike | None = None,
    resamples: int = 9999,
) -> float:
    """Two-sided p-value of the mean difference when the models' names are swapped at random, item- or group-wise.

    Args:
        first: (n,) scores or booleans of the first model.
        second: (n,) of the second, same items.
        seed: of the swaps.
        groups: (n,) items swapped together; None: each alone.
        resamples: random swaps; the observed labelling counts as one more, p = (hits + 1) / (resamples + 1), so that
            p is never 0 and the test keeps its level (Phipson & Smyth 2010).

    Raises:
        InputError: lengths that differ, nothing, NaN or infinite scores, groups without a name, or no resamples.

    Example:
        >>> paired_permutation([1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], seed=0) < 0.05
        True
        >>> paired_permutation([1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0], seed=0, groups=list("aaabbb")) > 0.4
        True
    """
    _require_draws(resamples)
    a, b = _numbers(first, "scores of the first model"), _numbers(second, "scores of the second model")
    if a.shape != b.shape:
        raise InputError(f"paired scores must have one common length, got {a.shape} and {b.shape}")
    sums, _ = _group_sums(a - b, np.arange(len(a)) if groups is None else groups)
    return swap_groups(
        lambda swaps: (swaps * 2 - 1) @ sums,
        len(sums),
        observed=float(sums.sum()),
        rng=derive_rng(seed, "paired-permutation"),
        resamples=resamples,
    )


def swap_groups(
    statistic: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]],
    count: int,
    *,
    observed: float,
    rng: np.random.Generator,
    resamples: int = 9999,
) -> float:
    """Two-sided p-value of a difference under random swaps of two models' names by group: see `paired_permutation`.

    Args:
        statistic: (B, G) of 0 and 1, which groups are swapped → (B,) differences.
        count: groups, G.
        observed: the difference as it is.
        rng: draws the swaps.
        resamples: random swaps.
    """
    step, hits = max(1, _DRAWS // count), 0
    for start in range(0, resamples, step):
        differences = statistic(rng.integers(0, 2, size=(min(step, resamples - start), count)))
        hits += int((np.abs(differences) >= abs(observed) * (1 - 1e-12)).sum())
    return (hits + 1) / (resamples + 1)


def holm(pvalues: Sequence[float] | npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Holm's step-down adjustment: compare with the level as if each test were the only one.

    Args:
        pvalues: one per test; none gives none.

    Raises:
        InputError: a p-value outside [0, 1], or NaN.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    values = _numbers(pvalues, "p-values") if len(pvalues) else np.empty(0)
    if bool(((values < 0) | (values > 1)).any()):
        raise InputError("p-values must be a flat sequence of numbers in [0, 1]")
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def minimum_detectable_difference(
    n: int, *, discordance: float | None = None, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The smallest difference of two paired accuracies that exact McNemar can be expected to find.

    Args:
        n: items both models are scored on.
        discordance: share of items that exactly one model gets right. None: the most favourable case, every
            disagreement is a win; the answer is then the smallest gain that can be significant at all.
        alpha: level of the two-sided test.
        power: probability of detection aimed at (not used when `discordance` is None).

    Returns:
        a difference in [0, 1]; infinity when none can be found with so few items or disagreements.

    Raises:
        InputError: n that is no positive whole number, or another number outside its range.

    Example:
        >>> round(103 * minimum_detectable_difference(103))  # treatments, of BBBC021's 103
        6
    """
    if not _is_whole(n) or n < 1 or not 0 < alpha < 1 or not 0 < power < 1:
        raise InputError(
            f"n = {n}, alpha = {alpha}, power = {power}: n must be positive and whole, the others inside (0, 1)"
        )
    if discordance is None:
        wins = 1 + int(np.floor(np.log2(1 / alpha) + 1e-12))  # 2 * 0.5^wins <= alpha
        wins = wins if 2 * 0.5**wins <= alpha else wins + 1
        return wins / n if wins <= n else float("inf")
    if not 0 < discordance <= 1:
        raise InputError(f"discordance = {discordance}: expected a share in (0, 1]")
    detected = _mcnemar_power(n, discordance, alpha)
    if detected(discordance) < power:
        return float("inf")
    low, high = 0.0, discordance
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if detected(middle) >= power else (middle, high)
    return high


def _mcnemar_power(n: int, discordance: float, alpha: float) -> Callable[[float], float]:
    """Power of the exact test as a function of the true difference, summed over the number of discordant pairs."""
    spread = scipy_stats.binom.ppf([1e-9, 1 - 1e-9], n, discordance).astype(int)
    totals = np.arange(spread[0], spread[1] + 1)
    weights = scipy_stats.binom.pmf(totals, n, discordance)
    # Largest count still in the lower rejection region: 2 * P(X <= c) <= alpha under a fair coin.
    critical = scipy_stats.binom.ppf(alpha / 2, totals, 0.5)
    critical -= 2 * scipy_stats.binom.cdf(critical, totals, 0.5) > alpha * (1 + 1e-12)

    def detected(difference: float) -> float:
        wins = (1 + difference / discordance) / 2
        reject = scipy_stats.binom.cdf(critical, totals, wins) + scipy_stats.binom.sf(
            totals - critical - 1, totals, wins
        )
        return float((weights * reject).sum())

    return detected


def _share(successes: int, n: int) -> float:
    if not (_is_whole(n) and _is_whole(successes)) or n < 1 or not 0 <= successes <= n:
        raise InputError(f"{successes} right of {n}: expected whole numbers, 0 <= right <= n, n at least 1")
    return successes / n


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise InputError(f"confidence = {confidence}: expected a number inside (0, 1), such as 0.95")
    return float(scipy_stats.norm.ppf((1 + confidence) / 2))


def _paired(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise InputError(f"paired results must have one common length, got {a.shape} and {b.shape}")
    for name, values in (("first", a), ("second", b)):
        odd = [] if values.dtype == bool else [value for value in values.tolist() if value not in (0, 1)]
        if odd:
            raise InputError(f"results of the {name} model hold {odd[0]!r}: each is right or wrong, True or False")
    return a.astype(bool), b.astype(bool)


def _group_sums(numbers: npt.NDArray[np.float64], groups: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    names = np.asarray(groups)
    if numbers.shape != names.shape:
        raise InputError(f"values {numbers.shape} and groups {names.shape} must have one common length, at least 1")
    if names.dtype.kind in "fO":
        missing = [place for place, name in enumerate(names.tolist()) if name is None or name != name]
        if missing:
            raise InputError(f"groups {missing[:5]} ({len(missing)} in all) have no name: leave their items out")
        names = names.astype(str) if names.dtype.kind == "O" else names
    _, codes = np.unique(names, return_inverse=True)
    return np.bincount(codes, numbers), np.bincount(codes)


def _numbers(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """(n,) float64, n at least 1, all finite: resampling NaN would answer with a p-value like any other."""
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers: {error}") from error
    if array.ndim != 1 or len(array) == 0:
        raise InputError(f"{name} have shape {array.shape}: expected one common length, at least 1")
    odd = np.flatnonzero(~np.isfinite(array))
    if len(odd):
        raise InputError(f"{name} {odd[:5].tolist()} ({len(odd)} in all) are NaN or infinite: leave these items out")
    return array


def _require_draws(resamples: int, confidence: float = 0.95) -> None:
    if not _is_whole(resamples) or resamples < 1:
        raise InputError(f"resamples = {resamples}: expected a whole number, at least 1")
    _z(confidence)


def _is_whole(number: float) -> bool:
    return bool(np.isfinite(number)) and number == int(number)
