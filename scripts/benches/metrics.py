"""The `evaluate` metrics beside the command on the benchmark sets of the demo: scores, seconds, memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import evaluate
import numpy as np
import pandas as pd
import typer

from cytoimagenet_hf.benchmarks import BENCHMARKS
from cytoimagenet_hf.benchmarks.base import column, ids_of
from cytoimagenet_hf.benchmarks.recipes import RECIPES
from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.metrics import metric_path
from cytoimagenet_hf.tables import FeatureTable, read_features
from cytoimagenet_hf.tables.reading import write_features

from .common import in_child

TASKS = ("bbbc021", "coos7", "cyclops")
_SEED = 0


def run(
    sets: Annotated[Path, typer.Option(help="Folder of the three sets, as the demo simulates them.")] = Path(
        "demo/benchmarks"
    ),
    width: Annotated[int, typer.Option(help="Features of each image; they are drawn around its label.")] = 448,
) -> dict[str, Any]:
    """One call of a metric on features, and the command on the same features in a table.

    Example: python scripts/bench.py metrics --sets demo/benchmarks
    """
    if not (sets / TASKS[0]).is_dir():
        raise InputError(f"{sets} does not hold the sets of the demo: run `make demo` first, or name the folder")
    table = []
    for task in TASKS:
        file = sets.parent / f"drawn-{task}.parquet"
        write_features(drawn_features(task, sets / task, width=width), file)
        try:
            command = in_child(score_by_command, task, sets / task, file)
            metric = in_child(score_by_metric, task, sets / task, file)
        finally:
            file.unlink()
        for name, (value, n) in command.result.items():
            score, scored = metric.result[name]
            table.append(
                {"set": name, "n": n, "command": value, "metric": score, "equal": score == value and scored == n}
                | {"command s": command.seconds, "metric s": metric.seconds}
                | {"command peak MB": command.peak_mb, "metric peak MB": metric.peak_mb}
            )
    return {
        "table": table,
        "options": {"width": width},
        "notes": [
            "Both read the same features from a file, in a process of their own. The command also compares entries, "
            "draws the intervals of every rule and writes its record; seconds and memory are those of a task, all of "
            "its sets together, and memory counts the interpreter and its imports.",
        ],
    }


def drawn_features(task: str, root: Path, *, width: int) -> FeatureTable:
    """Features of the images of a task: normal around a place for each label, so that scores are in the middle."""
    items = _items(task, root)
    rng = derive_rng(_SEED, "metrics", task)
    names, codes = np.unique(column(items, "label").astype(str), return_inverse=True)
    places = rng.normal(0.0, 0.3, (len(names), width))
    values = (places[codes] + rng.normal(0.0, 1.0, (len(items), width))).astype(np.float32)
    return FeatureTable(ids_of(items), values, pd.DataFrame(index=range(len(items))), tuple(map(str, range(width))))


def score_by_command(task: str, root: Path, features: Path) -> dict[str, tuple[float, int]]:
    """Value and number of scored items of each set, as `cytoimagenet benchmark --features` gives them."""
    suite = Suite(tasks=((BENCHMARKS[task], root),), features=(features,), seed=_SEED)
    return {one.set: (one.value, one.n) for one in run_suite(suite).record.scores}


def score_by_metric(task: str, root: Path, features: Path) -> dict[str, tuple[float, int]]:
    """The same by one call of a metric on each set."""
    items = _items(task, root)
    values = read_features(features).rows(ids_of(items)).values
    facts = pd.DataFrame([dict(item.metadata) for item in items])
    if task == "bbbc021":
        columns = {"treatments": facts["treatment"], "compounds": facts["compound"], "moas": facts["label"]}
        controls = [BENCHMARKS[task].is_control(item) for item in items]
        score = evaluate.load(metric_path("nsc_accuracy")).compute(
            features=values,
            **{name: of.fillna("").tolist() for name, of in columns.items()},
            controls=controls,
            plates=facts["plate"].tolist(),
        )
        return {task: (score["nsc"], score["n"])}
    metric = evaluate.load(metric_path("knn_transfer"))
    labels = facts["label"].to_numpy()
    if task == "cyclops":
        groups = facts["group"].tolist() if "group" in facts else None
        score = metric.compute(features=values, labels=labels, ids=ids_of(items), groups=groups, seed=_SEED)
        return {task: (score["accuracy"], score["n"])}
    scores = {}
    train = (facts["split"] == "train").to_numpy()
    for split in sorted(set(facts["split"][~train])):
        test = (facts["split"] == split).to_numpy()
        score = metric.compute(
            train_features=values[train], train_labels=labels[train], test_features=values[test],
            test_labels=labels[test],
        )  # fmt: skip
        scores[f"{task}/{split}"] = (score["accuracy"], score["n"])
    return scores


def _items(task: str, root: Path) -> Sequence[Image]:
    return BENCHMARKS[task].load(root, RECIPES["corrected"], images=False)
