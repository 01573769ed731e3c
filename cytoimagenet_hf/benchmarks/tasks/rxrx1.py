"""RxRx1-WILDS: which of 1,139 siRNAs a field of cells got, in the experiments of training and in others (WILDS 1.0).

Training is site 1 of the training experiments. `id_test` is site 2 of the same wells, so it measures whether a network
knows a well again; `val` and `test` are other experiments, hence other batches: the task proper.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cytoimagenet_hf.benchmarks.base import Benchmark, Score, column, ids_of, labelled
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.tables import FeatureTable
from cytoimagenet_hf.tables.tabular import read_table, require_filled

from .fixed_sets import each_test_set, fixed_rows, predicted

WHERE = (
    "download RxRx1-WILDS 1.0 (7.4 GB; python -m wilds.download_datasets, or https://wilds.stanford.edu/datasets) and "
    "point to the folder of metadata.csv and images/"
)
_TESTS = ("id_test", "val", "test")


def load(root: Path, recipe: BenchmarkRecipe, *, images: bool = True) -> list[Image]:
    """One image per field that trains or is tested."""
    file = root / "metadata.csv"
    if not file.is_file():
        raise InputError(f"{file} is missing: {WHERE}")
    needed = ("experiment", "plate", "well", "site", "sirna_id", "dataset")
    table = read_table(file, required=needed)
    require_filled(table, needed, file)
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
    splits = {item.metadata["split"] for item in items}
    if "train" not in splits or not splits & set(_TESTS):
        raise InputError(
            f"{file} has the sets {sorted(splits)}; train and one of {', '.join(_TESTS)} are needed: {WHERE}"
        )
    return items


def score(features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, seed: int) -> list[Score]:
    """1-NN accuracy on each test set, scaled by the training fields."""
    scores = []
    for split, train, test in each_test_set(items, _TESTS):
        others = "the other site of the same wells" if split == "id_test" else "other experiments"
        scores.append(
            Score(
                f"rxrx1/{split}",
                ids_of(test),
                column(test, "label"),
                predicted(features, train, test, recipe=recipe, k=1),
                clusters=column(test, "experiment"),
                cluster_name="experiment",
                details={
                    "protocol": f"{len(train)} training fields; {others}",
                    "classes": len(set(column(train, "label"))),
                    "scaler": recipe.transfer_scaler,
                },
            )
        )
    return scores


RXRX1 = Benchmark(
    name="rxrx1",
    title="RxRx1-WILDS (siRNA across experiments)",
    channels=("colour",),
    where=WHERE,
    protocol="1-NN, Euclidean, scaled by and fitted on train, predicting id_test, val and test",
    load=load,
    score=score,
    rows=partial(fixed_rows, name="rxrx1", tests=_TESTS, batch="experiment"),
)
