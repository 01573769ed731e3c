"""The nuisance ladder: what cell count, position, intensity and background alone score, and what a network adds.

Many benchmarks are answered by how many cells there are or how bright the plate is (doi 10.1038/s41467-026-68725-5).
Each rung is scored by one protocol, neighbours from other groups, so that rungs can be compared item by item. A
phenotype that changes the number of cells loses with it: what is left is a lower bound of what features know. Scaling
and regression are fitted on training rows alone, so that a held-out group has no part in what is taken away from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.imaging import normalize, to_gray
from cytoimagenet_hf.scoring.knn import kneighbors, vote
from cytoimagenet_hf.scoring.results import LadderStep
from cytoimagenet_hf.tables import FeatureTable, make_table
from cytoimagenet_hf.tables.wells import place_of

from .base import Array, Benchmark, LabelledRows, Score, ids_of
from .baselines import described, foreground, object_count, raw_moments
from .compare import compare, summarise_score
from .measures import folds_of_groups
from .protocols import NEIGHBOURS
from .recipes import BenchmarkRecipe

NUISANCES = {
    "cell count": "connected pieces of the foreground, by channel",
    "position": "row, column and distance to the rim of the well on its plate",
    "intensity": "mean and deviation of the raw pixels, by channel",
    "background": "mean, deviation and percentiles of the raw pixels outside the foreground, by channel",
}
"""Name → what it is."""
ALL = "all nuisances"
_GROWN = 5  # pixels by which the foreground grows before what is left is called background
_ROWS_PER_NUISANCE = 4  # training rows for each direction of nuisances: as many as rows would explain anything
_NOTHING = 1e-6  # of the largest: a direction, or what is left of a feature, that is rounding


def nuisance_tables(items: Sequence[Image], *, workers: int = 0) -> dict[str, FeatureTable]:
    """What there is of `NUISANCES`, each as a table of a few numbers; position only where wells are known."""
    values = described(items, _numbers, workers=workers, what="nuisances")
    places = [_place(item) for item in items]
    if places and all(place is not None for place in places):
        values["position"] = np.asarray(places, np.float32)
    ids = ids_of(items)
    return {name: make_table(ids, values[name]) for name in NUISANCES if name in values}


def ladder(
    benchmark: Benchmark,
    tables: Mapping[str, FeatureTable],
    nuisances: Mapping[str, FeatureTable],
    items: Sequence[Image],
    *,
    recipe: BenchmarkRecipe,
    seed: int,
) -> tuple[LadderStep, ...]:
    """Every rung on every scored set of a task: nuisances alone, all of them, each model, and what is left of it."""
    if benchmark.rows is None:
        raise InputError(f"{benchmark.name} has no rows of its own that nuisances could be measured on")
    of_nuisances = {name: benchmark.rows(table, items, recipe) for name, table in nuisances.items()}
    of_models = {name: benchmark.rows(table, items, recipe) for name, table in tables.items()}
    steps: list[LadderStep] = []
    for name in next(iter(of_nuisances.values())):
        alone = {nuisance: rows[name] for nuisance, rows in of_nuisances.items()}
        features = {model: rows[name].values for model, rows in of_models.items()}
        steps += _steps_of_set(name, benchmark.name, alone, features, seed=seed)
    return tuple(steps)


def _steps_of_set(
    name: str, task: str, alone: Mapping[str, LabelledRows], features: Mapping[str, Array], *, seed: int
) -> list[LadderStep]:
    rows = next(iter(alone.values()))
    folds = folds_of_groups(rows.labels, rows.divided_by, seed, rows.train)
    _, sizes = np.unique(rows.labels.astype(str), return_counts=True)
    k = NEIGHBOURS if np.median(sizes) > 2 * NEIGHBOURS else 1  # classes of few treatments: the nearest alone
    others = "other images" if rows.groups is None else f"other {rows.group_name}s"
    where = others if rows.train is None else "training set"
    protocol = f"{k}-NN among the {where}, {len(folds)} fold{'s' if len(folds) > 1 else ''}"
    every = np.concatenate([of.values for of in alone.values()], axis=1)

    def score(values: Array, regressed: Array | None = None) -> Score:
        predictions = predict_in_folds(values, rows.labels, folds, k=k, nuisances=regressed)
        return rows.score(name, predictions[rows.scored])

    def step(title: str, model: str, result: Score, width: int, **paired: Any) -> LadderStep:
        record = summarise_score(result, task=task, entry=title, kind="baseline", seed=seed)
        return LadderStep(name, title, model, record.value, record.interval, record.n, width, protocol, **paired)

    _, counts = np.unique(rows.labels[rows.scored].astype(str), return_counts=True)
    chance = float(counts.max() / counts.sum())
    steps = [LadderStep(name, "largest class", "", chance, (chance, chance), int(counts.sum()), 0, protocol)]
    steps += [step(title, "", score(of.values), of.values.shape[1]) for title, of in alone.items()]
    nuisances = score(every)
    steps.append(step(ALL, "", nuisances, every.shape[1]))
    for model, values in features.items():
        whole, left = score(values), score(values, every)
        over = compare(nuisances, whole, names=(ALL, model), seed=seed)
        lost = compare(whole, left, names=(model, f"{model} without nuisances"), seed=seed)
        steps.append(step("features", model, whole, values.shape[1], change=over))
        steps.append(step("features without nuisances", model, left, values.shape[1], change=lost))
    return steps


def _numbers(item: Image) -> dict[str, Array]:
    gray = [to_gray(channel) for channel in item.read()]
    raw = [channel.astype(np.float64) for channel in gray]
    masks = [foreground(normalize(channel)) for channel in gray]
    return {
        "cell count": np.array([object_count(mask) for mask in masks], np.float64),
        "intensity": np.concatenate([raw_moments(channel) for channel in raw]),
        "background": np.concatenate([_background(pixels, mask) for pixels, mask in zip(raw, masks, strict=True)]),
    }


def _background(pixels: Array, mask: Array) -> Array:
    """Mean, deviation and three percentiles of the pixels away from the foreground: (5,)."""
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((2 * _GROWN + 1,) * 2, np.uint8)).astype(bool)
    # An image full of cells: its pixels outside them, however near, and the darkest tenth if there are none.
    away = next((chosen for chosen in (~grown, ~mask) if chosen.mean() > 0.01), pixels <= np.percentile(pixels, 10))
    outside = pixels[away]
    return np.array([outside.mean(), outside.std(), *np.percentile(outside, [5, 50, 95])])


def _place(item: Image) -> tuple[float, float, float] | None:
    """Row, column and distance to the rim of the smallest plate that has such a well; None where it is not known."""
    well = item.metadata.get("well")
    if not well:
        return None
    try:
        row, column = place_of(str(well))
    except InputError:
        return None
    rows, columns = next((r, c) for r, c in ((8, 12), (16, 24), (32, 48)) if row <= r and column <= c)
    return float(row), float(column), float(min(row - 1, rows - row, column - 1, columns - column))


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
