"""The measures a caller can ask for, on every task that can answer: neighbours, replicates, probes, few shots, mixing.

`measures.py` computes on arrays; here a benchmark's rows are handed to it, and what comes back are scores with one
outcome per item, so that intervals, paired tests and tables treat all measures alike.
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

from .base import Benchmark, LabelledRows, Score, WellRows
from .measures import few_shot, mixing_rejection, probe, probe_transfer
from .recipes import BenchmarkRecipe

MEASURES = {
    "nn": "the task's own protocol, by nearest neighbours",
    "map": "replicate mAP against the controls of the query's plate, and mAP of mechanisms",
    "probe": "logistic regression, each group predicted from the others",
    "few-shot": "1, 5 and 10 examples of each class from other groups",
    "mixing": "kBET: share of neighbourhoods that do not mix batches, beside the task's own score",
}
"""Name → what it is."""


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
    require_measures(measures)
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
