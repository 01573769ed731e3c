"""The metric modules, loaded by path as a user would, offline: their documented examples are the test."""

import doctest
from pathlib import Path

import datasets
import evaluate
import numpy as np
import pandas as pd
import pytest
import torch
from transformers import Trainer, TrainingArguments

from cytoimagenet_hf.benchmarks.nsc import nsc_accuracy
from cytoimagenet_hf.benchmarks.protocols import predict_held_out, predict_transfer
from cytoimagenet_hf.benchmarks.recipes import RECIPES
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.metrics import METRICS, metric_path
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.profiles.shrinkage import standardise_by_shrunk_controls


@pytest.fixture(scope="module", autouse=True)
def private_cache(tmp_path_factory):
    # One folder for all: Python imports the package of loaded modules once.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluate.config.HF_MODULES_CACHE", tmp_path_factory.mktemp("modules"))
        yield


@pytest.fixture
def loaded(tmp_path):
    """A metric by name, as a user loads it."""
    return lambda name: evaluate.load(metric_path(name), cache_dir=str(tmp_path))


@pytest.mark.parametrize("name", METRICS)
def test_documented_examples_run_and_hold(name, loaded):
    metric = loaded(name)
    examples = doctest.DocTestParser().get_doctest(
        metric.inputs_description, {"evaluate": evaluate, "metric_path": metric_path}, name, None, None
    )
    outcome = doctest.DocTestRunner().run(examples)
    assert outcome.attempted > 1
    assert outcome.failed == 0


@pytest.mark.parametrize("name", METRICS)
def test_folder_has_card_and_app(name):
    folder = Path(metric_path(name))
    card = (folder / "README.md").read_text()
    assert card.startswith("---\n")
    assert "app_file: app.py" in card
    assert (folder / "app.py").is_file()
    assert (folder / "requirements.txt").is_file()
    # One line that imports both breaks loading a local module.
    assert "import datasets, evaluate" not in (folder / f"{name}.py").read_text()


def test_groups_need_a_seed_and_change_the_interval(loaded):
    metric = loaded("knn_transfer")
    inputs = {"predictions": [0] * 40, "references": [0] * 20 + [1] * 20}
    groups = ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["d"] * 10
    with pytest.raises(InputError, match="seed"):
        metric.compute(**inputs, groups=groups)
    result = metric.compute(**inputs, groups=groups, seed=1)
    assert result["n"] == 40  # the refused call left nothing behind
    assert result["cluster_high"] - result["cluster_low"] > result["wald_high"] - result["wald_low"]
    assert metric.compute(**inputs, per_class=True)["per_class"] == {0: 1.0, 1: 0.0}


def test_nsc_refuses_neighbours_of_the_same_compound(loaded):
    metric = loaded("nsc_accuracy")
    with pytest.raises(InputError, match=r"treatments \[1\]"):
        metric.compute(
            predictions=["x", "x"], references=["x", "x"], compounds=["a", "b"], neighbour_compounds=["b", "b"]
        )


def test_unknown_metric_is_named():
    with pytest.raises(InputError, match="knn_transfer"):
        metric_path("f1")


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "nothing to score"),
        ([1.5, 0], [1, 0], r"predictions\[0\] is 1.5"),
        ([1, 0], [1, float("nan")], r"references\[1\] is nan"),
        ([1, None], [1, 0], r"predictions\[1\] is None"),
        (["a", 1], ["a", "b"], "mix text and numbers"),
        (["1", "0"], [1, 0], "text on one side"),
        (["a"], ["a", "b"], "1 predictions for 2 references"),
    ],
)
def test_labels_are_never_cut(name, predictions, references, message, loaded):
    metric = loaded(name)
    extra = {"compounds": ["a"] * len(references)} if name == "nsc_accuracy" else {}
    with pytest.raises(InputError, match=message):
        metric.compute(predictions=predictions, references=references, **extra)
    with pytest.raises(InputError, match=message):
        metric.add_batch(predictions=predictions, references=references)


@pytest.mark.parametrize("name", METRICS)
def test_single_labels_are_checked_too(name, loaded):
    metric = loaded(name)
    with pytest.raises(InputError, match=r"predictions\[0\] is 1.5"):
        metric.add(prediction=1.5, reference=1)


