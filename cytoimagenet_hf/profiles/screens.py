"""Numbers that judge a screen: how far controls lie apart, how a response follows the dose. Arrays in, numbers out.

Every function takes plain arrays; which wells are controls, and which doses they got, is the caller's knowledge
(`profiles.screening` has it from a plate map).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from cytoimagenet_hf.core.errors import InputError

Array = npt.NDArray[np.float64]

_MAD_TO_SD = 1.4826  # of a normal distribution
_SLOPES = (0.2, 10.0)  # of a dose-response curve: flatter or steeper look like a line or a step
_ALPHA = 0.05
_ROOM = 0.5  # how far beyond the responses seen, as part of their range, a plateau may lie before it is a guess


def z_prime(negative: npt.ArrayLike, positive: npt.ArrayLike, *, robust: bool = False) -> float:
    """Z' = 1 - 3 (sd₊ + sd₋) / |mean₊ - mean₋|; Zhang, Chung and Oldenburg 1999, J Biomol Screen 4:67.

    One number per control well, two wells of each kind or more; `robust` takes medians, and 1.4826 times the median
    absolute deviation. 1 is perfect, above 0.5 the assay is good enough for screening, below 0 the controls overlap;
    -inf where they do not differ.

    Example:
        >>> round(z_prime([0.0, 0.1, -0.1], [1.0, 1.1, 0.9]), 2)
        0.4
    """
    (low, low_spread), (high, high_spread) = _centres(negative, positive, robust=robust)
    if high == low:
        return -np.inf
    return float(1 - 3 * (low_spread + high_spread) / abs(high - low))


def ssmd(negative: npt.ArrayLike, positive: npt.ArrayLike, *, robust: bool = False) -> float:
    """Strictly standardised mean difference, (mean₊ - mean₋) / √(sd₊² + sd₋²); Zhang 2007, Genomics 89:552.

    Arguments as of `z_prime`. Above 3 is a strong positive control; infinite where neither kind varies.

    Example:
        >>> round(ssmd([0.0, 0.1, -0.1], [1.0, 1.1, 0.9]), 2)
        7.07
    """
    (low, low_spread), (high, high_spread) = _centres(negative, positive, robust=robust)
    spread = float(np.hypot(low_spread, high_spread))
    if spread == 0:
        return float(np.sign(high - low) * np.inf) if high != low else 0.0
    return float((high - low) / spread)


def control_scores(values: npt.ArrayLike, negative: npt.ArrayLike, positive: npt.ArrayLike) -> Array:
    """(n,) place of every well on the line between the means of the controls: 0 is the negative, 1 the positive one.

    A control well is left out of the means, and of the scale, that place it: no well helps to draw its own axis, so
    controls that differ by chance alone score alike. Each feature is divided by its deviation within the two kinds of
    controls first; features that do not vary there are left out.

    Args:
        values: (n, d) profiles of wells, finite.
        negative, positive: (n,) true for control wells, at least 3 of each kind.

    Raises:
        InputError: fewer than three wells of a kind, a well of both kinds, or controls with equal means.

    Example:
        >>> x = np.array([[0.0, 1], [0.2, 3], [0.1, 2], [2.0, 1], [2.2, 3], [2.1, 2], [1.1, 2]])
        >>> low, high = np.arange(7) < 3, (np.arange(7) >= 3) & (np.arange(7) < 6)
        >>> control_scores(x, low, high).round(2).tolist()
        [-0.07, 0.07, 0.0, 0.93, 1.07, 1.0, 0.5]
    """
    x, low, high = _matrix(values), np.asarray(negative, bool), np.asarray(positive, bool)
    if low.shape != (len(x),) or high.shape != (len(x),):
        raise InputError(f"{len(x)} wells, but {low.shape} and {high.shape} marks of controls: one mark per well")
    if (low & high).any():
        raise InputError(f"{int((low & high).sum())} wells are negative and positive controls at once")
    if low.sum() < 3 or high.sum() < 3:
        raise InputError(
            f"{int(low.sum())} negative and {int(high.sum())} positive control wells: a score that leaves the scored "
            "well out needs three of each"
        )
    scores = np.empty(len(x))
    common = _axis(x[low], x[high])
    scores[~(low | high)] = _project(x[~(low | high)], *common)
    for well in np.flatnonzero(low | high):
        kept = np.arange(len(x)) != well
        scores[well] = _project(x[well : well + 1], *_axis(x[low & kept], x[high & kept]))[0]
    return scores


def control_distance(values: npt.ArrayLike, negative: npt.ArrayLike) -> Array:
    """(n,) distance of every well from the negative controls: root mean square of its features' deviations from them.

    In deviations of the controls: about 1 for a well like them. Of more than three controls, each is left out of the
    mean and deviation that judge it; fewer than three are refused.

    Example:
        >>> control_distance([[0.0], [2.0], [4.0], [10.0]], [True, True, True, False]).tolist()
        [1.0, 0.0, 1.0, 4.0]
    """
    x, low = _matrix(values), np.asarray(negative, bool)
    if low.sum() < 3:
        raise InputError(f"{int(low.sum())} negative control wells: a distance from them needs three")

    def measured(wells: Array, controls: Array) -> Array:
        centre, spread = controls.mean(axis=0), controls.std(axis=0, ddof=1)
        vary = _varies(spread, controls)
        if not vary.any():
            raise InputError("no feature varies among the negative controls: there is no scale to measure with")
        return np.asarray(np.sqrt(np.mean(((wells - centre)[:, vary] / spread[vary]) ** 2, axis=1)))

    distances = measured(x, x[low])
    for well in np.flatnonzero(low):
        if low.sum() > 3:  # a deviation of two wells says too little
            kept = low & (np.arange(len(x)) != well)
            distances[well] = measured(x[well : well + 1], x[kept])[0]
    return distances


def spearman(dose: npt.ArrayLike, response: npt.ArrayLike) -> tuple[float, float]:
    """Rank correlation of response with dose, and its two-sided p-value; (nan, nan) where either does not vary.

    Example:
        >>> round(spearman([1, 3, 10, 30], [0.1, 0.2, 0.9, 0.8])[0], 3)
        0.8
    """
    x, y = np.asarray(dose, float), np.asarray(response, float)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan"), float("nan")
    result = stats.spearmanr(x, y)
    return float(result.statistic), float(result.pvalue)


@dataclass(frozen=True)
class DoseResponse:
    """A four-parameter logistic curve: response = bottom + (top - bottom) / (1 + (ec50 / dose)^slope).

    `ec50` is in the unit of the doses, `interval` its 95 % interval, from the curvature of the fit on the logarithm of
    the dose; `r2` is the part of the variance of the responses that the curve explains.
    """

    bottom: float
    top: float
    ec50: float
    interval: tuple[float, float]
    slope: float
    r2: float

    def at(self, dose: npt.ArrayLike) -> Array:
        """The response at these doses (0 is allowed: the bottom)."""
        return _logistic(np.asarray(dose, float), self.bottom, self.top, np.log(self.ec50), self.slope)


def fit_dose_response(dose: npt.ArrayLike, response: npt.ArrayLike) -> DoseResponse | str:
    """Fit a four-parameter logistic by least squares on the logarithm of the dose (0 for untreated wells).

    Where no curve can be fitted, one sentence says why: fewer than four doses, no better than a constant (F test at
    5 %), a response that has not levelled off, a half response outside the doses tested, or one known no better than
    these. Negative or non-finite doses are refused.

    Example:
        >>> dose = np.repeat([0.1, 0.3, 1, 3, 10, 30, 100], 3)
        >>> noise = np.tile([-0.01, 0, 0.01], 7)
        >>> curve = fit_dose_response(dose, dose / (dose + 5) + noise)
        >>> round(curve.ec50, 1), round(curve.slope, 1)
        (5.0, 1.0)
    """
    x, y = np.asarray(dose, float), np.asarray(response, float)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(f"{x.size} doses and {y.size} responses: one response per dose")
    if not np.isfinite(x).all() or not np.isfinite(y).all() or (x < 0).any():
        raise InputError("doses must be numbers from 0 up, and responses finite")
    tested = np.unique(x[x > 0])
    if len(tested) < 4 or len(x) < 6:
        return f"{len(tested)} doses in {len(x)} wells: a curve of four parameters needs four doses and six wells"
    total = float(((y - y.mean()) ** 2).sum())
    if total == 0:
        return "the response does not vary"
    inside = np.log(tested[[0, -1]])
    best = min(
        (_fit(x, y, start, inside) for start in np.linspace(inside[0], inside[1], 5)),
        key=lambda fit: float(fit.cost),
    )
    free = len(x) - 4
    residual = 2 * float(best.cost)
    better = ((total - residual) / 3) / (residual / free) if residual > 0 else np.inf
    if float(stats.f.sf(better, 3, free)) > _ALPHA:
        return "the response does not follow the dose better than a constant does"
    bottom, top, middle, slope = (float(number) for number in best.x)
    room = float(np.ptp(y))
    if max(bottom, top) > y.max() + _ROOM * room * 0.99 or min(bottom, top) < y.min() - _ROOM * room * 0.99:
        return "the response has not levelled off within the doses tested"
    if not inside[0] <= middle <= inside[1]:
        return "half of the response lies outside the doses tested"
    covariance = np.linalg.pinv(best.jac.T @ best.jac) * residual / free
    reach = float(stats.t.isf(_ALPHA / 2, free)) * float(np.sqrt(max(covariance[2, 2], 0.0)))
    if 2 * reach > inside[1] - inside[0]:
        return "the dose of the half response is known no better than the range of doses tested"
    interval = (float(np.exp(middle - reach)), float(np.exp(middle + reach)))
    return DoseResponse(bottom, top, float(np.exp(middle)), interval, slope, 1 - residual / total)


def _fit(x: Array, y: Array, start: float, inside: Array) -> optimize.OptimizeResult:
    low, high = np.quantile(y[x <= np.quantile(x, 0.2)], 0.5), np.quantile(y[x >= np.quantile(x, 0.8)], 0.5)
    room = float(np.ptp(y))
    least = [y.min() - _ROOM * room, y.min() - _ROOM * room, inside[0] - np.log(10), _SLOPES[0]]
    most = [y.max() + _ROOM * room, y.max() + _ROOM * room, inside[1] + np.log(10), _SLOPES[1]]
    return optimize.least_squares(
        lambda p: _logistic(x, p[0], p[1], p[2], p[3]) - y, [low, high, start, 1.0], bounds=(least, most)
    )


def _logistic(dose: Array, bottom: float, top: float, middle: float, slope: float) -> Array:
    with np.errstate(divide="ignore"):
        steps = np.clip(slope * (middle - np.log(dose)), -700, 700)
    return np.asarray(bottom + (top - bottom) / (1 + np.exp(steps)))


def _centres(
    negative: npt.ArrayLike, positive: npt.ArrayLike, *, robust: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    both = []
    for kind, given in (("negative", negative), ("positive", positive)):
        x = np.asarray(given, float).ravel()
        if len(x) < 2:
            raise InputError(f"{len(x)} {kind} control wells: a spread needs at least two")
        if not np.isfinite(x).all():
            raise InputError(f"the {kind} controls hold values that are not finite")
        if robust:
            centre = float(np.median(x))
            both.append((centre, _MAD_TO_SD * float(np.median(np.abs(x - centre)))))
        else:
            both.append((float(x.mean()), float(x.std(ddof=1))))
    return both[0], both[1]


def _axis(low: Array, high: Array) -> tuple[Array, Array]:
    """Where scores start, and what to multiply with: score = (x - start) · weights."""
    difference = high.mean(axis=0) - low.mean(axis=0)
    spread = np.sqrt((low.var(axis=0, ddof=1) + high.var(axis=0, ddof=1)) / 2)
    vary = _varies(spread, np.concatenate([low, high]))
    weights = np.divide(1.0, spread**2, out=np.zeros_like(spread), where=vary)
    length = float((difference**2 * weights).sum())
    if length == 0:
        raise InputError("negative and positive controls have equal means: there is no line between them")
    return low.mean(axis=0), difference * weights / length


def _varies(spread: Array, rows: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(spread > 1e-9 * np.maximum(np.abs(rows).max(axis=0), 1e-300))  # else rounding


def _project(x: Array, start: Array, weights: Array) -> Array:
    return np.asarray((x - start) @ weights)


def _matrix(values: npt.ArrayLike) -> Array:
    x = np.asarray(values, float)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise InputError(f"profiles of shape {x.shape}: a finite matrix with a row per well is needed")
    return x
