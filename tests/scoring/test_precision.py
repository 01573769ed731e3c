"""Mean average precision on hand-made wells whose answer can be spelled out."""

import numpy as np
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.scoring.precision import replicate_precision, target_precision

pytest.importorskip("copairs", reason="an extra: [profiles]")


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
    found = replicate_precision(
        values, treatments=treatments, plates=plates, controls=controls, seed=0, null_size=1000
    ).set_index("treatment")
    assert found.loc["strong", "mean_average_precision"] == pytest.approx(1.0)
    assert found.loc["strong", "corrected_p_value"] < 0.05
    assert found.loc["weak", "mean_average_precision"] < 0.9
    assert found["wells"].tolist() == [3, 3]


def test_average_precision_by_hand():
    # Query q1 on plate 1 has one replicate and two controls; a control is nearer, so the replicate ranks second: 1/2.
    values = np.array([[1.0, 0.0], [0.6, 0.8], [1.0, 0.1], [-1.0, 0.0], [0.0, -1.0], [0.1, -1.0]])
    treatments = np.array(["q", "q", "c", "c", "c", "c"], object)
    plates = np.array(["p1", "p2", "p1", "p1", "p2", "p2"], object)
    found = replicate_precision(
        values, treatments=treatments, plates=plates, controls=treatments == "c", seed=0, null_size=100
    )
    assert found["mean_average_precision"].tolist() == [pytest.approx((1 / 2 + 1) / 2)]


def test_replicates_need_two_plates_and_controls():
    values, treatments, plates, controls = _plates(np.random.default_rng(1), strength=1.0)
    with pytest.raises(InputError, match="no treatment is on two plates"):
        replicate_precision(values[:8], treatments=treatments[:8], plates=plates[:8], controls=controls[:8], seed=0)
    with pytest.raises(InputError, match="no control wells"):
        replicate_precision(values, treatments=treatments, plates=plates, controls=np.zeros(len(values), bool), seed=0)


def test_compounds_of_one_target_are_found():
    values = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, 0.3]], float)
    targets = np.array(["a", "a", "b", "b", "c"], object)
    found = target_precision(values, compounds=np.array(list("vwxyz"), object), targets=targets, seed=0, null_size=100)
    assert found.set_index("target")["mean_average_precision"].to_dict() == {"a": 1.0, "b": 1.0}
    with pytest.raises(InputError, match="two profiles"):
        target_precision(values, compounds=np.array(list("vvxyz"), object), targets=targets, seed=0)


def test_without_plates_replicates_on_one_plate_count():
    values = np.array([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0], [0.0, -1.0]])
    treatments = np.array(["q", "q", "c", "c"], object)
    found = replicate_precision(values, treatments=treatments, controls=treatments == "c", seed=0, null_size=100)
    assert found[["treatment", "mean_average_precision", "wells"]].to_numpy().tolist() == [["q", 1.0, 2]]
    with pytest.raises(InputError, match="no treatment has two wells"):
        replicate_precision(values[1:], treatments=treatments[1:], controls=treatments[1:] == "c", seed=0)
