"""Macro F1 with interval and paired test: a score that is not a mean over items, so groups enter by their counts.

Per group and class three counts add up: items of the class, predictions of it, and right ones. Macro F1 is a function
of their sums, so drawing groups again, or exchanging two models' names in them, needs no prediction again.
"""

import numpy as np
import numpy.typing as npt
from scipy import stats as scipy_stats

from cytoimagenet_hf.core.seeding import derive_rng

Array = npt.NDArray[np.float64]
_RESAMPLES, _SWAPS = 2000, 9999
_CELLS = 4_000_000  # draws in memory at a time


def group_counts(
    references: npt.ArrayLike,
    predictions: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    classes: npt.NDArray[np.str_] | None = None,
) -> Array:
    """(G, 3, K): items, predictions and right ones of each of the K classes in each group, groups by name.

    Args:
        references: (n,) true classes.
        predictions: (n,) predicted ones.
        groups: (n,).
        classes: (K,) sorted, where two tables must have the same; by default those that occur.

    Example:
        >>> group_counts(["a", "b"], ["a", "a"], ["x", "x"]).tolist()
        [[[1.0, 1.0], [2.0, 0.0], [1.0, 0.0]]]
    """
    true, predicted = np.asarray(references).astype(str), np.asarray(predictions).astype(str)
    known = np.unique(np.concatenate([true, predicted])) if classes is None else classes
    codes = np.searchsorted(known, np.concatenate([true, predicted]))
    names, rows = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    counts = np.zeros((len(names), 3, len(known)))
    own, said = codes[: len(true)], codes[len(true) :]
    for place, chosen, where in ((0, own, None), (1, said, None), (2, own, own == said)):
        weight = np.ones(len(true)) if where is None else where.astype(float)
        flat = np.bincount(rows * len(known) + chosen, weight, minlength=len(names) * len(known))
        counts[:, place] = flat.reshape(len(names), len(known))
    return counts


def macro_f1(counts: Array) -> Array:
    """Mean over classes of 2 right / (items + predictions): (..., 3, K) → (...); classes without either are left out.

    Example:
        >>> float(macro_f1(group_counts(["a", "a", "b"], ["a", "b", "b"], ["x", "x", "x"]).sum(axis=0)).round(4))
        0.6667
    """
    both = counts[..., 0, :] + counts[..., 1, :]
    shares = np.divide(2 * counts[..., 2, :], both, out=np.zeros_like(both), where=both > 0)
    return np.asarray(shares.sum(axis=-1) / np.maximum((both > 0).sum(axis=-1), 1))


def interval(counts: Array, *, seed: int, minus: Array | None = None) -> tuple[float, float] | None:
    """95 % interval of macro F1, or of a difference of two, by drawing groups with replacement; None for one group.

    The tail is widened as in `stats.cluster_bootstrap`.

    Args:
        counts: (G, 3, K).
        seed: of the draws.
        minus: (G, 3, K) of the model that is subtracted, same groups and classes.
    """
    count = len(counts)
    if count < 2:
        return None
    rng = derive_rng(seed, "macro-bootstrap")
    step, found = max(1, _CELLS // count), []
    for start in range(0, _RESAMPLES, step):
        draws = rng.multinomial(count, np.full(count, 1 / count), size=min(step, _RESAMPLES - start))  # (B, G)
        values = macro_f1(np.tensordot(draws, counts, axes=1))
        found.append(values if minus is None else values - macro_f1(np.tensordot(draws, minus, axes=1)))
    width = np.sqrt(count / (count - 1)) * scipy_stats.t.ppf(0.975, count - 1)
    tail = float(scipy_stats.norm.sf(width))
    low, high = np.quantile(np.concatenate(found), [tail, 1 - tail])
    return float(low), float(high)


def exchanged(first: Array, second: Array, *, seed: int) -> float:
    """Two-sided p-value of a difference in macro F1 when the models' names are exchanged group by group.

    Args:
        first: (G, 3, K).
        second: (G, 3, K), same groups and classes.
        seed: of the exchanges.
    """
    rng = derive_rng(seed, "macro-permutation")
    total_a, total_b, gain = first.sum(axis=0), second.sum(axis=0), second - first
    observed = abs(float(macro_f1(total_b) - macro_f1(total_a)))
    step, hits = max(1, _CELLS // len(first)), 0
    for start in range(0, _SWAPS, step):
        moved = np.tensordot(rng.integers(0, 2, size=(min(step, _SWAPS - start), len(first))), gain, axes=1)
        differences = macro_f1(total_b - moved) - macro_f1(total_a + moved)
        hits += int((np.abs(differences) >= observed * (1 - 1e-12)).sum())
    return (hits + 1) / (_SWAPS + 1)
