"""What the study scores: pixels, stages of networks, and candidates for the default, on each set and pooled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.benchmarks import load_recipe
from cytoimagenet_hf.benchmarks.base import Score, ids_of
from cytoimagenet_hf.benchmarks.compare import compare
from cytoimagenet_hf.benchmarks.extraction import features_of, load_model
from cytoimagenet_hf.benchmarks.scaling import standardise
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import Encoder, stage_columns
from cytoimagenet_hf.networks.pixels import pixel_features
from cytoimagenet_hf.options.networks import EncoderOptions
from cytoimagenet_hf.scoring.pooling_over_sets import pool_effects
from cytoimagenet_hf.tables import make_table

from .networks import BACKBONE
from .real import CellSet

Values = npt.NDArray[Any]
PIXELS, DEFAULT = "pixels", "stage 1 + pixels"
"""Pixel statistics alone, and what networks trained here are extracted with: the first stage beside them."""
IMAGENET, REDRAWN, LABELS, RANDOM_START = "ImageNet", "redrawn", "labels", "random start"
TRAINED_HERE = (LABELS, RANDOM_START)
"""The networks whose mean the rule decides by: those that labels trained here. Without them ImageNet's is shown."""
PAIRS = (
    (REDRAWN, IMAGENET),
    *((IMAGENET, name) for name in (LABELS, "labels and views", "views")),
    (REDRAWN, RANDOM_START),
)
"""What training gave, stage by stage: the second network less the first."""
_SEED = 0  # of intervals
_STAGES = {"pooling": "blocks", "pixels": False, "normalize": "gain"}


@dataclass(frozen=True)
class Network:
    """A network, or several that differ in their seed alone and whose outcomes are averaged by cell.

    Attributes:
        name: in tables.
        loads: spec and options of `load_model` of each.
    """

    name: str
    loads: tuple[tuple[str, dict[str, Any]], ...]


def networks_of(trained: Mapping[str, str], *, redrawn: int) -> list[Network]:
    """ImageNet's network, its redrawn twins, and those trained here (training → folder)."""
    twins = tuple((BACKBONE, {"redrawn": seed}) for seed in range(redrawn))
    return [
        Network(IMAGENET, ((BACKBONE, {}),)),
        Network(REDRAWN, twins),
        *(Network(name, ((folder, {}),)) for name, folder in trained.items()),
    ]


def score_set(
    cells: CellSet, items: Sequence[Image], networks: Sequence[Network], *, cache: Path, log: Callable[[str], None]
) -> dict[tuple[str, str], Score]:
    """(network, features) → outcomes of every cell.

    Columns are standardised over all cells of the set, without their labels, so that blocks can be weighed after it.

    Args:
        cells: the set.
        items: its cells.
        networks: to take features of.
        cache: of features.
        log: called with one line per network.
    """
    recipe = load_recipe("corrected", scaler="none")
    ids = ids_of(items)

    def scored(values: Values) -> Score:
        table = make_table(ids, values.astype(np.float32), about={})
        return replace(cells.benchmark.score(table, items, recipe, _SEED)[0], name=cells.name)

    pixels = standardise(np.stack([pixel_features(item.read()) for item in items]))
    scores = {("", PIXELS): scored(pixels)}
    stages: dict[str, dict[str, Values]] = {}
    for network in networks:
        log(f"{cells.name}: {network.name}")
        by_features: dict[str, list[Score]] = {}
        for spec, options in network.loads:
            model = load_model(spec, EncoderOptions(**{**_STAGES, **options}))
            values = features_of(model, items, cache=cache).rows(ids).values
            parts = {name: standardise(part) for name, part in _by_stage(model.encoder, values)}
            stages.setdefault(network.name, parts)
            for name, made in _features(parts, pixels).items():
                by_features.setdefault(name, []).append(scored(made))
        scores |= {(network.name, name): _mean(of_seeds) for name, of_seeds in by_features.items()}
    last = list(stages[IMAGENET])[-1]
    for name in (name for name in (LABELS, REDRAWN) if name in stages):
        scores[f"{IMAGENET} and {name}", last] = scored(np.hstack([stages[IMAGENET][last], stages[name][last]]))
    return scores


