"""The measures a caller can ask for, on every task that can answer: neighbours, replicates, probes, few shots, mixing.

`measures.py` and `probes.py` compute on arrays; here a benchmark's rows are handed to them, and what comes back are
scores with one outcome per item, so that intervals, paired tests and tables treat all measures alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.scoring.precision import replicate_precision, target_precision
from cytoimagenet_hf.tables import FeatureTable

from .base import Array, Benchmark, LabelledRows, Score, WellRows
from .measures import mixing_rejection
from .probes import few_shot, possible_shots, probe, probe_transfer
from .recipes import BenchmarkRecipe

MEASURES = {
    "nn": "the task's own protocol, by nearest neighbours",
    "map": "replicate mAP against the controls of the query's plate, and mAP of mechanisms",
    "probe": "logistic regression, each group predicted from the others",
    "few-shot": "1, 5 and 10 examples of each class from other groups",
    "mixing": "kBET: share of neighbourhoods that do not mix batches, beside the task's own score",
}
"""Name → what it is."""


def check_measures(measures: Sequence[str]) -> None:
    """Refuse what is no key of `MEASURES`, before features are extracted.

    Raises:
        InputError: an unknown measure, or none.
    """
    unknown = [name for name in measures if name not in MEASURES]
    if unknown or not measures:
        raise InputError(f"unknown measure {', '.join(unknown) or '(none)'}: choose of {', '.join(MEASURES)}")


def measured_scores(
    benchmark: Benchmark,
    features: FeatureTable,
    items: Sequence[Image],
    *,
    recipe: BenchmarkRecipe,
    seed: int,
    measures: Sequence[str] = ("nn",),
) -> list[Score]:
    """Scores of one table on one task by every measure that was asked for and that the task knows.

    Args:
        benchmark: the task.
        features: of the images.
        items: the images.
        recipe: of the protocols.
        seed: of folds, draws and null distributions.
        measures: keys of `MEASURES`.

    Raises:
        InputError: an unknown measure, none that the task knows, or what scoring finds wrong.
    """
    check_measures(measures)
    scores: list[Score] = []
    if "nn" in measures or "mixing" in measures:
        scores += benchmark.score(features, items, recipe, seed)
    wanted = {"probe", "few-shot", "mixing"} & set(measures)  # the rows of a large task are a copy of its features
    rows = benchmark.rows(features, items, recipe) if wanted and benchmark.rows is not None else {}
    if "mixing" in measures:
        scores = [replace(score, details={**score.details, **_mixing(rows.get(score.name))}) for score in scores]
    asked: list[tuple[str, Callable[[], list[Score]]]] = []
    if "map" in measures and benchmark.wells is not None:
        wells = benchmark.wells
        asked.append(("map", lambda: _precision(benchmark.name, wells(features, items, recipe), seed)))
    for name, own in rows.items():
        if "probe" in measures:
            asked.append(("probe", partial(_probe, name, own, seed)))
        if "few-shot" in measures:
            asked.append(("few-shot", partial(_few_shot, name, own, seed)))
    return _taken(benchmark.name, scores, asked)


def _taken(name: str, scores: list[Score], asked: Sequence[tuple[str, Callable[[], list[Score]]]]) -> list[Score]:
    """All scores; a measure that a set is too small for is named beside the task's own score, with the reason.

    Raises:
        InputError: the task has no score of its own to tell it beside.
    """
    refused = {}
    for measure, take in asked:
        try:
            scores += take()
        except InputError as error:
            if not scores:
                raise
            refused[measure] = str(error)
    if not scores:
        raise InputError(f"{name} cannot be measured by what was asked for: leave it out, or add nn")
    if refused:
        scores = [replace(scores[0], details={**scores[0].details, "not_measured": refused}), *scores[1:]]
    return scores


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
            predictions=None,
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
            predictions=None,
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
    scored, groups, grouped = _scored(rows)
    if rows.train is None:
        predictions = probe(rows.values, rows.labels, groups, seed=seed)
        protocol = f"{len(set(groups))} groups by {rows.group_name}, in folds" if grouped else "folds of single images"
    else:
        train = rows.train
        predictions = probe_transfer(
            rows.values[train], rows.labels[train], groups[train], rows.values[scored], seed=seed
        )
        protocol = f"fitted on {int(train.sum())} training images"
    return [
        Score(
            f"{name} · probe",
            rows.ids[scored],
            rows.labels[scored],
            predictions,
            clusters=groups[scored] if grouped else None,
            cluster_name=rows.group_name if grouped else None,
            measure="probe accuracy",
            details={"protocol": protocol},
        )
    ]


def _few_shot(name: str, rows: LabelledRows, seed: int) -> list[Score]:
    scored, groups, grouped = _scored(rows)
    shots = possible_shots(rows.labels, groups, seed=seed, train=rows.train)
    shares = few_shot(rows.values, rows.labels, groups, shots=shots, seed=seed, train=rows.train)
    return [
        Score(
            f"{name} · {n}-shot",
            rows.ids[scored],
            rows.labels[scored],
            None,
            shares=own[scored],
            clusters=groups[scored] if grouped else None,
            cluster_name=rows.group_name if grouped else None,
            measure=f"{n}-shot accuracy",
            details={
                "protocol": f"{n} examples a class from "
                + ("the training set" if rows.train is not None else "other groups" if grouped else "other images")
            },
        )
        for n, own in shares.items()
    ]


def _scored(rows: LabelledRows) -> tuple[Array, Array, bool]:
    """(rows that are scored, a group for every row, whether groups are known): else each row is its own group."""
    scored = np.ones(len(rows.ids), bool) if rows.train is None else ~rows.train
    grouped = rows.groups is not None
    return scored, (rows.ids if rows.groups is None else rows.groups), grouped
