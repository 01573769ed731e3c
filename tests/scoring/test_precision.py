"""Mean average precision on hand-made wells whose answer can be spelled out, against copairs, and under no effect."""

import itertools

import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.scoring import precision
from cytoimagenet_hf.scoring.precision import replicate_precision, target_precision


def _plates(rng, *, strength):
    """Three plates of six controls and two treatments; each treatment has a direction of its own."""
    values, treatments, plates = [], [], []
    directions = {"strong": np.eye(8)[0], "weak": np.eye(8)[1] * 0}
    for plate in ("p1", "p2", "p3"):
        for name in ("control",) * 6 + ("strong", "weak"):
            values.append(strength * directions.get(name, np.zeros(8)) + rng.normal(0, 1, 8))
            treatments.append(name)
            plates.append(plate)
    treatments = np.array(treatments, object)
    return np.array(values), treatments, np.array(plates, object), treatments == "control"


def test_a_strong_treatment_ranks_its_replicates_first_and_no_effect_does_not():
    values, treatments, plates, controls = _plates(np.random.default_rng(1), strength=30.0)
    table = replicate_precision(
        values, treatments=treatments, plates=plates, controls=controls, seed=0, null_size=1000
    ).set_index("treatment")
    assert table.loc["strong", "mean_average_precision"] == pytest.approx(1.0)
    assert table.loc["strong", "corrected_p_value"] < 0.05
    assert table.loc["strong", ["null_size", "exact"]].tolist() == [7**3, True]
    assert table.loc["weak", "mean_average_precision"] < 0.9
    assert table["wells"].tolist() == [3, 3]


def test_average_precision_by_hand():
    # Query q1 on plate 1 has one replicate and two controls; a control is nearer, so the replicate ranks second: 1/2.
    values = np.array([[1.0, 0.0], [0.6, 0.8], [1.0, 0.1], [-1.0, 0.0], [0.0, -1.0], [0.1, -1.0]])
    treatments = np.array(["q", "q", "c", "c", "c", "c"], object)
    plates = np.array(["p1", "p2", "p1", "p1", "p2", "p2"], object)
    table = replicate_precision(
        values, treatments=treatments, plates=plates, controls=treatments == "c", seed=0, null_size=100
    )
    assert table["mean_average_precision"].tolist() == [pytest.approx((1 / 2 + 1) / 2)]


def test_replicates_need_two_plates_and_controls():
    values, treatments, plates, controls = _plates(np.random.default_rng(1), strength=1.0)
    with pytest.raises(InputError, match="no treatment is on two plates"):
        replicate_precision(values[:8], treatments=treatments[:8], plates=plates[:8], controls=controls[:8], seed=0)
    with pytest.raises(InputError, match="no control wells"):
        replicate_precision(values, treatments=treatments, plates=plates, controls=np.zeros(len(values), bool), seed=0)


def test_compounds_of_one_target_are_found():
    values = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, 0.3]], float)
    targets = np.array(["a", "a", "b", "b", "c"], object)
    table = target_precision(values, compounds=np.array(list("vwxyz"), object), targets=targets, seed=0, null_size=100)
    assert table.set_index("target")["mean_average_precision"].to_dict() == {"a": 1.0, "b": 1.0}
    with pytest.raises(InputError, match="two profiles"):
        target_precision(values, compounds=np.array(list("vvxyz"), object), targets=targets, seed=0)


def test_without_plates_replicates_on_one_plate_count():
    values = np.array([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0], [0.0, -1.0]])
    treatments = np.array(["q", "q", "c", "c"], object)
    table = replicate_precision(values, treatments=treatments, controls=treatments == "c", seed=0, null_size=100)
    assert table[["treatment", "mean_average_precision", "wells"]].to_numpy().tolist() == [["q", 1.0, 2]]
    with pytest.raises(InputError, match="no treatment has two wells"):
        replicate_precision(values[1:], treatments=treatments[1:], controls=treatments[1:] == "c", seed=0)