def test_names_of_groups_and_compounds_must_fit(loaded):
    inputs = {"predictions": ["x", "y"], "references": ["x", "y"]}
    knn = loaded("knn_transfer")
    with pytest.raises(InputError, match="1 groups for 2"):
        knn.compute(**inputs, groups=["a"], seed=0)
    nsc = loaded("nsc_accuracy")
    with pytest.raises(InputError, match="3 compounds for 2"):
        nsc.compute(**inputs, compounds=["a", "b", "c"])
    with pytest.raises(InputError, match=r"neighbour_compounds\[1\] is missing"):
        nsc.compute(**inputs, compounds=["a", "b"], neighbour_compounds=["b", None])


MORE = {"knn_transfer": {}, "nsc_accuracy": {"compounds": ["a", "b", "c", "d"]}}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("given", "truth"), [([1, 1, 0, 2], [1, 0, 0, 2]), (["x", "x", "y", "z"], ["x", "y", "y", "z"])]
)
@pytest.mark.parametrize("make", [list, np.array, torch.tensor, lambda values: [np.asarray(v)[()] for v in values]])
def test_labels_of_any_kind_in_batches_give_what_lists_give(name, given, truth, make, loaded):
    if make is torch.tensor and isinstance(given[0], str):
        pytest.skip("tensors hold numbers")
    metric = loaded(name)
    expected = metric.compute(predictions=given, references=truth, **MORE[name])
    assert metric.compute(predictions=make(given), references=make(truth), **MORE[name]) == expected
    for part in (slice(0, 3), slice(3, 4)):
        columns = {column: values[part] for column, values in MORE[name].items()}
        metric.add_batch(predictions=make(given)[part], references=make(truth)[part], **columns)
    assert metric.compute() == expected
    for row in range(4):
        columns = {column: values[row] for column, values in MORE[name].items()}
        metric.add(prediction=make(given)[row], reference=make(truth)[row], **columns)
    assert metric.compute() == expected


@pytest.mark.parametrize("name", METRICS)
def test_labels_of_digits_are_text(name, loaded):
    metric = loaded(name)
    labels = {"predictions": ["007", "7", "01", "1"], "references": ["007", "007", "01", "01"]}
    result = metric.compute(**labels, **MORE[name], per_class=True)
    assert result["correct"] == 2
    assert result["per_class"] == {"007": 0.5, "01": 0.5}
    first = {column: values[:1] for column, values in MORE[name].items()}
    metric.add_batch(predictions=[7], references=[7], **first)
    with pytest.raises(InputError, match="text in one batch and numbers in another"):
        metric.add_batch(predictions=["007"], references=["007"], **first)


def test_groups_come_with_every_batch_or_with_none(loaded):
    metric = loaded("knn_transfer")
    inputs = {"predictions": [1, 0, 1, 1], "references": [1, 1, 1, 0]}
    expected = metric.compute(**inputs, groups=[1, 1, 2, 2], seed=0, per_group=True)
    assert expected["per_group"] == {"1": 0.5, "2": 0.5}
    for part in (slice(0, 2), slice(2, 4)):
        metric.add_batch(
            **{name: values[part] for name, values in inputs.items()}, groups=torch.tensor([1, 1, 2, 2])[part]
        )
    assert metric.compute(seed=0, per_group=True) == expected
    metric.add_batch(**inputs, groups=["a"] * 4)
    metric.add_batch(**inputs)
    with pytest.raises(InputError, match="groups of 4 of 8 items are missing"):
        metric.compute(seed=0)
    with pytest.raises(InputError, match="no input plates"):
        metric.add_batch(**inputs, plates=["a"] * 4)
    with pytest.raises(InputError, match="nothing to score"):
        metric.compute()


@pytest.mark.parametrize("name", METRICS)
def test_a_trainer_logs_and_saves_the_result(name, tmp_path, loaded):
    metric = loaded(name)
    inputs = {"predictions": [1, 1, 0, 2], "references": [1, 0, 0, 2], **MORE[name]}
    result = metric.compute(**inputs, **({"groups": [1, 1, 2, 2], "seed": 0} if name == "knn_transfer" else {}))
    assert all(isinstance(value, int | float) for value in result.values())
    trainer = Trainer(
        model=torch.nn.Linear(1, 1), args=TrainingArguments(output_dir=str(tmp_path), report_to="none", use_cpu=True)
    )
    found = {f"eval_{key}": value for key, value in result.items()}
    trainer.log_metrics("eval", found)
    trainer.save_metrics("eval", found)


