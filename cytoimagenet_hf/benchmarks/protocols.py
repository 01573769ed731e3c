"""The three ways features are scored by neighbours (paper §4): not same compound, train to test, leave one out."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.options.benchmark import NEIGHBOURS as NEIGHBOURS
from cytoimagenet_hf.scoring.knn import kneighbors, vote

from .recipes import BenchmarkRecipe
from .scaling import standardise

Array = npt.NDArray[Any]
_FOLDS = 5


def predict_transfer(
    train: Array, train_labels: Array, test: Array, test_labels: Array, *, recipe: BenchmarkRecipe, k: int = NEIGHBOURS
) -> Array:
    """Labels of `test` (n, d) by its k neighbours in `train` (m, d), Euclidean, scaled by the training set.

    Raises:
        InputError: other features, a test label is unseen in training, k exceeds the training set.
    """
    if train.shape[1] != test.shape[1]:
        raise InputError(f"train has {train.shape[1]} features, test has {test.shape[1]}: extract both alike")
    unseen = sorted(set(test_labels) - set(train_labels))
    if unseen:
        raise InputError(
            f"test labels {[str(name) for name in unseen[:5]]} do not occur in training: they could never be predicted"
        )
    if recipe.transfer_scaler == "train":
        train, test = standardise(train), standardise(test, fitted_on=train)
    distances, indices = kneighbors(train, test, k)
    return vote(train_labels[indices], distances)


def predict_leave_one_out(
    values: Array, labels: Array, ids: Array, *, recipe: BenchmarkRecipe, seed: int, k: int = NEIGHBOURS
) -> Array:
    """Labels (n,) of each row by its k neighbours among all other rows, Euclidean.

    The folds of the scaler "other" are drawn over `ids`, so that the order of rows does not matter.
    """
    if recipe.leave_one_out_scaler != "other":
        scaled = standardise(values) if recipe.leave_one_out_scaler == "all" else values
        return _leave_out(scaled, np.arange(len(values)), labels, recipe=recipe, k=k)
    predictions = np.empty_like(labels)
    order = derive_rng(seed, "scaler-fold").permutation(len(ids))
    folds = np.empty(len(ids), int)
    folds[np.argsort(ids.astype(str), kind="stable")[order]] = np.arange(len(ids)) % _FOLDS
    for fold in np.unique(folds):
        queries = (folds == fold).nonzero()[0]
        # Statistics from the other folds: a query has no part in how it is scaled.
        scaled = standardise(values, fitted_on=values[folds != fold])
        predictions[queries] = _leave_out(scaled, queries, labels, recipe=recipe, k=k)
    return predictions


def predict_leave_group_out(
    values: Array, labels: Array, groups: Array, *, recipe: BenchmarkRecipe, k: int = NEIGHBOURS
) -> Array:
    """Labels (n,) of each row by its k neighbours outside its own group, Euclidean."""
    names = np.unique(groups)
    if len(names) < 2:
        raise InputError(f"only one group ({str(names[0])!r}): nothing is left to compare with")
    predictions = np.empty_like(labels)
    scaled = standardise(values) if recipe.leave_one_out_scaler == "all" else values
    for name in names:
        in_group = groups == name
        if recipe.leave_one_out_scaler == "other":
            scaled = standardise(values, fitted_on=values[~in_group])
        distances, indices = kneighbors(scaled[~in_group], scaled[in_group], k)
        predictions[in_group] = vote(labels[~in_group][indices], distances)
    return predictions


def predict_held_out(
    values: Array,
    labels: Array,
    ids: Array,
    groups: Array | None,
    *,
    recipe: BenchmarkRecipe,
    seed: int,
    k: int = NEIGHBOURS,
    group_name: str | None = None,
) -> tuple[Array, str]:
    """Labels (n,) by k neighbours of other groups or, without groups or by request, among all other rows.

    Args:
        values: (n, d).
        labels: (n,).
        ids: (n,).
        groups: (n,) plate, field, donor; None where nobody knows.
        recipe: `held_out` says what is left out.
        seed: of the folds of the scaler.
        k: neighbours that vote.
        group_name: what the groups are.

    Returns:
        The predictions, and the protocol in words for tables.

    Raises:
        InputError: groups are asked for and not known, there is one group only, or every class has its own group.
    """
    if groups is None and recipe.held_out == "group":
        raise InputError(
            "no groups are known, so no group can be left out: name a column of metadata.csv with --group, or ask for "
            "--protocol leave-one-out"
        )
    if groups is None or recipe.held_out == "item":
        ignored = (
            "no groups known" if groups is None else f"{len(set(groups))} groups by {group_name or 'group'} ignored"
        )
        predictions = predict_leave_one_out(values, labels, ids, recipe=recipe, seed=seed, k=k)
        return predictions, f"one of {len(labels)} images left out, {ignored}"
    classes = set(labels)
    if all(len(set(groups[labels == label])) == 1 for label in classes):
        raise InputError(
            f"each of the {len(classes)} classes lies in a single {group_name or 'group'}: no image has its class "
            "outside its group, so group and class cannot be separated; group otherwise, or ask for --protocol "
            "leave-one-out"
        )
    predictions = predict_leave_group_out(values, labels, groups, recipe=recipe, k=k)
    return predictions, f"one of {len(set(groups))} groups by {group_name or 'group'} left out"


def _leave_out(values: Array, queries: Array, labels: Array, *, recipe: BenchmarkRecipe, k: int) -> Array:
    if recipe.leave_out == "id":
        distances, indices = kneighbors(values, values[queries], k, exclude=queries)
    else:
        if k + 1 > len(values):
            raise InputError(f"k = {k}, but only {len(values) - 1} other items are there: choose a smaller k")
        # The nearest is taken for the query itself; with duplicates it need not be: E4 of docs/paper.md.
        distances, indices = kneighbors(values, values[queries], k + 1)
        distances, indices = distances[:, 1:], indices[:, 1:]
    return vote(labels[indices], distances)
