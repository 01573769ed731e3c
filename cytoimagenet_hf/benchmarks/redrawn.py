"""What training gave: a network beside its redrawn twins, as it is extracted and stage by stage, paired by item.

Middle stages of untrained networks separate cells well, so a score says little about training until the same
architecture with drawn weights stands beside it. All stages of a network come from one pass over the images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import stage_columns
from cytoimagenet_hf.scoring.contamination import training_sources
from cytoimagenet_hf.scoring.results import EntryRecord, ScoreRecord, TrainingGain
from cytoimagenet_hf.tables import FeatureTable

from .base import Score
from .compare import MACRO, Scores, adjust, compare, statistic
from .entries import Entry
from .extraction import ModelRun, features_of

EXTRACTED = "as extracted"
"""The way in which a model's own entry takes its features; the others are single stages."""
_STAGES: dict[str, Any] = {"pooling": "blocks", "pixels": False}


def redrawn_entries(
    specs: Sequence[str],
    items: Sequence[Image],
    run: ModelRun,
    *,
    redrawn: int,
    report: Callable[[str], None] = lambda message: None,
) -> list[Entry]:
    """Twins of every model, and where no pooling was asked for also each stage of the model and of its twins.

    Of several methods the first is taken; the seed of the run is that of the first twin.
    """
    entries: list[Entry] = []
    for spec in specs:
        model = run.load(spec)
        # as `model_entries` calls it
        name = model.name if len(run.methods) == 1 else f"{model.name} [{run.methods[0]}]"
        columns, reason = dict[str, slice](), ""
        if run.options.pooling is None:
            columns, reason = _stages_of(run, spec)
        if not columns:  # refused before anything is extracted, not after the trained network was
            run.load(spec, redrawn=run.seed)
        if reason:
            report(f"{name} is compared as it is extracted, not by stage: {reason}")
        take = partial(_features, run, spec, items)
        every = lru_cache(maxsize=1)(partial(take, _STAGES))  # the stages of one network lie in one table
        sources = training_sources(model.spec, declared=model.encoder.training_sources)
        for way, place in columns.items():
            about = {"model": model.spec, "way": way}
            build = partial(_part, every, None, place, columns)
            entries.append(Entry(f"{name}, {way}", "stage", build, sources, about))
        for number in range(run.seed, run.seed + redrawn):
            drawn = {"model": model.spec, "redrawn": number}
            twin = f"{name} redrawn {number}"
            origin = drawn | {"redrawn_of": name, "way": EXTRACTED}
            entries.append(Entry(twin, "redrawn", partial(take, {}, number), frozenset(), origin))
            for way, place in columns.items():
                origin = drawn | {"redrawn_of": f"{name}, {way}", "way": way}
                build = partial(_part, every, number, place, columns)
                entries.append(Entry(f"{twin}, {way}", "redrawn", build, frozenset(), origin))
    return entries


def training_gains(
    entries: Sequence[EntryRecord], scores: Scores, summaries: Mapping[tuple[str, str], ScoreRecord], *, seed: int
) -> tuple[TrainingGain, ...]:
    """Trained minus redrawn for every way of taking features, paired by item, adjusted by Holm over the sets.

    Where a score is a mean over items, an item's outcome under redrawn weights is its mean over the twins; a macro F1
    is compared with that of the best twin, which favours the twins. Scores and summaries are by (entry, set).
    """
    twins: dict[str, list[EntryRecord]] = {}
    for entry in entries:
        if entry.kind == "redrawn":
            step = entry.about.get("postprocess")
            twins.setdefault(entry.about["redrawn_of"] + (f" [{step}]" if step else ""), []).append(entry)
    gains: list[TrainingGain] = []
    for trained, drawn in twins.items():
        sets = [name for entry, name in scores if entry == trained]
        pairs = [
            compare(
                _of_twins([scores[twin.name, name] for twin in drawn]),
                scores[trained, name],
                names=(f"{trained}, redrawn", trained),
                seed=seed,
            )
            for name in sets
        ]
        for name, pair in zip(sets, adjust(pairs), strict=True):
            summary = summaries[trained, name]
            values = tuple(summaries[twin.name, name].value for twin in drawn)
            way = str(drawn[0].about["way"])
            model = trained if way == EXTRACTED else trained.replace(f", {way}", "", 1)
            gains.append(
                TrainingGain(name, model, way, summary.measure, summary.value, summary.interval, values, pair)
            )
    return tuple(gains)


def _stages_of(run: ModelRun, spec: str) -> tuple[dict[str, slice], str]:
    """Stage → its columns in the vector of one input of the network, or why there are none."""
    try:
        encoder = run.load(spec, **_STAGES | {"redrawn": run.seed}).encoder
    except InputError as error:  # the network takes no pooling, has no feature maps, or cannot be redrawn
        return {}, str(error)
    stages = stage_columns(encoder)
    return {("stem" if stage == 0 else f"stage {stage}"): place for stage, place in stages.items()}, ""


def _features(
    run: ModelRun, spec: str, items: Sequence[Image], pooling: Mapping[str, Any], redrawn: int | None
) -> FeatureTable:
    return features_of(run.load(spec, redrawn=redrawn, **pooling), items, cache=run.cache, settings=run.settings)


def _part(
    every: Callable[[int | None], FeatureTable], redrawn: int | None, place: slice, columns: Mapping[str, slice]
) -> FeatureTable:
    """One stage of all channels."""
    table = every(redrawn)
    width = max(part.stop for part in columns.values())
    chosen = np.arange(table.values.shape[1]).reshape(-1, width)[:, place].ravel()
    names = tuple(table.names[column] for column in chosen)
    return replace(table, values=table.values[:, chosen], names=names)


def _of_twins(drawn: Sequence[Score]) -> Score:
    if drawn[0].measure == MACRO:
        return max(drawn, key=statistic)
    first = drawn[0]
    outcomes = [dict(zip(score.ids, score.outcomes, strict=True)) for score in drawn]
    shares = np.array([np.mean([of[item] for of in outcomes]) for item in first.ids])
    return replace(first, predictions=None, shares=shares)
