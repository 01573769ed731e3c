"""Post-processing of screens: what it takes out, what it needs, several in one run."""

import numpy as np
import pytest

from cytoimagenet_hf.benchmarks import RECIPES
from cytoimagenet_hf.benchmarks.base import labelled
from cytoimagenet_hf.benchmarks.postprocess import STEPS, postprocessed, principal
from cytoimagenet_hf.benchmarks.suite import run_suite
from cytoimagenet_hf.benchmarks.tasks.bbbc021 import BBBC021
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import make_table, write_features


def _plates(*, controls=8, seed=0, width=4):
    """Two plates far apart; two compounds that move one feature each, the same way on both plates."""
    rng = np.random.default_rng(seed)
    items, values = [], []
    for plate, offset in (("p1", 0.0), ("p2", 500.0)):
        for number in range(controls + 4):
            compound = "DMSO" if number < controls else "ab"[number % 2]
            effect = np.eye(width)["ab".index(compound)] * 8 if compound != "DMSO" else 0.0
            name = f"{plate}/{number}"
            facts = {"plate": plate, "compound": compound}
            items.append(labelled(name, (), compound, facts=facts))
            values.append(offset + effect + rng.normal(0, 1, width))
    return items, make_table([item.id for item in items], np.array(values))


@pytest.mark.parametrize("name", list(STEPS))
def test_every_step_takes_the_plate_out_and_keeps_the_compound(name):
    items, table = _plates()
    scaled = postprocessed(name, table, items, BBBC021)
    compounds = np.array([item.metadata["compound"] for item in items])
    plates = np.array([item.metadata["plate"] for item in items])
    mean = {
        (compound, plate): scaled.values[(compounds == compound) & (plates == plate)].mean(axis=0)
        for compound in ("a", "b", "DMSO")
        for plate in ("p1", "p2")
    }
    same = np.linalg.norm(mean["a", "p1"] - mean["a", "p2"])
    other = np.linalg.norm(mean["a", "p1"] - mean["b", "p2"])
    assert same < 0.5 * other
    assert scaled.ids.tolist() == table.ids.tolist()
    assert scaled.about["steps"]


def test_components_of_marked_rows_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    table = make_table([str(n) for n in range(9)], rng.normal(size=(9, 5)))
    marks = np.arange(9) < 6
    components = principal(table, marks, most=3)
    fitted = PCA(3, svd_solver="full").fit(table.values[marks])
    np.testing.assert_allclose(np.abs(components.values), np.abs(fitted.transform(table.values)), atol=1e-5)


def test_too_few_controls_are_refused():
    items, table = _plates(controls=1)
    with pytest.raises(InputError, match="fewer than 2 control wells"):
        postprocessed("controls", table, items, BBBC021)
    with pytest.raises(InputError, match="fewer than 3 control wells"):
        postprocessed("tvn", table, items, BBBC021)


@pytest.mark.parametrize(
    ("steps", "message"),
    [(("tvn",), "cyclops has no control wells"), (("pcs",), "choose of none, controls"), (("none",) * 2, "each once")],
)
def test_steps_that_a_task_cannot_take_are_refused(record_of, steps, message):
    with pytest.raises(InputError, match=message):
        record_of("cyclops", models=("random:0",), postprocess=steps)


def test_several_in_one_run_are_several_rows_and_the_config_names_them(suite_of, class_features, tmp_path):
    tables = [class_features(task, noise=0.2) for task in ("bbbc021", "cyclops")]
    ids, values = ([row for table in tables for row in getattr(table, part)] for part in ("ids", "values"))
    write_features(make_table(ids, np.array(values)), tmp_path / "net.parquet")
    options = {"features": (tmp_path / "net.parquet",), "recipe": RECIPES["published"]}
    lines = []
    suite = suite_of("bbbc021", "cyclops", postprocess=("none", "controls"), **options)
    record = run_suite(suite, report=lines.append).record
    assert [(score.entry, score.set) for score in record.scores] == [
        ("net", "bbbc021"),
        ("net [controls]", "bbbc021"),
        ("net", "cyclops"),
    ]
    assert record.config["postprocess"] == ["none", "controls"]
    assert [score.details.get("postprocess") for score in record.scores] == ["none", "controls", None]
    assert record.scores[0].details["scaler"] == "all"
    assert record.scores[1].details["scaler"] == "none"
    assert any("cyclops has no control wells" in line for line in lines)
    pair = next(pair for pair in record.comparisons if pair.set == "bbbc021")
    assert {pair.first, pair.second} == {"net", "net [controls]"}