def leaks(cells: CellSet, items: Sequence[Image], scores: Mapping[tuple[str, str], Score]) -> dict[str, float]:
    """What pixels score when a single cell is left out, which measures the group as well, beside a whole group."""
    recipe = load_recipe("corrected", scaler="none", protocol="leave-one-out")
    values = standardise(np.stack([pixel_features(item.read()) for item in items]))
    (score, *_) = cells.benchmark.score(make_table(ids_of(items), values, about={}), items, recipe, _SEED)
    grouped = scores["", PIXELS]
    return {
        "pixels, one cell out": float(score.outcomes.mean()),
        f"pixels, one {grouped.cluster_name} out": float(grouped.outcomes.mean()),
    }


def _by_stage(encoder: Encoder, values: Values) -> Iterator[tuple[str, Values]]:
    """The columns of each stage, those of all channels side by side."""
    places = stage_columns(encoder)
    channels = values.reshape(len(values), -1, max(place.stop for place in places.values()))
    for stage, place in places.items():
        yield f"stage {stage}" if stage else "stem", channels[:, :, place].reshape(len(values), -1)


def _features(stages: Mapping[str, Values], pixels: Values) -> dict[str, Values]:
    """Each stage alone; the default; each stage beside pixels, both blocks divided by the root of their width."""
    weighed = pixels / np.sqrt(pixels.shape[1])
    first = stages["stage 1"]
    return {
        **stages,
        DEFAULT: np.hstack([first, pixels]),
        **{
            f"{name} + pixels, equal weight": np.hstack([values / np.sqrt(values.shape[1]), weighed])
            for name, values in stages.items()
        },
    }


def _mean(scores: Sequence[Score]) -> Score:
    """The score whose outcome of a cell is the mean over networks."""
    shares = np.mean([score.outcomes for score in scores], axis=0)
    return replace(scores[0], predictions=None, shares=shares)


def rows_of(scores: Mapping[tuple[str, str], Score]) -> list[dict[str, Any]]:
    """One row per network and features: accuracy, and the difference from pixels alone with its interval."""
    pixels = scores["", PIXELS]
    return [
        {"set": pixels.name, "network": network, "features": features, "accuracy": float(score.outcomes.mean())}
        | ({} if features == PIXELS else _difference(pixels, score))
        for (network, features), score in scores.items()
    ]


def gains_of(scores: Mapping[tuple[str, str], Score]) -> list[dict[str, Any]]:
    """What training gave at each stage: one row per pair of networks."""
    name = scores["", PIXELS].name
    stages = [features for network, features in scores if network == IMAGENET and "pixels" not in features]
    return [
        {"set": name, "network": second, "less": first, "features": stage}
        | _difference(scores[first, stage], scores[second, stage])
        for first, second in PAIRS
        for stage in stages
        if (first, stage) in scores and (second, stage) in scores
    ]


def candidates_of(scores: Mapping[tuple[str, str], Score], names: Sequence[str]) -> list[dict[str, Any]]:
    """The candidates for the default, as the mean over the networks trained here: against pixels and the default."""
    pixels = scores["", PIXELS]
    networks = [name for name in TRAINED_HERE if (name, DEFAULT) in scores] or [IMAGENET]

    def of(name: str) -> Score:
        return pixels if name == PIXELS else _mean([scores[network, name] for network in networks])

    return [
        {
            "set": pixels.name,
            "features": name,
            "accuracy": float(of(name).outcomes.mean()),
            "over pixels": _difference(pixels, of(name)),
            "over the default": _difference(of(DEFAULT), of(name)),
        }
        for name in names
    ]


def _difference(first: Score, second: Score) -> dict[str, Any]:
    pair = compare(_mean([first]), _mean([second]), names=("", ""), seed=_SEED)
    low, high = pair.interval or (pair.difference, pair.difference)
    return {"difference": pair.difference, "low": low, "high": high, "error": pair.error, "p": pair.p}


def pooled(differences: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Differences of several sets together; None where fewer than two of them vary."""
    usable = [row for row in differences if row["error"]]
    if len(usable) < 2:
        return None
    effect = pool_effects([row["difference"] for row in usable], [row["error"] for row in usable])
    low, high = effect.interval
    return {"difference": effect.difference, "low": low, "high": high, "p": effect.p, "sets": len(usable)}
