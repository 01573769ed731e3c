"""What a little training makes of features: a linear probe, and a few examples of each class.

No query is predicted from its own group: folds divide no plate, compound or field.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng

from .scaling import unit_rows

Array = npt.NDArray[Any]
SHOTS = (1, 5, 10)
_FOLDS = 5  # fewer where there are fewer groups
_STRENGTHS = np.logspace(-4, 1, 6)  # C of the logistic regression


def probe(values: Array, labels: Array, groups: Array, *, seed: int) -> Array:
    """Predictions (n,) of a logistic regression, each group predicted by a fit on other groups.

    The strength of the penalty is chosen by inner folds over the training groups, so that no group is seen twice.

    Args:
        values: (n, d).
        labels: (n,).
        groups: (n,) plate, field or compound.
        seed: of the folds.

    Raises:
        InputError: fewer than three groups, or a fold whose training groups hold a single class.
    """
    count = len(np.unique(groups))
    if count < 3:
        raise InputError(f"{count} groups: a probe needs three, one to predict and two to choose the penalty by")
    predictions = np.empty(len(labels), dtype=object)
    for train, test in _group_folds(labels, groups, folds=_FOLDS, seed=seed):
        if len(set(labels[train])) < 2:
            raise InputError("classes coincide with groups: without a group its class is unknown, so no probe is fair")
        predictions[test] = probe_transfer(values[train], labels[train], groups[train], values[test], seed=seed)
    return predictions


def probe_transfer(train: Array, labels: Array, groups: Array, test: Array, *, seed: int) -> Array:
    """Predictions (n,) of a logistic regression fitted on a training set.

    The strength of the penalty is chosen by inner folds over the training groups.

    Args:
        train: (m, d).
        labels: (m,).
        groups: (m,) of the training rows.
        test: (n, d).
        seed: of the inner folds.

    Raises:
        InputError: fewer than two groups.
    """
    count = len(np.unique(groups))
    if count < 2:
        raise InputError(f"{count} training groups: two are needed to choose the penalty by")
    inner = _group_folds(labels, groups, folds=3, seed=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    search = GridSearchCV(model, {"logisticregression__C": _STRENGTHS}, cv=inner, error_score=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an inner fold that lacks a class is what small screens have
        search.fit(train, labels.astype(str))
    return np.asarray(search.predict(test), dtype=object)


def few_shot(
    values: Array,
    labels: Array,
    groups: Array,
    *,
    shots: Sequence[int] = SHOTS,
    seeds: int = 20,
    seed: int,
    train: npt.NDArray[np.bool_] | None = None,
) -> dict[int, Array]:
    """How often each item is named right from a few examples of each class in other groups.

    For each draw, `shots` examples per class are taken from the groups outside the query's fold; features are scaled
    by those groups, and the query takes the class of the nearest mean by cosine.

    Args:
        values: (n, d).
        labels: (n,).
        groups: (n,).
        shots: examples per class.
        seeds: draws.
        seed: of the draws and folds.
        train: (n,) true for the rows that examples come from, all others being queries; None: folds of groups.

    Returns:
        shots → (n,) share of draws in which each item is right; 0 for rows of `train`.

    Raises:
        InputError: fewer than two groups, or a class with too few examples outside a fold.
    """
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    right = {n: np.zeros(len(labels)) for n in shots}
    for fold, (known, test) in enumerate(folds_of_groups(codes, groups, seed, train)):
        scaler = StandardScaler().fit(values[known])
        scaled, queries = scaler.transform(values[known]), scaler.transform(values[test])
        members = [np.flatnonzero(codes[known] == code) for code in range(len(names))]
        short = [name for name, own in zip(names, members, strict=True) if len(own) < max(shots)]
        if short:
            raise InputError(
                f"class '{short[0]}' has fewer than {max(shots)} examples outside one fold of groups: ask for fewer"
            )
        for draw in range(seeds):
            rng = derive_rng(seed, "few-shot", f"{fold}/{draw}")
            order = [rng.permutation(own) for own in members]
            for n in shots:
                means = np.stack([scaled[own[:n]].mean(axis=0) for own in order])  # (K, D)
                right[n][test] += np.argmax(unit_rows(queries) @ unit_rows(means).T, axis=1) == codes[test]
    return {n: total / seeds for n, total in right.items()}


def possible_shots(
    labels: Array,
    groups: Array,
    *,
    seed: int,
    train: npt.NDArray[np.bool_] | None = None,
) -> list[int]:
    """Those of `SHOTS` that every class has outside every fold of groups.

    Args:
        labels: (n,).
        groups: (n,).
        seed: of the folds, as for `few_shot`.
        train: as for `few_shot`.

    Raises:
        InputError: a class lies in one fold, so that not even one example is outside.
    """
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    counts = np.array(
        [np.bincount(codes[known], minlength=len(names)) for known, _ in folds_of_groups(codes, groups, seed, train)]
    )  # (F, K)
    possible = [n for n in SHOTS if n <= counts.min()]
    if not possible:
        scarce = str(names[counts.min(axis=0).argmin()])
        raise InputError(f"class {scarce!r} has no example outside one fold of groups: few-shot cannot be asked")
    return possible


def folds_of_groups(
    labels: Array, groups: Array, seed: int, train: npt.NDArray[np.bool_] | None
) -> list[tuple[Array, Array]]:
    """(rows to learn from, rows to predict): the training set and the rest, or five folds that divide no group.

    Args:
        labels: (n,) classes, spread over the folds as evenly as groups allow.
        groups: (n,).
        seed: of the folds.
        train: (n,) true for the training set; None: folds.

    Raises:
        InputError: only one group.
    """
    if train is not None:
        return [(np.flatnonzero(train), np.flatnonzero(~train))]
    if len(np.unique(groups)) < 2:
        raise InputError("only one group: examples must come from other groups than the query")
    return _group_folds(labels, groups, folds=_FOLDS, seed=seed)


def _group_folds(labels: Array, groups: Array, *, folds: int, seed: int) -> list[tuple[Array, Array]]:
    """(training rows, test rows) of folds that divide no group; fewer folds where groups or members are few."""
    _, members = np.unique(labels.astype(str), return_counts=True)
    if members.max() < 2:
        raise InputError(
            f"each of the {len(members)} classes has a single example: nothing can be learnt of one and asked"
        )
    count = max(2, min(folds, len(np.unique(groups)), int(members.max())))
    split = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer members than folds is what small screens have
        pairs = list(split.split(np.zeros((len(labels), 1)), labels.astype(str), groups.astype(str)))
    return [(train, test) for train, test in pairs if len(test) and len(train)]
