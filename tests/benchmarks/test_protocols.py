"""The kNN protocols with answers by hand, under both recipes."""

from dataclasses import replace

import numpy as np
import pytest

from cytoimagenet_hf.benchmarks import RECIPES, load_recipe
from cytoimagenet_hf.benchmarks.protocols import predict_leave_group_out, predict_leave_one_out, predict_transfer
from cytoimagenet_hf.benchmarks.scaling import standardise, standardise_by_controls
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.profiles.shrinkage import standardise_by_shrunk_controls

PUBLISHED, CORRECTED = RECIPES["published"], RECIPES["corrected"]
UNSCALED = {name: replace(recipe, leave_one_out_scaler="none") for name, recipe in RECIPES.items()}


def names(*letters):
    return np.array(letters, dtype=object)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_transfer_votes_among_training_neighbours(recipe):
    train, labels = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]]), names("a", "a", "b", "b", "b")
    test = np.array([[0.4], [10.4]])
    assert predict_transfer(train, labels, test, names("a", "b"), recipe=recipe, k=3).tolist() == ["a", "b"]


def test_transfer_scales_by_training_rows_alone():
    # Unscaled, the second feature decides; scaled by train, where its spread is large, the first does.
    train = np.array([[0.0, -50.0], [1.0, 50.0]])
    labels, test = names("a", "b"), np.array([[0.1, 30.0]])
    assert predict_transfer(train, labels, test, names("a"), recipe=CORRECTED, k=1).tolist() == ["a"]
    bare = replace(CORRECTED, transfer_scaler="none")
    assert predict_transfer(train, labels, test, names("a"), recipe=bare, k=1).tolist() == ["b"]


def test_transfer_refuses_labels_unseen_in_training_and_large_k():
    train, labels = np.zeros((2, 1)), names("a", "b")
    with pytest.raises(InputError, match=r"\['c'\]"):
        predict_transfer(train, labels, train, names("a", "c"), recipe=CORRECTED)
    with pytest.raises(InputError, match="k = 11"):
        predict_transfer(train, labels, train, labels, recipe=CORRECTED)


def test_leave_one_out_published_lets_a_duplicate_pass_for_the_query():
    # Two identical cells with different labels: the second finds the first at rank 0, which is dropped, then itself.
    values = np.array([[0.0], [0.0], [9.0], [9.5]])
    labels, ids = names("a", "b", "c", "c"), names("1", "2", "3", "4")
    predictions = {
        name: predict_leave_one_out(values, labels, ids, recipe=recipe, seed=0, k=1).tolist()
        for name, recipe in UNSCALED.items()
    }
    assert predictions["published"] == ["b", "b", "c", "c"]  # row 1 is right by voting for itself
    assert predictions["corrected"] == ["b", "a", "c", "c"]


def test_leave_one_out_vote_rules():
    values = np.array([[0.0], [1.0], [2.1], [3.3], [4.6]])
    labels, ids = names("x", "b", "b", "a", "a"), names(*"12345")
    predictions = predict_leave_one_out(values, labels, ids, recipe=UNSCALED["corrected"], seed=0, k=4)
    # The first sees b, b, a, a: a tie, and the smaller label wins.
    assert predictions[0] == "a"
    with pytest.raises(InputError, match="k = 5"):
        predict_leave_one_out(values, labels, ids, recipe=UNSCALED["published"], seed=0, k=5)


def test_scaler_other_keeps_the_query_out_of_its_own_scale():
    rng = np.random.default_rng(0)
    values, ids = rng.normal(size=(40, 3)), np.array([f"i{n:02d}" for n in range(40)], dtype=object)
    labels = np.array(list("ab") * 20, dtype=object)
    other = predict_leave_one_out(values, labels, ids, recipe=CORRECTED, seed=1, k=3)
    again = predict_leave_one_out(values, labels, ids, recipe=CORRECTED, seed=1, k=3)
    assert (other == again).all()
    # Order of rows does not matter: folds are drawn over ids.
    order = rng.permutation(40)
    shuffled = predict_leave_one_out(values[order], labels[order], ids[order], recipe=CORRECTED, seed=1, k=3)
    assert (shuffled == other[order]).all()


