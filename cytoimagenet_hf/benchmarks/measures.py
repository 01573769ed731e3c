"""The measures a caller can ask for, on every task that can answer: neighbours, replicates, probes, few shots, mixing.

What comes back are scores with one outcome per item, so that intervals, paired tests and tables treat all measures
alike. No query is predicted from its own group: folds divide no plate, compound or field.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.scoring.knn import kneighbors
from cytoimagenet_hf.scoring.precision import replicate_precision, target_precision
from cytoimagenet_hf.tables import FeatureTable

from .base import Array, Benchmark, LabelledRows, RowsBySet, Score, WellRows
from .recipes import BenchmarkRecipe
from .scaling import unit_rows

MEASURES = {
    "nn": "the task's own protocol, by nearest neighbours",
    "map": "replicate mAP against the controls of the query's plate, and mAP of mechanisms",
    "probe": "logistic regression, each group predicted from the others",
    "few-shot": "1, 5 and 10 examples of each class from other groups",
    "mixing": "kBET: share of neighbourhoods that do not mix batches, beside the task's own score",
}
"""Name → what it is."""
SHOTS = (1, 5, 10)
_DRAWS = 20  # of examples
_LEVEL = 0.05  # of each chi-square test
_FOLDS = 5  # fewer where there are fewer groups
_STRENGTHS = np.logspace(-4, 1, 6)  # C of the logistic regression


def measured_scores(
    benchmark: Benchmark,
    features: FeatureTable,
    items: Sequence[Image],
    *,
    recipe: BenchmarkRecipe,
    seed: int,
    measures: Sequence[str] = ("nn",),
) -> list[Score]:
    """Scores of one table on one task by every measure that was asked for and that the task knows."""
    scores: list[Score] = []
    if "nn" in measures or "mixing" in measures:
        scores += benchmark.score(features, items, recipe, seed)
    # The rows of a large task are a copy of its features: made only where they are needed.
    rows: RowsBySet = {}
    if benchmark.rows is not None and {"probe", "few-shot", "mixing"} & set(measures):
        rows = benchmark.rows(features, items, recipe)
    if "mixing" in measures:
        scores = [replace(score, details={**score.details, **_mixing(rows.get(score.name))}) for score in scores]
    asked: list[tuple[str, Callable[[], list[Score]]]] = []
    if "map" in measures and benchmark.wells is not None:
        wells = benchmark.wells
        asked.append(("map", lambda: _precision(benchmark.name, wells(features, items, recipe), seed)))
    for name, rows_of_set in rows.items():
        if "probe" in measures:
            asked.append(("probe", partial(_probe, name, rows_of_set, seed)))
        if "few-shot" in measures:
            asked.append(("few-shot", partial(_few_shot, name, rows_of_set, seed)))
    # A measure that a set is too small for is named beside the task's own score, with the reason.
    refused = {}
    for measure, take in asked:
        try:
            scores += take()
        except InputError as error:
            if not scores:
                raise
            refused[measure] = str(error)
    if not scores:
        raise InputError(f"{benchmark.name} cannot be measured by what was asked for: leave it out, or add nn")
    if refused:
        scores[0] = replace(scores[0], details={**scores[0].details, "not_measured": refused})
    return scores


def require_measures(names: Sequence[str]) -> None:
    """Refuse an unknown measure, or none at all."""
    unknown = [name for name in names if name not in MEASURES]
    if unknown or not names:
        raise InputError(f"unknown measure {', '.join(unknown) or '(none)'}: choose of {', '.join(MEASURES)}")


def _mixing(rows: LabelledRows | None) -> dict[str, Any]:
    if rows is None or rows.batches is None or len(set(rows.batches)) < 2:
        return {}
    return {"mixing": {"rejected": mixing_rejection(rows.values, rows.batches), "of": rows.batch_name}}


def _precision(name: str, wells: WellRows, seed: int) -> list[Score]:
    """Replicate mAP of treatments and mAP of mechanisms among compounds."""
    scored = replicate_precision(
        wells.values, treatments=wells.treatments, plates=wells.plates, controls=wells.controls, seed=seed
    )
    first = {str(treatment): row for row, treatment in reversed(list(enumerate(wells.treatments)))}
    rows = [first[treatment] for treatment in scored["treatment"]]
    scores = [
        Score(
            f"{name} · replicate mAP",
            ids=scored["treatment"].to_numpy(object),
            references=wells.targets[rows],
            shares=np.clip(scored["mean_average_precision"].to_numpy(float), 0, 1),
            clusters=wells.compounds[rows],
            cluster_name="compound",
            measure="replicate mAP",
            details={
                "protocol": "replicates on other plates among the controls of the query's plate",
                "active": float((scored["corrected_p_value"] < 0.05).mean()),
            },
        )
    ]
    treated = ~wells.controls
    compounds = np.unique(wells.compounds[treated].astype(str))
    profiles, targets = [], []
    for compound in compounds:
        of_compound = treated & (wells.compounds.astype(str) == compound)
        profiles.append(np.median(wells.values[of_compound], axis=0))
        targets.append(wells.targets[of_compound][0])
    # All compounds, not the active ones alone: which are active depends on the features, and models must be paired.
    by_target = target_precision(
        np.array(profiles), compounds=compounds, targets=np.array(targets, dtype=object), seed=seed
    )
    names = by_target["target"].to_numpy(object)
    scores.append(
        Score(
            f"{name} · mechanism mAP",
            ids=names,
            references=names,
            shares=np.clip(by_target["mean_average_precision"].to_numpy(float), 0, 1),
            measure="mechanism mAP",
            details={
                "protocol": f"median profiles of all {len(compounds)} compounds, by mechanism",
                "significant": float((by_target["corrected_p_value"] < 0.05).mean()),
            },
        )
    )
    return scores


def _probe(name: str, rows: LabelledRows, seed: int) -> list[Score]:
    groups = rows.divided_by
    if rows.train is None:
        predictions = probe(rows.values, rows.labels, groups, seed=seed)
        protocol = "folds of single images"
        if rows.groups is not None:
            protocol = f"{len(set(groups))} groups by {rows.group_name}, in folds"
    else:
        train = rows.train
        predictions = probe_transfer(
            rows.values[train], rows.labels[train], groups[train], rows.values[~train], seed=seed
        )
        protocol = f"fitted on {int(train.sum())} training images"
    return [rows.score(f"{name} · probe", predictions, measure="probe accuracy", details={"protocol": protocol})]


def _few_shot(name: str, rows: LabelledRows, seed: int) -> list[Score]:
    shares = few_shot(rows.values, rows.labels, rows.divided_by, seed=seed, train=rows.train)
    others = "other images" if rows.groups is None else "other groups"
    if rows.train is not None:
        others = "the training set"
    return [
        rows.score(
            f"{name} · {n}-shot",
            shares=right[rows.scored],
            measure=f"{n}-shot accuracy",
            details={"protocol": f"{n} examples a class from {others}"},
        )
        for n, right in shares.items()
    ]


def mixing_rejection(values: Array, batches: Array) -> float:
    """Share of items whose neighbourhood does not mix batches as the whole set does (kBET; Büttner et al. 2019).

    Near 0.05, the level of its tests, where batches are mixed, 1 where they are separate. Features that know nothing
    mix perfectly, so this number is read beside a label score, never alone.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> apart = np.r_[rng.normal(0, 1, (100, 2)), rng.normal(50, 1, (100, 2))]
        >>> mixing_rejection(apart, np.repeat(["a", "b"], 100))
        1.0
    """
    names, codes = np.unique(batches.astype(str), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"only one batch ({str(names[0])!r}): nothing can be mixed")
    k = int(np.clip(len(values) / len(names) / 4, 10, len(values) - 1))  # a quarter of the mean batch
    _, neighbours = kneighbors(values, values, k, exclude=np.arange(len(values)))
    counts = np.stack([(codes[neighbours] == code).sum(axis=1) for code in range(len(names))], axis=1)  # (n, B)
    expected = k * np.bincount(codes) / len(codes)
    statistic = ((counts - expected) ** 2 / expected).sum(axis=1)
    return float((chi2.sf(statistic, len(names) - 1) < _LEVEL).mean())


def probe(values: Array, labels: Array, groups: Array, *, seed: int) -> Array:
    """Predictions (n,) of a logistic regression on values (n, d), each group predicted by a fit on other groups."""
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
    """Predictions (n,) for `test` (n, d) of a logistic regression fitted on `train` (m, d).

    The strength of the penalty is chosen by inner folds over the training groups, so that no group is seen twice.
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
    values: Array, labels: Array, groups: Array, *, seed: int, train: npt.NDArray[np.bool_] | None = None
) -> dict[int, Array]:
    """How often each item is named right from a few examples of each class in other groups.

    For each draw, so many examples per class are taken from the groups outside the query's fold; features are scaled
    by those groups, and the query takes the class of the nearest mean by cosine.

    Args:
        values: (n, d).
        labels: (n,).
        groups: (n,).
        seed: of the draws and folds.
        train: (n,) true for the rows that examples come from, all others being queries; None: folds of groups.

    Returns:
        examples per class → (n,) share of draws in which each item is right; 0 for rows of `train`. Of `SHOTS` those
        that every class has outside every fold.
    """
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    folds = folds_of_groups(codes, groups, seed, train)
    counts = np.array([np.bincount(codes[fitted], minlength=len(names)) for fitted, _ in folds])  # (F, K)
    right = {n: np.zeros(len(labels)) for n in SHOTS if n <= counts.min()}
    if not right:
        scarce = str(names[counts.min(axis=0).argmin()])
        raise InputError(f"class {scarce!r} has no example outside one fold of groups: few-shot needs one at least")
    for fold, (fitted, test) in enumerate(folds):
        scaler = StandardScaler().fit(values[fitted])
        scaled, queries = scaler.transform(values[fitted]), scaler.transform(values[test])
        members = [np.flatnonzero(codes[fitted] == code) for code in range(len(names))]
        for draw in range(_DRAWS):
            rng = derive_rng(seed, "few-shot", f"{fold}/{draw}")
            order = [rng.permutation(rows) for rows in members]
            for n in right:
                means = np.stack([scaled[rows[:n]].mean(axis=0) for rows in order])  # (K, D)
                right[n][test] += np.argmax(unit_rows(queries) @ unit_rows(means).T, axis=1) == codes[test]
    return {n: total / _DRAWS for n, total in right.items()}


def folds_of_groups(
    labels: Array, groups: Array, seed: int, train: npt.NDArray[np.bool_] | None
) -> list[tuple[Array, Array]]:
    """(rows to learn from, rows to predict): the training set and the rest, or five folds that divide no group."""
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
            f"each of the {len(members)} classes has a single example: two of one class are needed at least"
        )
    count = max(2, min(folds, len(np.unique(groups)), int(members.max())))
    split = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer members than folds is what small screens have
        pairs = list(split.split(np.zeros((len(labels), 1)), labels.astype(str), groups.astype(str)))
    return [(train, test) for train, test in pairs if len(test) and len(train)]
