"""The ladder on drawn cells whose number, brightness or shape is the class; the regression on nuisances."""

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.benchmarks import RECIPES
from cytoimagenet_hf.benchmarks.figures import nuisance_ladder
from cytoimagenet_hf.benchmarks.nuisances import ALL, nuisance_tables, predict_in_folds, without_nuisances
from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
from cytoimagenet_hf.benchmarks.table import result_tables
from cytoimagenet_hf.benchmarks.tasks.folder import configured
from cytoimagenet_hf.scoring.results import from_json
from cytoimagenet_hf.tables import make_table, write_features


def drawn(root, *, wells: bool):
    """Classes "few" and "many" by the number of cells, on six plates; "many" lie in column 2."""
    rng = np.random.default_rng(0)
    rows = ["file_name,plate" + (",well" if wells else "")]
    for name, cells in (("few", 2), ("many", 8)):
        (root / name).mkdir(parents=True)
        for number in range(24):
            pixels = rng.normal(300, 10, (64, 64))
            for place in rng.permutation(16)[:cells]:
                top, left = 16 * (place // 4) + 4, 16 * (place % 4) + 4
                pixels[top : top + 8, left : left + 8] += 1000
            tifffile.imwrite(root / name / f"{number}.tif", pixels.clip(0).astype(np.uint16))
            well = f",{'ABCDEFGH'[number % 8]}{2 if name == 'many' else 11}" if wells else ""
            rows.append(f"{name}/{number}.tif,p{number % 6}{well}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root


def test_nuisances_are_what_they_are_called(tmp_path) -> None:
    items = configured().load(drawn(tmp_path / "cells", wells=True), RECIPES["corrected"])
    tables = nuisance_tables(items)
    counts = {name: 2 if name == "few" else 8 for name in ("few", "many")}
    assert tables["cell count"].values[:, 0].tolist() == [counts[item.metadata["label"]] for item in items]
    first = items[0]
    assert (first.id, first.metadata["well"]) == ("few/0.tif", "A11")
    assert tables["position"].values[0].tolist() == [1, 11, 0]  # on the rim of a plate of 96
    pixels = first.read()[0].astype(float)
    np.testing.assert_allclose(tables["intensity"].values[0], [pixels.mean(), pixels.std()], rtol=1e-6)
    mean, deviation, low, middle, high = tables["background"].values[0]
    assert 297 < low < middle < high < 330 or low < 300 < high
    assert abs(mean - 300) < 3
    assert 8 < deviation < 12  # no cell is in it


def test_a_score_that_is_the_number_of_cells_is_lost_without_it(tmp_path) -> None:
    root = drawn(tmp_path / "cells", wells=False)
    items = configured().load(root, RECIPES["corrected"])
    rng = np.random.default_rng(1)
    count = np.array([item.metadata["label"] == "many" for item in items], float)
    write_features(
        make_table([item.id for item in items], np.stack([count, *rng.normal(size=(2, len(items)))], axis=1)),
        tmp_path / "counting.parquet",
    )
    lines: list[str] = []
    suite = Suite(tasks=((configured(name="cells"), root),), features=(tmp_path / "counting.parquet",), nuisances=True)
    record = run_suite(suite, report=lines.append).record
    steps = {(step.model, step.step): step for step in record.ladder}
    assert list(dict.fromkeys(step.step for step in record.ladder)) == [
        *("largest class", "cell count", "intensity", "background", ALL, "features", "features without nuisances")
    ]
    assert steps["", "largest class"].value == 0.5
    assert steps["", "cell count"].value == 1
    whole, left = steps["counting", "features"], steps["counting", "features without nuisances"]
    assert whole.value > 0.9
    assert left.value < whole.value - 0.2
    assert left.change.difference == pytest.approx(left.value - whole.value)
    assert left.change.groups == 6
    assert any("position on the plate is not a nuisance" in line for line in lines)
    assert from_json(record.to_json()) == record
    assert next(table for table in result_tables(record) if table.title == "Nuisances, %").rows
    assert len(nuisance_ladder(record, "cells").axes[0].get_yticks()) == len(record.ladder)


def test_treatments_are_described_by_their_own_mean_and_profiles_have_none(record_of, feature_file) -> None:
    record = record_of("bbbc021", features=(feature_file("net", "bbbc021"),), nuisances=True)
    treatments = next(score.n for score in record.scores if score.set == "bbbc021")
    assert {step.n for step in record.ladder} == {treatments}
    assert "position" in [step.step for step in record.ladder]
    assert all(step.protocol.startswith("1-NN among the other compounds") for step in record.ladder)


def test_one_group_gives_no_ladder_and_says_so(tmp_path) -> None:
    root = drawn(tmp_path / "cells", wells=False)
    (root / "metadata.csv").unlink()
    items = configured().load(root, RECIPES["corrected"])
    write_features(make_table([item.id for item in items], np.eye(len(items))), tmp_path / "net.parquet")
    record = run_suite(
        Suite(tasks=((configured(), root),), features=(tmp_path / "net.parquet",), nuisances=True)
    ).record
    assert record.ladder[0].protocol.startswith("11-NN among the other images")


def test_what_a_nuisance_explains_goes_and_the_rest_stays() -> None:
    rng = np.random.default_rng(0)
    nuisances = rng.normal(5, 3, (400, 2))
    rest = rng.normal(size=(400, 3))
    values = rest + nuisances @ rng.normal(size=(2, 3)) * 10
    train, test = values[:300], values[300:]
    _, left = without_nuisances(train, test, nuisances[:300], nuisances[300:])
    for column in range(3):
        assert np.corrcoef(left[:, column], rest[300:, column])[0, 1] > 0.95
        by_chance = np.corrcoef(rest[300:, column], nuisances[300:, 0])[0, 1]
        assert abs(np.corrcoef(left[:, column], nuisances[300:, 0])[0, 1] - by_chance) < 0.2


def test_it_is_a_regression_by_least_squares() -> None:
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(1)
    nuisances, values = rng.normal(4, 9, size=(20, 3)), rng.normal(size=(20, 4))
    fitted = LinearRegression().fit(nuisances[:12], values[:12])
    expected = values - fitted.predict(nuisances) + values[:12].mean(axis=0)
    residuals = without_nuisances(values[:12], values[12:], nuisances[:12], nuisances[12:])
    np.testing.assert_allclose(np.concatenate(residuals), expected, atol=1e-10)


def test_held_out_rows_change_nothing_of_the_fit() -> None:
    rng = np.random.default_rng(2)
    train, nuisances = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    one, _ = without_nuisances(train, np.zeros((1, 4)), nuisances, np.zeros((1, 2)))
    other, _ = without_nuisances(train, np.full((1, 4), 1e6), nuisances, np.full((1, 2), -1e6))
    assert np.array_equal(one, other)


def test_what_nuisances_explain_whole_does_not_come_back_enlarged() -> None:
    count = np.tile([2.0, 8.0], 30)[:, None]
    rows = np.arange(60)
    folds = [(rows[rows % 5 != fold], rows[rows % 5 == fold]) for fold in range(5)]
    for values in (3 * count + 1, np.concatenate([count, np.random.default_rng(5).normal(size=(60, 2))], axis=1)):
        predictions = predict_in_folds(values, count[:, 0], folds, k=11, nuisances=count)
        assert (predictions == count[:, 0]).mean() < 0.75


def test_more_nuisances_than_rows_and_constant_ones_are_borne() -> None:
    rng = np.random.default_rng(3)
    wide = np.concatenate([rng.normal(size=(6, 20)), np.full((6, 1), 7.0)], axis=1)
    left, asked = without_nuisances(rng.normal(size=(5, 2)), rng.normal(size=(1, 2)), wide[:5], wide[5:])
    assert np.isfinite(left).all()
    assert np.isfinite(asked).all()


def test_a_label_that_is_a_nuisance_is_lost_and_another_one_is_kept() -> None:
    rng = np.random.default_rng(4)
    count = rng.integers(0, 2, 200)
    shape = rng.integers(0, 2, 200)
    values = np.stack([count + 0.1 * rng.normal(size=200), shape + 0.1 * rng.normal(size=200)], axis=1)
    nuisances = count[:, None] + 0.02 * rng.normal(size=(200, 1))
    rows = np.arange(200)
    folds = [(rows[rows % 5 != fold], rows[rows % 5 == fold]) for fold in range(5)]
    for truth, kept in ((count, False), (shape, True)):
        before = predict_in_folds(values, truth, folds, k=5)
        after = predict_in_folds(values, truth, folds, k=5, nuisances=nuisances)
        assert (before == truth).mean() > 0.95
        assert ((after == truth).mean() > 0.9) == kept


def test_rows_that_no_fold_predicts_have_no_prediction() -> None:
    values, labels = np.array([[0.0], [1.0], [0.1]]), np.array(["a", "b", "a"], dtype=object)
    predictions = predict_in_folds(values, labels, [(np.array([0, 1]), np.array([2]))], k=1)
    assert predictions.tolist() == [None, None, "a"]
