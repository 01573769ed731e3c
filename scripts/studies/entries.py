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

from cytoimagenet_hf.benchmarks import load_recipe
from cytoimagenet_hf.benchmarks.base import Score, ids_of
from cytoimagenet_hf.benchmarks.baselines import pixel_baselines
from cytoimagenet_hf.benchmarks.extraction import features_of, load_model
from cytoimagenet_hf.benchmarks.held_out import held_out_rows
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks.pixels import PER_CHANNEL, PER_PAIR, QUANTILES
from cytoimagenet_hf.networks.pooling import EXTRACTION
from cytoimagenet_hf.options.networks import EncoderOptions
from cytoimagenet_hf.scoring import stats
from cytoimagenet_hf.tables import FeatureTable, make_table

from .networks import GAIN, LABELS, TRAININGS, UNTRAINED
from .real import Task

Values = npt.NDArray[Any]
DEFAULT = "default"
_SEED = 0  # of baselines and intervals
_REGULARISATION = (0.03, 0.3)  # of the classifier that bounds what neighbours could reach


@dataclass(frozen=True)
class Way:
    """One way of taking features of a network.

    Attributes:
        name: of the row.
        training: of the network, the name of one of `networks.TRAININGS`.
        options: of `load_encoder`.
        says: for people.
        part: the key of `PARTS` that it is, by which trainings are compared; None: none of them.
    """

    name: str
    training: str
    options: dict[str, Any]
    says: str
    part: str | None = None


_SCALED = {"pixels": False, "normalize": EXTRACTION["normalize"]}
PARTS: dict[str, tuple[dict[str, Any], str]] = {
    DEFAULT: (EXTRACTION, "mean and deviation of the first stage, beside pixel statistics"),
    "early": ({"pooling": "early", **_SCALED}, "mean and deviation of the first stage alone"),
    "blocks": ({"pooling": "blocks", **_SCALED}, "mean and deviation of every stage"),
    "last": ({"pooling": "last", **_SCALED}, "what the network pools"),
}
"""What is taken of the networks of every training: options, and for people. All look at pixels as the default does."""

_STRETCHED = {"pixels": False, "normalize": "image"}
WAYS = (
    *(
        Way(name if training.name == LABELS else f"{name}: {training.name}", training.name, options, says, name)
        for training in TRAININGS
        for name, (options, says) in PARTS.items()
    ),
    Way("default, stretched", LABELS, {**EXTRACTION, "normalize": "image"}, "the default's parts"),
    Way("early, stretched", LABELS, {"pooling": "early", **_STRETCHED}, "the first stage alone"),
    Way("blocks, stretched", LABELS, {"pooling": "blocks", **_STRETCHED}, "every stage"),
    Way("last, stretched", LABELS, {"pooling": "last", **_STRETCHED}, "what the network pools, as the paper takes it"),
    Way(
        "last + pixels, stretched",
        LABELS,
        {**_STRETCHED, "pooling": "last", "pixels": True},
        "what the network pools, beside pixel statistics",
    ),
    Way("last, absolute", LABELS, {**_STRETCHED, "pooling": "last", "normalize": "none"}, "pixels as they are"),
    Way("last, stretched: untrained", UNTRAINED, {"pooling": "last", **_STRETCHED}, "what the network pools"),
)
HELD = tuple(way for way in WAYS if way.part == DEFAULT and way.training in (LABELS, GAIN))
"""What is scored on cells that no choice was made on."""


def score_task(
    task: Task,
    networks: Mapping[str, Sequence[Path]],
    *,
    cache: Path,
    log: Callable[[str], None],
    ways: Sequence[Way] = WAYS,
    classifiers: bool = True,
) -> dict[str, Any]:
    """Every entry on one task: rows of the table, and the default against the best baseline.

    Args:
        task: images and protocol.
        networks: folders of networks by training, one per seed.
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
    default: Values = np.zeros((0, 0))
    outcomes: dict[tuple[str, str], Values] = {}
    for way in ways:
        log(f"{task.name}: {way.name}")
        models = [load_model(str(folder), EncoderOptions(**way.options)) for folder in networks[way.training]]
        found = [features_of(model, items, cache=cache).rows(ids_of(items)).values for model in models]
        scores = [scored(values) for values in found]
        kind = DEFAULT if way.name == DEFAULT else "variant" if way.training == LABELS else "training"
        rows.append(_row(way.name, scores, baselines[best], kind=kind) | {"says": way.says})
        if way.name == DEFAULT:
            default = found[0]
        if way.part is not None:
            outcomes[way.training, way.part] = np.mean([score.outcomes for score in scores], axis=0)
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
        "trainings": _compared(outcomes, baselines[best].clusters),
        "default_minus_best": next(row["gain"] for row in rows if row["entry"] == DEFAULT),
        "classifier": bounds,
    }


def _compared(outcomes: Mapping[tuple[str, str], Values], clusters: Any) -> list[dict[str, Any]]:
    """Each part of the networks of each training beside the same part of those of labels and of untrained ones."""
    return [
        {
            "training": training,
            "part": part,
            "accuracy": float(own.mean()),
            **{
                f"over {other}": _interval(own - outcomes[other, part], clusters)
                for other in (LABELS, UNTRAINED)
                if other != training and (other, part) in outcomes
            },
        }
        for (training, part), own in outcomes.items()
    ]


def _row(name: str, scores: Sequence[Score], best: Score, *, kind: str) -> dict[str, Any]:
    """The mean of seeds, and its gain over the best baseline with the interval over whole groups."""
    gain = np.mean([score.outcomes for score in scores], axis=0) - best.outcomes
    return {
        "entry": name,
        "kind": kind,
        "accuracy": float(np.mean([score.outcomes.mean() for score in scores])),
        "seeds": [float(score.outcomes.mean()) for score in scores],
        "gain": _interval(gain, best.clusters),
    }


def _interval(gain: Values, clusters: Any) -> dict[str, float]:
    ends = stats.cluster_bootstrap(gain, np.asarray(clusters).astype(str), seed=_SEED)
    return {"mean": float(gain.mean()), "low": ends.low, "high": ends.high}


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