def test_leave_group_out_never_looks_inside_the_group():
    values = np.array([[0.0], [0.1], [5.0], [5.1]])
    labels, plates = names("a", "b", "a", "b"), names("p", "p", "q", "q")
    predictions = predict_leave_group_out(values, labels, plates, recipe=UNSCALED["corrected"], k=1)
    assert predictions.tolist() == ["a", "a", "b", "b"]
    with pytest.raises(InputError, match="only one group"):
        predict_leave_group_out(values, labels, names(*"pppp"), recipe=CORRECTED)


def test_controls_scale_each_plate_by_its_own():
    values = np.array([[0.0], [2.0], [5.0], [10.0], [14.0], [20.0]])
    plates, controls = names(*"pppqqq"), [True, True, False, True, True, False]
    scaled = standardise_by_controls(values, plates=plates, controls=controls)
    assert scaled.ravel().tolist() == [-1, 1, 4, -1, 1, 4]
    with pytest.raises(InputError, match="plate 'q' has 1 control"):
        standardise_by_controls(values, plates=plates, controls=[True, True, False, True, False, False])


def test_few_controls_do_not_pass_their_noise_on_to_the_plate():
    rng = np.random.default_rng(0)
    plates = np.repeat(np.arange(12), 18)
    controls = np.tile(np.arange(18) < 3, 12)
    values = rng.normal(size=(216, 40))  # no plate differs from another
    exact = standardise_by_controls(values, plates=plates, controls=controls)
    steady = standardise_by_shrunk_controls(values, plates=plates, controls=controls)
    spread = {
        name: np.array([scaled[(plates == plate) & ~controls].mean(0) for plate in range(12)]).var()
        for name, scaled in (("exact", exact), ("steady", steady))
    }
    assert spread["steady"] < 0.5  # the means of 15 rows alone vary by 0.07
    assert spread["exact"] > 10 * spread["steady"]


def test_many_controls_take_a_real_plate_effect_away():
    rng = np.random.default_rng(1)
    plates = np.repeat(np.arange(6), 60)
    controls = np.tile(np.arange(60) < 40, 6)
    values = rng.normal(size=(360, 10)) + 5 * rng.normal(size=(6, 10))[plates]
    steady = standardise_by_shrunk_controls(values, plates=plates, controls=controls)
    means = np.array([steady[(plates == plate) & ~controls].mean(0) for plate in range(6)])
    assert np.abs(means).max() < 1.0
    assert steady[controls].std() == pytest.approx(1, abs=0.1)
    with pytest.raises(InputError, match="plate '3' has no control"):
        standardise_by_shrunk_controls(values, plates=plates, controls=controls & (plates != 3))
    with pytest.raises(InputError, match="no plate has two"):
        standardise_by_shrunk_controls(values[::60], plates=plates[::60], controls=[True] * 6)


def test_constant_features_become_zero_not_infinite():
    assert standardise(np.full((3, 1), 7.0)).tolist() == [[0], [0], [0]]


def test_recipes_differ_where_the_facts_say():
    assert (PUBLISHED.folder_labels, CORRECTED.folder_labels) == ("shifted", "own")  # E1
    assert (PUBLISHED.fusion_join, CORRECTED.fusion_join) == ("position", "id")  # E2
    assert (PUBLISHED.nsc_scaler, CORRECTED.nsc_scaler) == ("all", "controls-shrunk")  # E3
    assert (PUBLISHED.leave_out, CORRECTED.leave_out) == ("first", "id")  # E4
    assert load_recipe("published", scaler="none").leave_one_out_scaler == "none"
    with pytest.raises(InputError, match="unknown recipe"):
        load_recipe("mine")
    with pytest.raises(InputError, match="unknown scaler"):
        load_recipe("published", scaler="robust")


def test_a_feature_that_is_dead_but_for_rounding_does_not_outweigh_the_others():
    train = np.array([[0.0, 1e-22], [1.0, 0.0], [2.0, 2e-22]])
    test = np.array([[1.0, 1e3]])
    assert standardise(test, fitted_on=train).tolist() == [[0.0, 0.0]]
    both = np.concatenate([train, test])
    assert standardise(both, fitted_on=train)[:, 1].tolist() == [0.0, 0.0, 0.0, 0.0]
