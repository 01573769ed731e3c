"""What the study scores: the baselines, networks with each way of taking features, and the parts alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cytoimagenet_hf import stats
from cytoimagenet_hf.benchmarks import load_recipe
from cytoimagenet_hf.benchmarks.base import Score, ids_of
from cytoimagenet_hf.benchmarks.baselines import pixel_baselines
from cytoimagenet_hf.benchmarks.extraction import features_of, load_model
from cytoimagenet_hf.benchmarks.held_out import held_out_rows
from cytoimagenet_hf.encoders.pixels import PER_CHANNEL, PER_PAIR, QUANTILES
from cytoimagenet_hf.features import FeatureTable, make_table
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.models.pooling import EXTRACTION

from .real import Task

Values = npt.NDArray[Any]
DEFAULT = "default"
OTHER = "image" if EXTRACTION.get("normalize") == "gain" else "gain"
"""The scaling of pixels that is not the default's."""
_SEED = 0  # of baselines and intervals
_REGULARISATION = (0.03, 0.3)  # of the classifier that bounds what neighbours could reach


@dataclass(frozen=True)
class Way:
    """One way of taking features of a network.

    Attributes:
        name: of the row.
        trained: whether the network was.
        options: of `load_encoder`.
        says: for people.
    """

    name: str
    trained: bool
    options: dict[str, Any]
    says: str


WAYS = (
    Way(DEFAULT, True, EXTRACTION, "the default: mean and deviation of the first stage, beside pixel statistics"),
    Way("default, other scaling", True, {**EXTRACTION, "normalize": OTHER}, f"the same, pixels scaled by `{OTHER}`"),
    Way("early", True, {"pooling": "early", "pixels": False}, "mean and deviation of the first stage alone"),
    Way("last", True, {"pooling": "last", "pixels": False}, "what the network pools, as the paper takes it"),
    Way("last + pixels", True, {"pooling": "last", "pixels": True}, "the same beside pixel statistics"),
    Way("last, not stretched", True, {"pooling": "last", "pixels": False, "normalize": "none"}, "absolute pixels"),
    Way("gem", True, {"pooling": "gem", "pixels": False}, "generalised mean of the last feature map"),
    Way("blocks", True, {"pooling": "blocks", "pixels": False}, "mean and deviation of every stage"),
    Way("untrained last", False, {"pooling": "last", "pixels": False}, "an untrained network"),
    Way("untrained early + pixels", False, EXTRACTION, "the default's parts, untrained"),
)


def score_task(
    task: Task,
    networks: Mapping[bool, Sequence[Path]],
    *,
    cache: Path,
    log: Callable[[str], None],
    ways: Sequence[Way] = WAYS,
    classifiers: bool = True,
) -> dict[str, Any]:
    """Every entry on one task: rows of the table, and the default against the best baseline.

    Args:
        task: images and protocol.
        networks: folders of networks, trained and untrained, one per seed.
        cache: of features.
        log: called with one line per entry.
        ways: of taking features; the default is among them.
        classifiers: whether to train those that bound what neighbours could reach; minutes for a thousand cells.
    """
    recipe = load_recipe("corrected")
    items = task.benchmark.load(task.root, recipe)

    def scored(values: Values) -> Score:
        return task.benchmark.score(_table(items, values), items, recipe, _SEED)[0]

    tables = {name: table.values for name, table in pixel_baselines(items, seed=_SEED).items()}
    baselines = {name: scored(values) for name, values in tables.items()}
    best = max(baselines, key=lambda name: float(baselines[name].outcomes.mean()))
    rows = [_row(name, [score], baselines[best], kind="baseline") for name, score in baselines.items()]
    default = np.zeros((0, 0))
    for way in ways:
        log(f"{task.name}: {way.name}")
        found = [
            features_of(load_model(str(folder), options=way.options), items, cache=cache).rows(ids_of(items)).values
            for folder in networks[way.trained]
        ]
        kind = DEFAULT if way.name == DEFAULT else "variant"
        rows.append(
            _row(way.name, [scored(values) for values in found], baselines[best], kind=kind) | {"says": way.says}
        )
        if way.name == DEFAULT:
            default = found[0]
    for name, part in _parts(_pixels_of(default, len(items[0].channels)), len(items[0].channels)):
        rows.append(_row(name, [scored(part)], baselines[best], kind="part"))
    bounds: dict[str, float] = {}
    if classifiers:
        log(f"{task.name}: classifiers")
        bounds["default"] = _classified(items, default)
        bounds["default and all baselines"] = _classified(items, np.hstack([default, *tables.values()]))
        bounds[best] = _classified(items, tables[best])
    return {
        "task": task.name,
        "title": task.title,
        "images": len(items),
        "groups": _groups(baselines[best]),
        "classes": len(set(baselines[best].references)),
        "best_baseline": best,
        "table": rows,
        "default_minus_best": next(row["gain"] for row in rows if row["entry"] == DEFAULT),
        "classifier": bounds,
    }


def _row(name: str, scores: Sequence[Score], best: Score, *, kind: str) -> dict[str, Any]:
    """The mean of seeds, and its gain over the best baseline with the interval over whole groups."""
    gain = np.mean([score.outcomes for score in scores], axis=0) - best.outcomes
    ends = stats.cluster_bootstrap(gain, np.asarray(best.clusters).astype(str), seed=_SEED)
    return {
        "entry": name,
        "kind": kind,
        "accuracy": float(np.mean([score.outcomes.mean() for score in scores])),
        "seeds": [float(score.outcomes.mean()) for score in scores],
        "gain": {"mean": float(gain.mean()), "low": ends.low, "high": ends.high},
    }


def _groups(score: Score) -> int:
    return len(set(np.asarray(score.clusters).astype(str)))


def _pixels_of(values: Values, channels: int) -> Values:
    return values[:, -(PER_CHANNEL * channels + PER_PAIR * channels * (channels - 1) // 2) :]


def _parts(pixels: Values, channels: int) -> Iterator[tuple[str, Values]]:
    """The three kinds of pixel statistics, alone and together."""
    by_channel = pixels[:, : PER_CHANNEL * channels].reshape(len(pixels), channels, PER_CHANNEL)
    yield "pixels: intensity", by_channel[:, :, : len(QUANTILES)].reshape(len(pixels), -1)
    yield "pixels: texture", by_channel[:, :, len(QUANTILES) :].reshape(len(pixels), -1)
    yield "pixels: pairs of channels", pixels[:, PER_CHANNEL * channels :]
    yield "pixels: all", pixels


def _classified(items: Sequence[Image], values: Values) -> float:
    """Accuracy of a logistic regression trained on all other groups: the better of two strengths."""
    rows = held_out_rows(_table(items, values), items)
    found = [
        cross_val_predict(
            make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300)),
            rows.values,
            rows.labels.astype(str),
            groups=np.asarray(rows.groups).astype(str),
            cv=LeaveOneGroupOut(),
        )
        for strength in _REGULARISATION
    ]
    return max(float((predicted == rows.labels.astype(str)).mean()) for predicted in found)


def _table(items: Sequence[Image], values: Values) -> FeatureTable:
    return make_table(ids_of(items), np.asarray(values, np.float32), about={})