def _wells(rng, *, wells=120, width=6):
    """(values, treatments, plates, controls) without any effect."""
    treatments = np.array([f"t{number}" for number in rng.integers(0, 12, wells)], object)
    return rng.normal(size=(wells, width)), treatments, rng.choice(["a", "b", "c"], wells), rng.random(wells) < 0.3


def _by_copairs(values, treatments, plates, controls):
    """copairs' mean average precision; control wells are a treatment of their own on each plate."""
    average_precision = pytest.importorskip("copairs.map").average_precision
    place = np.full(len(values), "one") if plates is None else plates
    meta = pd.DataFrame({"treatment": np.where(controls, "control on " + place.astype(object), treatments)})
    meta = meta.assign(plate=place, is_control=controls)
    apart = [] if plates is None else ["plate"]
    table = average_precision(
        meta, values, ["treatment"], apart, apart, ["treatment", "is_control"], progress_bar=False
    )
    table = table[~table["is_control"] & table["average_precision"].notna()]
    return table.groupby("treatment")["average_precision"].mean()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_values_are_those_of_copairs(seed, apart, tied):
    rng = np.random.default_rng(seed)
    values, treatments, plates, controls = _wells(rng)
    if tied:  # few different profiles: many similarities are equal
        values = rng.integers(0, 3, values.shape) + 0.5
    plates = plates if apart else None
    table = replicate_precision(
        values, treatments=treatments, plates=plates, controls=controls, seed=0, null_size=20
    ).set_index("treatment")["mean_average_precision"]
    expected = _by_copairs(values, treatments, plates, controls)
    assert table.index.tolist() == expected.index.tolist()
    assert np.abs(table - expected).max() < 1e-12


@pytest.mark.parametrize("apart", [True, False])
def test_exact_p_values_are_those_of_every_relabelling(apart):
    rng = np.random.default_rng(7)
    values, treatments = rng.normal(size=(10, 4)), np.array((["q"] * 2 + ["c"] * 3) * 2, object)
    values[treatments == "q"] += [1.0, 0, 0, 0]
    plates, controls = np.repeat(["a", "b"], 5), treatments == "c"
    given = plates if apart else None
    options = {"plates": given, "seed": 0, "null_size": 10_000}
    table = replicate_precision(values, treatments=treatments, controls=controls, **options).iloc[0]
    choices = (
        [one + two for one, two in itertools.product(*(itertools.combinations(range(s, s + 5), 2) for s in (0, 5)))]
        if apart
        else list(itertools.combinations(range(10), 4))
    )
    null = []
    for rows in choices:
        names = np.full(10, "c", object)
        names[list(rows)] = "q"
        null.append(
            replicate_precision(values, treatments=names, controls=names == "c", plates=given, seed=0, null_size=2)[
                "mean_average_precision"
            ].iloc[0]
        )
    assert table["exact"]
    assert table["null_size"] == len(choices)
    assert table["p_value"] == pytest.approx(np.mean(np.array(null) >= table["mean_average_precision"] - 1e-12))


def _below(**options):
    """Part of p-values below 0.05 over 15 screens of 13 treatments that do nothing."""
    below = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        values, plates = rng.normal(size=(120, 60)), np.repeat(["a", "b"], 60)
        treatments, controls = np.array([f"t{n % 13}" for n in range(120)], object), np.tile(np.arange(60) < 8, 2)
        if options.get("on_controls"):
            for plate in ("a", "b"):
                on_plate = plates == plate
                rows = values[on_plate & controls]
                values[on_plate] = (values[on_plate] - rows.mean(axis=0)) / rows.std(axis=0)
        chosen = {name: value for name, value in options.items() if name != "on_controls"}
        table = replicate_precision(
            values, treatments=treatments, controls=controls, plates=plates, seed=seed, null_size=400, **chosen
        )
        below.append((table["p_value"] < 0.05).mean())
    return float(np.mean(below))


