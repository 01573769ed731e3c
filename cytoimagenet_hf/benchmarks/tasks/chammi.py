"""CHAMMI: single cells of three collections with three, four and five channels (Chen et al. 2023, Zenodo 7988357).

Each collection is a folder with `enriched_meta.csv` and pictures whose channels lie side by side. Features are not
scaled; a cell takes the label of its nearest neighbour in training, and the score is macro F1. Two tasks leave a group
out: cells of the other test groups then join the training cells.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cytoimagenet_hf.benchmarks.base import Array, Benchmark, Score, column, ids_of
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.images import Image, PlaneRef
from cytoimagenet_hf.scoring.knn import kneighbors
from cytoimagenet_hf.tables import FeatureTable
from cytoimagenet_hf.tables.tabular import read_table

WHERE = (
    "download CHAMMI from https://zenodo.org/records/7988357 and unpack it so that <root>/Allen/enriched_meta.csv, "
    "<root>/HPA/enriched_meta.csv and <root>/CP/enriched_meta.csv stand beside their pictures; one of "
    "the three is enough"
)
CHANNELS = {"Allen": 3, "HPA": 4, "CP": 5}
"""Collection → channels side by side in each picture."""

TASKS = {
    "Allen": ("Task_one", "Task_two"),
    "HPA": ("Task_one", "Task_two", "Task_three"),
    "CP": ("Task_one", "Task_two", "Task_three", "Task_four"),
}
LEFT_OUT = {("HPA", "Task_three"): "cell_type", ("CP", "Task_four"): "Plate"}
"""Tasks whose test cells are left out group by group → the column of the groups."""

_COLUMNS = ("cell_type", "Plate", "FOVId")
_YES = ("true", "1", "1.0")


def load(root: Path, recipe: BenchmarkRecipe, *, images: bool = True) -> list[Image]:
    """One image per cell that trains or is tested, with the tasks it belongs to."""
    collections = [name for name in CHANNELS if (root / name / "enriched_meta.csv").is_file()]
    if not collections:
        raise InputError(f"{root} has no enriched_meta.csv of {', '.join(CHANNELS)}: {WHERE}")
    return [item for name in collections for item in _collection(root, name, images=images)]


def score(features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, seed: int) -> list[Score]:
    """Macro F1 of every task of every collection that is there."""
    scores = []
    for name in CHANNELS:
        cells = [item for item in items if item.metadata["collection"] == name]
        train = [item for item in cells if item.metadata["train"] == "yes"]
        for task in TASKS[name]:
            test = [item for item in cells if item.metadata.get(task) == "yes"]
            if not test:
                continue
            if not train:
                raise InputError(f"chammi/{name} has test cells and no training cells: {WHERE}")
            scores.append(_task_score(features, train, test, name=name, task=task))
    return scores


def _task_score(
    features: FeatureTable, train: Sequence[Image], test: Sequence[Image], *, name: str, task: str
) -> Score:
    left_out = LEFT_OUT.get((name, task))
    trained, queries = features.rows(ids_of(train)).values, features.rows(ids_of(test)).values
    labels, truth = column(train, "label"), column(test, "label")
    if left_out is None:
        predictions = _nearest(trained, labels, queries)
        protocol = f"{len(train)} training cells"
    else:
        groups = column(test, left_out)
        predictions = np.empty(len(test), dtype=object)
        for group in sorted(set(groups)):
            out = groups == group
            values, names = np.concatenate([trained, queries[~out]]), np.concatenate([labels, truth[~out]])
            predictions[out] = _nearest(values, names, queries[out])
        protocol = f"training cells and the other of {len(set(groups))} groups by {left_out}"
    shared = next((fact for fact in ("FOVId", "Plate") if all(fact in item.metadata for item in test)), None)
    return Score(
        f"chammi/{name} {task.replace('_', ' ').lower()}",
        ids_of(test),
        truth,
        predictions,
        clusters=None if shared is None else column(test, shared),
        cluster_name=None if shared is None else {"FOVId": "field", "Plate": "plate"}[shared],
        details={"protocol": protocol, "train": len(train), "classes": len(set(truth)), "scaler": "none"},
        measure="macro F1",
    )


CHAMMI = Benchmark(
    name="chammi",
    title="CHAMMI (cells with 3, 4 and 5 channels)",
    channels=(),
    where=WHERE,
    protocol="1-NN, Euclidean, unscaled features, macro F1 on the official splits",
    load=load,
    score=score,
)


def _collection(root: Path, name: str, *, images: bool) -> list[Image]:
    file = root / name / "enriched_meta.csv"
    table = read_table(file, required=("file_path", "channel_width", "Label", "train_test_split"))
    asked = [task for task in TASKS[name] if task in table]
    by_split = table["train_test_split"].str.lower()
    items = []
    for row in table.assign(split=by_split).to_dict("records"):
        tasks = {task: "yes" for task in asked if str(row[task]).lower() in _YES}
        if not asked and str(row["split"]) in {task.lower() for task in TASKS[name]}:
            tasks = {str(row["split"]).capitalize(): "yes"}
        train = row["split"] == "train"
        if not (train or tasks):
            continue
        grouping = [header for (of, task), header in LEFT_OUT.items() if of == name and task in tasks]
        needed = ("file_path", "channel_width", "Label", *grouping)
        if lacking := [header for header in needed if pd.isna(row.get(header))]:
            raise InputError(f"{file}: the cell of {row['file_path']} has no {lacking[0]!r}")
        facts = {fact: str(row[fact]) for fact in _COLUMNS if fact in row and not pd.isna(row[fact])}
        facts |= {"label": str(row["Label"]), "collection": name, "train": "yes" if train else "no", **tasks}
        path, width = str(row["file_path"]), int(float(str(row["channel_width"])))
        picture = inside(root, path)
        if not picture.is_file():  # else paths are below the collection
            picture = inside(root, f"{name}/{path}")
        if images and not picture.is_file():
            raise InputError(f"{picture} is missing, which {file} names: {WHERE}")
        planes = tuple(
            (PlaneRef(picture, kind="strip", place=(channel * width, width)),) for channel in range(CHANNELS[name])
        )
        items.append(Image(f"{name}/{path}", tuple(map(str, range(CHANNELS[name]))), planes, facts))
    return items


def _nearest(trained: Array, labels: Array, queries: Array) -> Array:
    _, neighbours = kneighbors(trained, queries, 1)
    return np.asarray(labels[neighbours[:, 0]], dtype=object)