def test_a_trainer_trains_our_network_on_our_pixels_and_scores_it_by_our_metric(tmp_path, loaded):
    metric = loaded("knn_transfer")
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 120 + 100 * (row % 2), (1, 40, 40)).astype(np.uint8) for row in range(8)]
    kinds = datasets.Features({"image": datasets.Array3D((1, 40, 40), "uint8"), "labels": datasets.ClassLabel(2)})
    rows = datasets.Dataset.from_dict({"image": images, "labels": [row % 2 for row in range(8)]}, features=kinds)
    processor = MicroscopyImageProcessor("concat-raw", full_scale=255)
    shown = rows.with_transform(lambda of: {**processor(of["image"], return_tensors="pt"), "labels": of["labels"]})
    options = {"report_to": "none", "use_cpu": True, "remove_unused_columns": False, "max_steps": 2}
    trainer = Trainer(
        model=build_efficientnet(2, seed=0, labels=["dark", "bright"], width_coefficient=0.25, depth_coefficient=0.25),
        args=TrainingArguments(output_dir=str(tmp_path / "run"), per_device_eval_batch_size=3, **options),
        train_dataset=shown,
        eval_dataset=shown,
        compute_metrics=lambda of: metric.compute(predictions=of.predictions.argmax(-1), references=of.label_ids),
    )
    trainer.train()
    result = trainer.evaluate()
    assert result["eval_n"] == 8
    assert result["eval_accuracy"] == result["eval_correct"] / 8
    trainer.log_metrics("eval", result)


RNG = np.random.default_rng(5)
LABELS = np.repeat(["er", "golgi", "mito"], 20)
VALUES = RNG.normal(np.repeat([0.0, 1.0, 2.0], 20)[:, None], 1.0, (60, 4))
PLATES = np.tile(["p1", "p2", "p3", "p4"], 15)
TRANSFER = {"train_features": VALUES, "train_labels": LABELS, "test_features": VALUES, "test_labels": LABELS}


@pytest.mark.parametrize("make", [np.asarray, torch.tensor, np.ndarray.tolist])
def test_a_test_set_is_scored_from_its_features_in_one_call(make, loaded):
    metric = loaded("knn_transfer")
    rows = RNG.permutation(60)
    train, test = rows[:40], rows[40:]
    labels = [LABELS[train], LABELS[test]]
    expected = predict_transfer(VALUES[train], labels[0], VALUES[test], labels[1], recipe=RECIPES["corrected"])
    result = metric.compute(
        train_features=make(VALUES[train]), train_labels=labels[0], test_features=make(VALUES[test]),
        test_labels=labels[1], groups=PLATES[test], seed=0,
    )  # fmt: skip
    assert (result["n"], result["correct"], result["groups"]) == (20, int((expected == labels[1]).sum()), 4)
    assert result["cluster_low"] <= result["accuracy"] <= result["cluster_high"]


@pytest.mark.parametrize("groups", [None, PLATES])
def test_one_set_is_scored_by_leaving_out(groups, loaded):
    metric = loaded("knn_transfer")
    ids = np.arange(60).astype(str)
    expected, _ = predict_held_out(VALUES, LABELS, ids, groups, recipe=RECIPES["corrected"], seed=3)
    result = metric.compute(features=VALUES, labels=LABELS, groups=groups, seed=3)
    assert result["accuracy"] == pytest.approx((expected == LABELS).mean())


def test_bfloat16_features_are_scored_as_float32(loaded):
    metric = loaded("knn_transfer")
    rounded = torch.from_numpy(VALUES).bfloat16()
    expected = metric.compute(features=rounded.float(), labels=LABELS)
    assert metric.compute(features=rounded, labels=LABELS) == expected
    assert metric.compute(features=[row.requires_grad_() for row in rounded], labels=LABELS) == expected


