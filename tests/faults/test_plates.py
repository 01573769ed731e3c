"""Tables of plates as laboratories hold them: read with the right values, or refused in one line with the place."""

import json
import unicodedata

import numpy as np
import pandas as pd
import pytest

from tests.running import call, refused

WELLS = [f"{row}{column:02d}" for row in "AB" for column in range(1, 4)]
COMPOUNDS = ["DMSO", "DMSO", "00123", "00123", "123", "123"]


def features(folder, plate="0012", spelled=str, **columns):
    values = np.random.default_rng(0).normal(size=(len(WELLS), 3)).round(3)
    table = pd.DataFrame({"Metadata_Plate": plate, "Metadata_Well": [spelled(well) for well in WELLS]})
    for place in range(3):
        table[f"Cells_Feature_{place}"] = values[:, place]
    path = folder / "features.csv"
    table.assign(**columns).to_csv(path, index=False)
    return path


def profiled(folder, content, *more, name="map.csv", **options):
    """What `profile` reads of a plate map: the record and the table that it wrote."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    output = folder / "wells.parquet"
    given = features(folder, **options)
    outcome = call("cytoimagenet", "profile", given, "--metadata", path, "--output", output, "--json", *more)
    assert outcome.code == 0, outcome.said
    return json.loads(outcome.shown), pd.read_parquet(output).set_index("Metadata_Well").loc[WELLS]


def rows(header, cells, separator=","):
    return "\n".join(separator.join(row) for row in [header, *zip(*cells, strict=True)]) + "\n"


DOSES = ["0", "0", "0.3", "1", "0.3", "1"]


@pytest.mark.parametrize(
    ("header", "unit"),
    [("Conc. [µM]", "µM"), ("dose_pM", "pM"), ("Dose_ug_ml", "µg/mL"), ("Final conc (mM)", "mM"), ("dose_M", "M")],
)
def test_compounds_are_text_and_doses_have_units(header, unit, tmp_path):
    record, table = profiled(tmp_path, rows(["Well", "Drug name", header], [WELLS, COMPOUNDS, DOSES]))
    assert table["Metadata_Plate"].tolist() == ["0012"] * 6
    assert table["Metadata_Drug name"].tolist() == COMPOUNDS
    assert table[f"Metadata_{header}"].tolist() == [float(dose) for dose in DOSES]
    assert record["columns"] == {"compound": "Drug name", "dose": header}
    assert record["columns_not_used"] == []
    assert record["screen"]["dose_unit"] == unit
    assert record["roles"] == {"negative": 2, "treatment": 4}


def test_what_was_not_used_is_said_and_can_be_named(tmp_path):
    text = rows(["well", "stuff", "Amount"], [WELLS, COMPOUNDS, DOSES])
    record, table = profiled(tmp_path, text)
    assert record["columns_not_used"] == ["stuff", "Amount"]
    assert any("stuff (3 values), Amount (3 values)" in note for note in record["notes"])
    assert table["Metadata_Amount"].tolist() == DOSES
    named = ("--compound-column", "stuff", "--dose-column", "Amount", "--dose-unit", "uM")
    record, _ = profiled(tmp_path, text, *named)
    assert record["columns"] == {"compound": "stuff", "dose": "Amount"}
    assert record["screen"]["dose_unit"] == "µM"


@pytest.mark.parametrize(
    "spelled", [str.lower, lambda well: f"{well[0]} {well[1:]}", lambda well: well.replace("0", "")]
)
def test_wells_are_spelled_one_way(spelled, tmp_path):
    _, table = profiled(tmp_path, rows(["well", "compound"], [WELLS, COMPOUNDS]), spelled=spelled)
    assert table["Metadata_compound"].tolist() == COMPOUNDS


def test_a_layout_of_another_spreadsheet(tmp_path):
    text = "compound;1;2;3\nA;DMSO;DMSO;00123\nB;00123;123;123\n\nConc. (µM);1;2;3\nA;0;0;0,3\nB;1,0;0,3;1\n"
    record, table = profiled(tmp_path, text.encode("cp1252"), "--encoding", "cp1252")
    assert table["Metadata_compound"].tolist() == COMPOUNDS
    assert table["Metadata_Conc. (µM)"].tolist() == [0, 0, 0.3, 1, 0.3, 1]
    assert record["screen"]["dose_unit"] == "µM"


def test_names_in_both_forms_of_unicode_are_one(tmp_path):
    mac, typed = (unicodedata.normalize(form, "Zellen ü") for form in ("NFD", "NFC"))
    text = rows(["plate", "well", "compound"], [[typed] * 6, WELLS, COMPOUNDS])
    _, table = profiled(tmp_path, text, plate=mac)
    assert table["Metadata_compound"].tolist() == COMPOUNDS


MAPS = {
    "another plate": (rows(["plate", "well"], [["12"] * 6, WELLS]), "zeros in front"),
    "no well": (rows(["well", "compound"], [["A01", "ZZ9"], ["x", "y"]]), "row 3: 'ZZ9'"),
    "thousands": (rows(["well", "compound", "dose"], [WELLS, COMPOUNDS, ['"1,000"'] * 6]), "thousands"),
    "commas and points": (
        rows(["well", "compound", "dose"], [WELLS, ["x"] * 6, ["0.5", *['"0,5"'] * 5]]),
        "decimal comma",
    ),
    "a dose in words": (rows(["well", "compound", "dose"], [WELLS, ["x"] * 6, ["<1 uM"] * 6]), "'<1 uM'"),
    "cp1252": (rows(["well", "compound"], [WELLS, ["Müller"] * 6]).encode("cp1252"), "--encoding cp1252"),
    "a grid of numbers": (",1,2,3\nA,1,2,3\nB,1,2,3\n", "has no title"),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_plate_map_that_says_something_else_is_refused(name, tmp_path):
    content, says = MAPS[name]
    (tmp_path / "map.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    output = tmp_path / "wells.parquet"
    given = features(tmp_path)
    refused(call("cytoimagenet", "profile", given, "--metadata", tmp_path / "map.csv", "--output", output), says)
    assert not output.exists()


def wide(cell, well="A02"):
    text = f"Metadata_Plate,Metadata_Well,Cells_Area,Cells_Form\np,A01,1,2\np,{well},{cell},3\np,A03,4,5\n"
    return lambda path: path.write_text(text)


FEATURES = {
    "SQLite": (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(90)), "SQLite"),
    "DeepProfiler": (lambda path: np.savez(path.open("wb"), features=np.ones((3, 4))), "DeepProfiler"),
    "an error of a spreadsheet": (wide("#DIV/0!"), "'#DIV/0!' in row 2"),
    "no well": (wide("7", "ZZ9"), "1 of 3 rows name no well; row 2: 'ZZ9' lies outside"),
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_that_cannot_be_read_are_refused(name, tmp_path):
    make, says = FEATURES[name]
    make(tmp_path / "features.csv")
    output = tmp_path / "wells.parquet"
    refused(call("cytoimagenet", "profile", tmp_path / "features.csv", "--output", output), says)
    assert not output.exists()


@pytest.mark.parametrize("column", ["Metadata_T", "Metadata_Time", "Metadata_timepoint", "Metadata_time_h"])
def test_time_points_of_wide_tables_stay_apart(column, tmp_path):
    frame = pd.DataFrame({"Metadata_Plate": "p", "Metadata_Well": WELLS * 2, "Metadata_Site": [1] * 6 + [2] * 6})
    frame[column] = [1] * 6 + [2] * 6
    frame.assign(Cells_A=np.arange(12.0), Cells_B=1.0).to_csv(tmp_path / "f.csv", index=False)
    outcome = call("cytoimagenet", "profile", tmp_path / "f.csv", "--output", tmp_path / "wells.csv")
    assert outcome.code == 0, outcome.said
    wells = pd.read_csv(tmp_path / "wells.csv").sort_values([column, "Metadata_Well"])
    assert wells["Cells_A"].tolist() == list(range(12))


def test_a_column_that_wells_were_averaged_over_is_said_and_the_time_of_day_is_none(tmp_path):
    frame = pd.DataFrame({"Metadata_Plate": "p", "Metadata_Well": WELLS * 2, "Metadata_Site": [1] * 6 + [2] * 6})
    frame = frame.assign(Metadata_Frame=[1] * 6 + [2] * 6, Metadata_Time=[f"09:{n:02d}" for n in range(12)])
    frame.assign(Cells_A=np.arange(12.0), Cells_B=1.0).to_csv(tmp_path / "f.csv", index=False)
    outcome = call("cytoimagenet", "profile", tmp_path / "f.csv", "--output", tmp_path / "wells.csv", "--json")
    (step,) = json.loads(outcome.shown)["steps"]
    assert step["rows_out"] == 6
    assert step["notes"] == ["each well is the mean over rows that differ in Frame (2 values)"]


def test_codes_with_zeros_in_front_are_no_features(tmp_path):
    path = features(tmp_path, Tube=["001", "01", "1", "2", "3", "4"])
    outcome = call("cytoimagenet", "profile", path, "--output", tmp_path / "wells.csv")
    assert outcome.code == 0, outcome.said
    wells = pd.read_csv(tmp_path / "wells.csv", dtype=str)
    assert sorted(wells["Metadata_Tube"]) == ["001", "01", "1", "2", "3", "4"]


def test_selection_among_constant_features_is_refused(tmp_path):
    frame = pd.DataFrame({"Metadata_Plate": "p", "Metadata_Well": WELLS, "Cells_A": 1.0, "Cells_B": 2.0})
    frame.to_csv(tmp_path / "f.csv", index=False)
    outcome = call("cytoimagenet", "profile", tmp_path / "f.csv", "--select", "--output", tmp_path / "wells.csv")
    refused(outcome, "variance")
