"""Regression on nuisances: what is taken away, and that held-out rows have no part in it."""

import numpy as np

from cytoimagenet_hf.scoring.nuisances import predict_in_folds, without_nuisances


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
