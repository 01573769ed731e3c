"""What one treatment is, and what is judged apart: each column that can split equal wells, by hand."""

import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.options.profile import ProfilePlan
from cytoimagenet_hf.profiles.conditions import groups_of
from cytoimagenet_hf.profiles.plan import make_profiles
from cytoimagenet_hf.tables import make_table

WELLS = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 13)]
HALF = ["one"] * 24 + ["two"] * 24


def plate(**columns):
    """8 negative controls, 4 positive ones and 36 treated wells at four doses; the last two rows are as the first."""
    place = np.arange(48) % 24
    facts = pd.DataFrame({"plate": "p", "well": WELLS})
    facts["role"] = np.where(place < 4, "negcon", np.where(place < 8, "poscon", "trt"))
    facts["compound"] = np.where(place < 4, "DMSO", np.where(place < 8, "toxin", "drug"))
    facts["dose_uM"] = np.where(place < 4, 0.0, np.where(place < 8, 10.0, [1.0, 2.0, 4.0, 8.0] * 12))
    values = derive_rng(0, "conditions").normal(size=(48, 3)) + 3 * (place >= 4)[:, None]
    return make_table(WELLS, values, facts.assign(**columns))


def test_without_further_columns_compound_and_dose_are_the_treatment():
    facts = make_profiles(plate(), ProfilePlan()).facts
    assert facts.conditions.equal_in == ("compound", "dose_uM")
    assert facts.conditions.settings == facts.conditions.parts == facts.conditions.pooled == ()
    assert sorted(set(facts.treatment)) == [
        *("drug 1 µM", "drug 2 µM", "drug 4 µM", "drug 8 µM", "negative control", "toxin 10 µM"),
    ]


@pytest.mark.parametrize("column", ["cell_line", "Cell line", "Metadata_cell_type", "time_h", "Timepoint", "solvent"])
def test_a_column_in_which_negative_controls_differ_is_judged_apart(column):
    values = HALF if "ime" not in column else [24] * 24 + [48] * 24
    profiles = make_profiles(plate(**{column: values}), ProfilePlan(normalize="standardize"))
    assert profiles.facts.conditions.settings == (column,)
    assert [(one.setting, one.negatives, one.positives) for one in profiles.screen.separations] == [
        (f"{column} {values[0]}", 4, 4),
        (f"{column} {values[-1]}", 4, 4),
    ]
    assert [one.wells for one in profiles.screen.responses] == [16, 16]
    assert column in profiles.facts.conditions.equal_in
    assert any(f"judged apart by {column}" in note for note in profiles.facts.notes)


@pytest.mark.parametrize("column", ["compound2", "Drug 2", "gene", "sirna", "cell_line"])
def test_a_column_that_splits_treated_wells_alone_is_a_part_of_the_treatment(column):
    second = np.where(np.arange(48) % 24 < 8, "", ["one"] * 24 + ["two"] * 24)
    profiles = make_profiles(plate(**{column: second}), ProfilePlan())
    assert profiles.facts.conditions.parts == (column,)
    assert [one.negatives for one in profiles.screen.separations] == [8]
    assert [one.wells for one in profiles.screen.responses] == [16, 16]
    assert all("one" in first or "two" in first for first in (one.compound for one in profiles.screen.responses))


def test_a_second_dose_is_a_part_and_an_annotation_of_the_compound_is_not():
    kept = np.where(np.arange(48) % 24 < 8, "", "helper")
    profiles = make_profiles(
        plate(compound2=kept, dose2=np.where(kept == "", np.nan, [1.0] * 24 + [5.0] * 24), gene=kept), ProfilePlan()
    )
    assert profiles.facts.conditions.parts == ("dose2",)
    assert len(profiles.screen.responses) == 2
    moa = make_profiles(plate(moa=HALF, batch=HALF), ProfilePlan()).facts.conditions
    assert moa.parts == moa.settings == moa.pooled == ()


