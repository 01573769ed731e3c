"""How much of a score nuisances explain: neighbours of held-out groups, before and after a regression on nuisances.

Arrays in, predictions out. What is fitted (the scaling, the regression) is fitted on training rows alone, so that a
held-out group has no part in what is taken away from it.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .knn import kneighbors, vote

Array = npt.NDArray[Any]
_ROWS_PER_NUISANCE = 4  # training rows for each direction of nuisances: as many as rows would explain anything
_NOTHING = 1e-6  # of the largest: a direction, or what is left of a feature, that is rounding


def without_nuisances(train: Array, test: Array, train_nuisances: Array, test_nuisances: Array) -> tuple[Array, Array]:
    """What a linear regression on nuisances leaves of features, fitted on the training rows.

    Least squares on the principal components of the standardised nuisances, at most one for every four rows. No ridge:
    it would leave a little of everything, and neighbours find a little as well as a lot.

    Args:
        train: (m, d) features.
        test: (n, d).
        train_nuisances: (m, q).
        test_nuisances: (n, q).

    Returns:
        (m, d) and (n, d) residuals, float64; their means are those of the training features.

    Example:
        >>> size = np.array([[1.0], [2.0], [3.0], [4.0]])
        >>> left, _ = without_nuisances(100 * size, 100 * size, size, size)
        >>> left.ravel().tolist()
        [250.0, 250.0, 250.0, 250.0]
    """
    mean, sd = train_nuisances.mean(axis=0), train_nuisances.std(axis=0)
    varies = sd > 1e-9 * (np.abs(mean) + 1e-300)  # a constant explains nothing
    design, asked = ((part[:, varies] - mean[varies]) / sd[varies] for part in (train_nuisances, test_nuisances))
    if not design.shape[1]:
        return train.astype(np.float64), test.astype(np.float64)
    _, sizes, axes = np.linalg.svd(design, full_matrices=False)
    kept = min(int((sizes > _NOTHING * sizes[0]).sum()), max(1, len(train) // _ROWS_PER_NUISANCE))
    design, asked = design @ axes[:kept].T, asked @ axes[:kept].T
    centre = train.mean(axis=0)
    slopes = (design / (design**2).sum(axis=0)).T @ (train - centre)  # (kept, d): the components are orthogonal
    left, asked_left = train - centre - design @ slopes, test - centre - asked @ slopes
    gone = left.std(axis=0) <= _NOTHING * train.std(axis=0)
    left[:, gone], asked_left[:, gone] = 0.0, 0.0
    return left + centre, asked_left + centre


def predict_in_folds(
    values: Array,
    labels: Array,
    folds: Iterable[tuple[Array, Array]],
    *,
    k: int,
    nuisances: Array | None = None,
) -> Array:
    """Labels by k nearest neighbours among the training rows of each fold, features scaled by those rows.

    Args:
        values: (n, d).
        labels: (n,).
        folds: rows to learn from, and rows to predict.
        k: neighbours that vote.
        nuisances: (n, q) to be regressed out within the training rows first; None: nothing is.

    Returns:
        (n,) predictions; None for rows that no fold predicts.
    """
    predictions = np.full(len(labels), None, dtype=object)
    for train, test in folds:
        fitted, asked = values[train].astype(np.float64), values[test].astype(np.float64)
        # The scale before the regression: what nuisances explained of a feature does not come back enlarged.
        mean, sd = fitted.mean(axis=0), fitted.std(axis=0)
        sd = np.where(sd > 0, sd, 1.0)
        if nuisances is not None:
            fitted, asked = without_nuisances(fitted, asked, nuisances[train], nuisances[test])
        distances, indices = kneighbors((fitted - mean) / sd, (asked - mean) / sd, min(k, len(train)))
        predictions[test] = vote(labels[train][indices], distances)
    return predictions
