"""One difference from many sets: a random-effects meta-analysis of paired differences. Arrays in, numbers out.

A single set of cells seldom resolves less than 4 points. Several do together, if each set's true difference is taken
as one draw from a distribution: its variance is estimated by restricted maximum likelihood (REML), the interval of
its mean is that of Hartung and Knapp (Statistics in Medicine 20, 2001), which holds with few sets.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize
from scipy import stats as scipy_stats

from cytoimagenet_hf.core.errors import InputError

from .stats import Interval

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PooledEffect:
    """The mean of the true differences of all sets, of which those at hand are a sample.

    Attributes:
        estimate: of that mean.
        error: its standard error.
        interval: its confidence interval.
        p: two-sided, that the mean is 0.
        spread: standard deviation of the true differences between sets (tau).
        heterogeneity: share of the variance that is between sets, in [0, 1] (I²).
        prediction: where the true difference of one more set would lie; None for fewer than three sets.
        weights: of each set in the estimate, adding up to 1.
        detectable: the mean difference that 80 % power would find with these sets.
    """

    estimate: float
    error: float
    interval: Interval
    p: float
    spread: float
    heterogeneity: float
    prediction: Interval | None
    weights: tuple[float, ...]
    detectable: float


def pool_effects(
    effects: npt.ArrayLike, errors: npt.ArrayLike, *, confidence: float = 0.95, power: float = 0.8
) -> PooledEffect:
    """Pool differences that were measured on independent sets.

    Args:
        effects: (k,) difference of each set.
        errors: (k,) its standard error, above 0.
        confidence: coverage aimed at, in (0, 1).
        power: of the detectable difference, in (0, 1).

    Raises:
        InputError: fewer than two sets, lengths that differ, numbers that are not finite, or an error of 0.

    Example:
        >>> pooled = pool_effects([0.03, 0.05, 0.01, 0.04], [0.02, 0.03, 0.02, 0.01])
        >>> round(pooled.estimate, 3), tuple(round(end, 3) for end in pooled.interval)
        (0.034, (0.009, 0.06))
    """
    if not 0 < confidence < 1 or not 0 < power < 1:
        raise InputError(f"confidence = {confidence}, power = {power}: expected numbers inside (0, 1), such as 0.95")
    y, v = _checked(effects, errors)
    k = len(y)
    between = _reml(y, v)
    weights = 1 / (v + between)
    mean = float((weights * y).sum() / weights.sum())
    # Never below 1: with few and equal sets Hartung and Knapp's factor may come out near 0, and the interval with it
    # (Röver, Knapp and Friede, BMC Medical Research Methodology 15, 2015).
    factor = max(1.0, float((weights * (y - mean) ** 2).sum()) / (k - 1))
    error = float(np.sqrt(factor / weights.sum()))
    quantile = float(scipy_stats.t.ppf((1 + confidence) / 2, k - 1))
    fixed = 1 / v
    typical = (k - 1) * fixed.sum() / (fixed.sum() ** 2 - (fixed**2).sum())  # Higgins and Thompson 2002
    prediction = None
    if k > 2:
        reach = float(scipy_stats.t.ppf((1 + confidence) / 2, k - 2) * np.sqrt(between + error**2))
        prediction = Interval(mean - reach, mean + reach)
    return PooledEffect(
        estimate=mean,
        error=error,
        interval=Interval(mean - quantile * error, mean + quantile * error),
        p=float(2 * scipy_stats.t.sf(abs(mean) / error, k - 1)),
        spread=float(np.sqrt(between)),
        heterogeneity=float(between / (between + typical)),
        prediction=prediction,
        weights=tuple(float(weight) for weight in weights / weights.sum()),
        detectable=float((quantile + scipy_stats.t.ppf(power, k - 1)) * error),
    )


def _checked(effects: npt.ArrayLike, errors: npt.ArrayLike) -> tuple[Array, Array]:
    """Differences, and squared errors."""
    y, s = np.asarray(effects, np.float64), np.asarray(errors, np.float64)
    if y.ndim != 1 or y.shape != s.shape:
        raise InputError(f"effects and errors must have one common length, got {y.shape} and {s.shape}")
    if len(y) < 2:
        raise InputError(f"{len(y)} set: pooling takes two or more")
    if not (np.isfinite(y).all() and np.isfinite(s).all()):
        raise InputError("effects and errors must be finite: leave out sets that have none")
    if (s <= 0).any():
        raise InputError(f"{int((s <= 0).sum())} of {len(s)} errors are not above 0: leave out sets that do not vary")
    return y, s**2


def _reml(y: Array, v: Array) -> float:
    """The variance between sets of largest restricted likelihood, 0 or more."""

    def loss(between: float) -> float:
        weights = 1 / (v + between)
        mean = (weights * y).sum() / weights.sum()
        return float(-np.log(weights).sum() + np.log(weights.sum()) + (weights * (y - mean) ** 2).sum())

    # The likelihood may have two peaks: a grid finds the higher one, then its top is approached.
    top = float(np.ptp(y) ** 2 + v.max())
    grid = np.concatenate([[0.0], np.geomspace(1e-6 * v.min(), 4 * top, 200)])
    best = int(np.argmin([loss(value) for value in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-10 * top})
    return 0.0 if best == 0 and loss(0.0) <= found.fun else float(found.x)