def test_columns_that_nobody_knows_are_named_where_they_split_equal_wells():
    columns = {f"x{number}": "same" for number in range(12)} | {"serum": HALF}
    facts = make_profiles(plate(**columns), ProfilePlan()).facts
    assert facts.conditions.pooled == ("serum",)
    assert any("serum (2 values)" in note for note in facts.notes)


def test_the_caller_says_what_one_treatment_is():
    second = np.where(np.arange(48) % 24 < 8, "", HALF)
    profiles = make_profiles(plate(compound2=second, gene=second), ProfilePlan(treatment="compound,compound2"))
    assert profiles.facts.conditions.equal_in == ("compound", "compound2")
    assert sorted(set(profiles.facts.treatment)) == ["drug + one", "drug + two", "negative control", "toxin"]
    assert any("differ in dose_uM, and count as equal" in note for note in profiles.facts.notes)
    pooled = make_profiles(plate(compound2=second), ProfilePlan(treatment="Metadata_Compound, dose"))
    assert [one.wells for one in pooled.screen.responses] == [32]
    with pytest.raises(InputError, match="no column 'drug3'"):
        make_profiles(plate(), ProfilePlan(treatment="compound,drug3"))
    with pytest.raises(InputError, match="names no columns"):
        make_profiles(plate(), ProfilePlan(treatment=","))


def test_controls_without_a_setting_serve_every_setting_of_their_plate():
    lines = np.where(np.arange(48) % 24 < 8, None, HALF)
    lines[:2], lines[24:26] = "one", "two"  # some controls say theirs
    screen = make_profiles(plate(cell_line=lines), ProfilePlan()).screen
    assert [(one.setting, one.negatives, one.positives) for one in screen.separations] == [
        ("cell_line one", 6, 8),
        ("cell_line two", 6, 8),
    ]
    marks = np.array(["a", "b", "", ""], object)
    role = np.array(["treatment", "treatment", "negative", "treatment"], object)
    found = [(kept, rows.tolist()) for _, kept, rows in groups_of(["p"] * 4, marks, role)]
    assert found == [("a", [0, 2]), ("b", [1, 2]), ("", [2, 3])]


def test_time_points_are_normalised_apart_where_each_has_wells_to_be_normalised_on():
    pytest.importorskip("pycytominer")
    plan = {"normalize": "standardize", "on": "controls"}
    table = plate(time_h=[24] * 24 + [48] * 24)
    shifted = make_table(table.ids, table.values + np.repeat([0.0, 50.0], 24)[:, None], table.metadata)
    apart = make_profiles(shifted, ProfilePlan(**plan))
    assert np.abs(apart.table.values[apart.facts.negative].reshape(2, 4, 3).mean(axis=1)).max() < 1e-9
    assert apart.table.about["steps"][-1]["by"] == ["plate", "time_h"]
    together = make_profiles(shifted, ProfilePlan(**plan, by="plate"))
    assert any("--by plate,time_h normalises these apart" in note for note in together.facts.notes)
    few = make_profiles(
        make_table(table.ids, table.values, table.metadata.assign(time_h=[24] * 47 + [48])), ProfilePlan(**plan)
    )
    assert few.table.about["steps"][-1]["by"] == ["plate"]
    assert any("differ in time_h on one scale" in note for note in few.facts.notes)


def test_batches_go_by_what_columns_say():
    pytest.importorskip("pycytominer")
    table = plate(**{"Cell line": HALF})
    made = make_profiles(table, ProfilePlan(normalize="standardize", by="Metadata_Plate,cell_line"))
    assert made.table.about["steps"][-1]["by"] == ["plate", "Cell line"]
    assert not any("--by" in note for note in made.facts.notes)
    with pytest.raises(InputError, match="no column 'line'"):
        make_profiles(table, ProfilePlan(normalize="standardize", by="plate,line"))