def test_five_in_a_hundred_without_effect_lie_below_five_per_cent():
    assert 0.02 < _below() < 0.08
    assert 0.02 < _below(across=False) < 0.08
    # Profiles scaled by few controls make treated wells alike; taking that out makes p hold again.
    assert _below(across=False, on_controls=True) > 0.3
    assert 0.02 < _below(across=False, on_controls=True, rescale=True) < 0.08
    assert 0.02 < _below(on_controls=True, rescale=True) < 0.08


def test_rescaling_undoes_any_scale_of_a_plate_and_leaves_constant_features_out():
    rng = np.random.default_rng(0)
    values, treatments, plates, controls = _wells(rng)
    options = {"treatments": treatments, "controls": controls, "plates": plates, "seed": 0, "null_size": 50}
    plain = replicate_precision(values, rescale=True, **options)
    moved = values.copy()
    for plate, (scale, shift) in {"a": (3.0, 100.0), "b": (0.1, -7.0), "c": (1.0, 0.0)}.items():
        moved[plates == plate] = moved[plates == plate] * scale + shift
    moved = np.hstack([moved, np.full((len(moved), 1), 0.1)])
    pd.testing.assert_frame_equal(plain, replicate_precision(moved, rescale=True, **options))


def test_some_of_many_controls_are_exchanged_and_all_are_ranked(monkeypatch):
    values, treatments, plates, controls = _wells(np.random.default_rng(3), wells=400)
    options = {"treatments": treatments, "controls": controls, "seed": 0, "null_size": 500}
    for given in (plates, None):
        whole = replicate_precision(values, plates=given, **options)
        monkeypatch.setattr(precision, "_EXCHANGED", 24)
        part = replicate_precision(values, plates=given, **options)
        monkeypatch.undo()
        assert part["mean_average_precision"].tolist() == whole["mean_average_precision"].tolist()
        assert 0 < np.abs(part["p_value"] - whole["p_value"]).max() < 0.3


def test_many_compounds_are_ranked_target_by_target(monkeypatch):
    rng = np.random.default_rng(0)
    values, compounds = rng.normal(size=(60, 5)), np.array([f"c{n}" for n in range(60)], object)
    targets = np.array([f"t{n % 20}" for n in range(60)], object)
    whole = target_precision(values, compounds=compounds, targets=targets, seed=0, null_size=300)
    monkeypatch.setattr(precision, "_WHOLE", 10)
    part = target_precision(values, compounds=compounds, targets=targets, seed=0, null_size=300)
    assert part["mean_average_precision"].tolist() == whole["mean_average_precision"].tolist()
    assert np.abs(part["p_value"] - whole["p_value"]).max() < 0.15


def test_a_plate_without_controls_has_no_queries():
    values = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.5]])
    treatments, controls = np.array(["q", "q", "c", "c"], object), np.array([False, False, True, True])
    plates = np.array(["a", "b", "a", "a"], object)
    options = {"treatments": treatments, "controls": controls, "seed": 0}
    assert replicate_precision(values, plates=plates, **options)["wells"].tolist() == [1]
    with pytest.raises(InputError, match="no control wells on the plates of the replicates"):
        replicate_precision(values, plates=np.array(["a", "b", "c", "c"], object), **options)


def test_values_that_are_not_finite_are_refused_and_zeros_are_not():
    values = np.array([[1.0, 0.0], [np.nan, 0.1], [0.0, 1.0], [-1.0, 0.5]])
    options = {"treatments": np.array(list("qqcc"), object), "controls": np.arange(4) > 1, "seed": 0}
    with pytest.raises(InputError, match="a finite matrix"):
        replicate_precision(values, **options)
    values[1] = 0
    assert replicate_precision(values, **options)["mean_average_precision"].between(0, 1).all()
