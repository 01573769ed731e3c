"""The nuisance ladder: what cell count, position, intensity and background alone score, and what a network adds.

Many benchmarks are answered by how many cells there are or how bright the plate is (doi 10.1038/s41467-026-68725-5).
Each rung is scored by one protocol, neighbours from other groups, so that rungs can be compared item by item. A
phenotype that changes the number of cells loses with it: what is left is a lower bound of what features know.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.imaging import normalize, to_gray
from cytoimagenet_hf.scoring.nuisances import predict_in_folds
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