def test_treatments_are_scored_from_their_wells_in_one_call(loaded):
    metric = loaded("nsc_accuracy")
    treatments = np.repeat([f"{c}{d}" for c in "abcdef" for d in (1, 2)], 5)
    compounds = np.array([name[0] for name in treatments])
    moas = np.array([{"a": 0, "b": 0, "c": 1, "d": 1, "e": 2, "f": 3}[name] for name in compounds])
    weeks = np.array([f"w{name[1]}" for name in treatments])
    columns = {"treatments": treatments, "compounds": compounds, "moas": moas, "batches": weeks}
    expected = nsc_accuracy(VALUES, **columns)
    result = metric.compute(features=torch.from_numpy(VALUES), **columns, per_class=True)
    assert result["nsc"] == expected.nsc
    assert (result["nscb"], result["n"], result["unscorable"]) == (expected.nscb, 12, 4)
    assert result["unscorable_treatments"] == list(expected.unscorable) == ["e1", "e2", "f1", "f2"]
    solvent = np.zeros(60, bool)
    solvent[40:50] = True  # the compound e
    scaled = standardise_by_shrunk_controls(VALUES, plates=PLATES, controls=solvent)[~solvent]
    left = {name: values[~solvent] for name, values in columns.items()}
    result = metric.compute(features=VALUES, **columns, controls=solvent, plates=PLATES)
    assert (result["nsc"], result["n"]) == (nsc_accuracy(scaled, **left).nsc, 10)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("knn_transfer", {"features": VALUES}, "features, labels belong together"),
        ("knn_transfer", {"train_features": VALUES, "train_labels": LABELS}, "belong together"),
        ("knn_transfer", {"features": VALUES, "labels": LABELS, "predictions": [1], "references": [1]}, "one of"),
        ("knn_transfer", {"features": VALUES[:3], "labels": LABELS}, r"shape \(3, 4\) for 60 labels"),
        ("knn_transfer", {**TRANSFER, "test_features": VALUES[:, :3]}, "train has 4 features, test has 3"),
        ("knn_transfer", {**TRANSFER, "k": "3"}, "choose a whole number"),
        ("knn_transfer", {"features": [[1.0], [1.0, 2.0]], "labels": ["a", "b"]}, "no table of numbers"),
        ("knn_transfer", {"features": VALUES[:, :0], "labels": LABELS}, r"shape \(60, 0\) for 60 labels"),
        ("knn_transfer", {"features": VALUES, "labels": LABELS, "ids": ["a"]}, "1 ids for 60 labels"),
        ("knn_transfer", dict.fromkeys(("predictions", "references"), pd.DataFrame({"a": [1]})), r"\[0\] is \[1\]"),
        (
            "knn_transfer",
            {"predictions": [1], "references": [1], "groups": pd.Series([pd.NA], dtype="string")},
            r"groups\[0\] is missing",
        ),
        (
            "nsc_accuracy",
            {"features": VALUES, **dict.fromkeys(("treatments", "compounds", "moas", "plates"), LABELS)}
            | {"controls": ["False"] * 60},
            "True or False for each row, not 'False'",
        ),
        ("knn_transfer", {"features": VALUES * np.nan, "labels": LABELS}, r"\(60 in all\).* NaN"),
        ("nsc_accuracy", {"features": VALUES, "treatments": LABELS}, "need the compounds, moas"),
        ("nsc_accuracy", {"treatments": LABELS, "predictions": [1], "references": [1]}, "treatments go with features"),
        ("nsc_accuracy", {"predictions": [1], "references": [1]}, "needs the compound"),
        (
            "knn_transfer",
            {"predictions": [1], "references": [1], "K": 3},
            "no option K: .* ids, k, recipe, .* seed, ",
        ),
        ("knn_transfer", {"features": VALUES, "labels": LABELS, "seeds": 0}, "no option seeds: there are .*, seed,"),
        ("nsc_accuracy", {"features": VALUES, "treatment": LABELS}, "no option treatment: there are features, treatm"),
    ],
)
def test_calls_that_do_not_fit_are_refused(name, options, message, loaded):
    metric = loaded(name)
    with pytest.raises(InputError, match=message):
        metric.compute(**options)
