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

from .stats import Interval

Array = npt.NDArray[np.float64]
_UPPER = 0.975  # end of a 95 % interval
_POWER = 0.8


@dataclass(frozen=True)
class PooledEffect:
    """The mean of the true differences of all sets, of which those at hand are a sample.

    Attributes:
        difference: estimate of that mean.
        interval: its 95 % confidence interval.
        p: two-sided, that the mean is 0.
        spread: standard deviation of the true differences between sets (tau).
        heterogeneity: share of the variance that is between sets, in [0, 1] (I²).
        prediction: where the true difference of one more set would lie; None for fewer than three sets.
        weights: of each set in the estimate, adding up to 1.
        detectable: the mean difference that 80 % power would find with these sets.
    """

    difference: float
    interval: Interval
    p: float
    spread: float
    heterogeneity: float
    prediction: Interval | None
    weights: tuple[float, ...]
    detectable: float


def pool_effects(effects: npt.ArrayLike, errors: npt.ArrayLike) -> PooledEffect:
    """Pool differences (k,) that were measured on independent sets, two or more, with standard errors above 0.

    Example:
        >>> pooled = pool_effects([0.03, 0.05, 0.01, 0.04], [0.02, 0.03, 0.02, 0.01])
        >>> round(pooled.difference, 3), tuple(round(end, 3) for end in pooled.interval)
        (0.034, (0.009, 0.06))
    """
    y, v = np.asarray(effects, np.float64), np.asarray(errors, np.float64) ** 2
    k = len(y)
    between = _reml(y, v)
    weights = 1 / (v + between)
    mean = float((weights * y).sum() / weights.sum())
    # Never below 1: with few and equal sets Hartung and Knapp's factor may come out near 0, and the interval with it
    # (Röver, Knapp and Friede, BMC Medical Research Methodology 15, 2015).
    factor = max(1.0, float((weights * (y - mean) ** 2).sum()) / (k - 1))
    error = float(np.sqrt(factor / weights.sum()))
    quantile = float(scipy_stats.t.ppf(_UPPER, k - 1))
    fixed = 1 / v
    typical = (k - 1) * fixed.sum() / (fixed.sum() ** 2 - (fixed**2).sum())  # Higgins and Thompson 2002
    prediction = None
    if k > 2:
        reach = float(scipy_stats.t.ppf(_UPPER, k - 2) * np.sqrt(between + error**2))
        prediction = Interval(mean - reach, mean + reach)
    return PooledEffect(
        difference=mean,
        interval=Interval(mean - quantile * error, mean + quantile * error),
        p=float(2 * scipy_stats.t.sf(abs(mean) / error, k - 1)),
        spread=float(np.sqrt(between)),
        heterogeneity=float(between / (between + typical)),
        prediction=prediction,
        weights=tuple(float(weight) for weight in weights / weights.sum()),
        detectable=float((quantile + scipy_stats.t.ppf(_POWER, k - 1)) * error),
    )


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
    peak = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-10 * top})
    return 0.0 if best == 0 and loss(0.0) <= peak.fun else float(peak.x)
