"""The metric modules, loaded by path as a user would, offline: their documented examples are the test."""

import doctest

import evaluate
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.metrics import METRICS, metric_path


@pytest.fixture(scope="module", autouse=True)
def private_cache(tmp_path_factory):
    # One folder for all: Python imports the package of loaded modules once.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluate.config.HF_MODULES_CACHE", tmp_path_factory.mktemp("modules"))
        yield


@pytest.mark.parametrize("name", METRICS)
def test_documented_examples_run_and_hold(name, tmp_path):
    metric = evaluate.load(metric_path(name), cache_dir=str(tmp_path))
    examples = doctest.DocTestParser().get_doctest(
        metric.inputs_description, {"evaluate": evaluate, "metric_path": metric_path}, name, None, None
    )
    outcome = doctest.DocTestRunner().run(examples)
    assert outcome.attempted > 1
    assert outcome.failed == 0


@pytest.mark.parametrize("name", METRICS)
def test_folder_has_card_and_app(name):
    from pathlib import Path

    folder = Path(metric_path(name))
    card = (folder / "README.md").read_text()
    assert card.startswith("---\n")
    assert "app_file: app.py" in card
    assert (folder / "app.py").is_file()
    assert (folder / "requirements.txt").is_file()
    # One line that imports both breaks loading a local module.
    assert "import datasets, evaluate" not in (folder / f"{name}.py").read_text()


def test_groups_need_a_seed_and_change_the_interval(tmp_path):
    metric = evaluate.load(metric_path("knn_transfer"), cache_dir=str(tmp_path))
    inputs = {"predictions": [0] * 40, "references": [0] * 20 + [1] * 20}
    groups = ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["d"] * 10
    with pytest.raises(InputError, match="seed"):
        metric.compute(**inputs, groups=groups)
    found = metric.compute(**inputs, groups=groups, seed=1)
    assert found["cluster"][1] - found["cluster"][0] > found["wald"][1] - found["wald"][0]
    assert found["per_class"] == {0: 1.0, 1: 0.0}


def test_nsc_refuses_neighbours_of_the_same_compound(tmp_path):
    metric = evaluate.load(metric_path("nsc_accuracy"), cache_dir=str(tmp_path))
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
def test_labels_are_never_cut(name, predictions, references, message, tmp_path):
    metric = evaluate.load(metric_path(name), cache_dir=str(tmp_path))
    extra = {"compounds": ["a"] * len(references)} if name == "nsc_accuracy" else {}
    with pytest.raises(InputError, match=message):
        metric.compute(predictions=predictions, references=references, **extra)
    with pytest.raises(InputError, match=message):
        metric.add_batch(predictions=predictions, references=references)


@pytest.mark.parametrize("name", METRICS)
def test_single_labels_are_checked_too(name, tmp_path):
    metric = evaluate.load(metric_path(name), cache_dir=str(tmp_path))
    with pytest.raises(InputError, match=r"predictions\[0\] is 1.5"):
        metric.add(prediction=1.5, reference=1)


def test_names_of_groups_and_compounds_must_fit(tmp_path):
    inputs = {"predictions": ["x", "y"], "references": ["x", "y"]}
    knn = evaluate.load(metric_path("knn_transfer"), cache_dir=str(tmp_path))
    with pytest.raises(InputError, match="1 groups for 2"):
        knn.compute(**inputs, groups=["a"], seed=0)
    nsc = evaluate.load(metric_path("nsc_accuracy"), cache_dir=str(tmp_path))
    with pytest.raises(InputError, match="3 compounds for 2"):
        nsc.compute(**inputs, compounds=["a", "b", "c"])
    with pytest.raises(InputError, match=r"neighbour_compounds\[1\] is missing"):
        nsc.compute(**inputs, compounds=["a", "b"], neighbour_compounds=["b", None])
