"""Macro F1 with interval and paired test: a score that is not a mean over items, so groups enter by their counts.

Per group and class three counts add up: items of the class, predictions of it, and right ones. Macro F1 is a function
of their sums, so drawing groups again, or exchanging two models' names in them, needs no prediction again.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.scoring import stats

Array = npt.NDArray[np.float64]


def group_counts(
    references: npt.ArrayLike,
    predictions: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    classes: npt.NDArray[np.str_] | None = None,
) -> Array:
    """(G, 3, K): items, predictions and right ones of each of the K classes in each group, groups by name.

    Classes (K,) are sorted; they are given where two tables must have the same, by default those that occur.

    Example:
        >>> group_counts(["a", "b"], ["a", "a"], ["x", "x"]).tolist()
        [[[1.0, 1.0], [2.0, 0.0], [1.0, 0.0]]]
    """
    true, predicted = np.asarray(references).astype(str), np.asarray(predictions).astype(str)
    names_of_classes = np.unique(np.concatenate([true, predicted])) if classes is None else classes
    codes = np.searchsorted(names_of_classes, np.concatenate([true, predicted]))
    names, rows = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    counts = np.zeros((len(names), 3, len(names_of_classes)))
    true_codes, predicted_codes = codes[: len(true)], codes[len(true) :]
    right = (true_codes == predicted_codes).astype(float)
    every = np.ones(len(true))
    for place, (chosen, weight) in enumerate(((true_codes, every), (predicted_codes, every), (true_codes, right))):
        flat = np.bincount(rows * len(names_of_classes) + chosen, weight, minlength=len(names) * len(names_of_classes))
        counts[:, place] = flat.reshape(len(names), len(names_of_classes))
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


def interval(counts: Array, *, seed: int, minus: Array | None = None) -> stats.Interval | None:
    """95 % interval of macro F1, or of a difference of two, by drawing groups with replacement; None for one group.

    The tail is widened as in `stats.cluster_bootstrap`. `minus` has the counts (G, 3, K) of the model that is
    subtracted, of the same groups and classes.
    """
    if len(counts) < 2:
        return None

    def statistic(draws: npt.NDArray[Any]) -> Array:
        values = macro_f1(np.tensordot(draws, counts, axes=1))
        return values if minus is None else values - macro_f1(np.tensordot(draws, minus, axes=1))

    return stats.bootstrap_groups(statistic, len(counts), rng=derive_rng(seed, "macro-bootstrap"))


def exchanged(first: Array, second: Array, *, seed: int) -> float:
    """Two-sided p-value of a difference in macro F1 when the models' names are exchanged group by group."""
    total_a, total_b, gain = first.sum(axis=0), second.sum(axis=0), second - first

    def statistic(swaps: npt.NDArray[Any]) -> Array:
        moved = np.tensordot(swaps, gain, axes=1)
        return macro_f1(total_b - moved) - macro_f1(total_a + moved)

    observed = float(macro_f1(total_b) - macro_f1(total_a))
    rng = derive_rng(seed, "macro-permutation")
    return stats.swap_groups(statistic, len(first), observed=observed, rng=rng)
