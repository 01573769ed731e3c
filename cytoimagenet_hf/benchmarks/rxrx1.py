"""RxRx1-WILDS: which of 1,139 siRNAs a field of cells got, in the experiments of training and in others (WILDS 1.0).

Training is site 1 of the training experiments. `id_test` is site 2 of the same wells, so it measures whether a network
knows a well again; `val` and `test` are other experiments, hence other batches: the task proper.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features import FeatureTable
from cytoimagenet_hf.files import inside
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.tabular import read_table

from .base import Benchmark, LabelledRows, RowsBySet, Score, column, ids_of, labelled
from .protocols import predict_transfer
from .recipes import BenchmarkRecipe

WHERE = (
    "download RxRx1-WILDS 1.0 (7.4 GB; python -m wilds.download_datasets, or https://wilds.stanford.edu/datasets) and "
    "point to the folder of metadata.csv and images/"
)
_TESTS = ("id_test", "val", "test")


def load(root: Path, recipe: BenchmarkRecipe, *, images: bool = True) -> list[Image]:
    """One image per field that trains or is tested.

    Raises:
        InputError: no table, a split without rows, or a picture that is not there.
    """
    file = root / "metadata.csv"
    if not file.is_file():
        raise InputError(f"{file} is missing: {WHERE}")
    table = read_table(file, required=("experiment", "plate", "well", "site", "sirna_id", "dataset"))
    items = []
    for row in table.to_dict("records"):
        experiment, plate, well, site = (str(row[name]) for name in ("experiment", "plate", "well", "site"))
        path = inside(root, f"images/{experiment}/Plate{plate}/{well}_s{site}.png")
        if images and not path.is_file():
            raise InputError(f"{path} is missing, which {file} names: {WHERE}")
        split = str(row["dataset"])
        facts = {
            "plate": f"{experiment}/Plate{plate}",
            "well": well,
            "site": site,
            "experiment": experiment,
            # WILDS takes site 2 of the training experiments for its in-distribution test.
            "split": "id_test" if split == "train" and site == "2" else split,
        }
        items.append(labelled(f"{experiment}/{plate}/{well}/{site}", (path,), str(row["sirna_id"]), facts=facts))
    found = {item.metadata["split"] for item in items}
    if "train" not in found or not found & set(_TESTS):
        raise InputError(
            f"{file} has the sets {sorted(found)}; train and one of {', '.join(_TESTS)} are needed: {WHERE}"
        )
    return items


def score(features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, seed: int) -> list[Score]:
    """1-NN accuracy on each test set, scaled by the training fields."""
    train = [item for item in items if item.metadata["split"] == "train"]
    values, labels = features.rows(ids_of(train)).values, column(train, "label")
    scores = []
    for split in _TESTS:
        test = [item for item in items if item.metadata["split"] == split]
        if not test:
            continue
        predictions = predict_transfer(
            values, labels, features.rows(ids_of(test)).values, column(test, "label"), recipe=recipe, k=1
        )
        scores.append(
            Score(
                f"rxrx1/{split}",
                ids_of(test),
                column(test, "label"),
                predictions,
                clusters=column(test, "experiment"),
                cluster_name="experiment",
                details={
                    "protocol": f"{len(train)} training fields; "
                    + ("the other site of the same wells" if split == "id_test" else "other experiments"),
                    "classes": len(set(labels)),
                    "scaler": recipe.transfer_scaler,
                },
            )
        )
    return scores


def rows(features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe) -> RowsBySet:
    """Training fields with each test set; experiments ought to mix."""
    train = [item for item in items if item.metadata["split"] == "train"]
    found = {}
    for split in _TESTS:
        test = [item for item in items if item.metadata["split"] == split]
        if test:
            both = [*train, *test]
            experiments = column(both, "experiment")
            found[f"rxrx1/{split}"] = LabelledRows(
                features.rows(ids_of(both)).values,
                ids_of(both),
                column(both, "label"),
                experiments,
                "experiment",
                train=np.arange(len(both)) < len(train),
                batches=experiments,
                batch_name="experiment",
            )
    return found


RXRX1 = Benchmark(
    name="rxrx1",
    title="RxRx1-WILDS (siRNA across experiments)",
    channels=("colour",),
    where=WHERE,
    protocol="1-NN, Euclidean, scaled by and fitted on train, predicting id_test, val and test",
    load=load,
    score=score,
    rows=rows,
)
