"""Plate maps as people write them: read, joined, and refused by name."""

import unicodedata

import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.profiles.plate_map import annotate, read_plate_map
from cytoimagenet_hf.profiles.well_facts import query_rows, well_facts
from cytoimagenet_hf.tables.features import FeatureTable
from tests.tables.workbooks import workbook


def rows_of(wells, plates="p1", **facts):
    count = len(wells)
    plates = [plates] * count if isinstance(plates, str) else plates
    metadata = pd.DataFrame({"plate": plates, "well": wells, **facts})
    return FeatureTable(np.array([f"r{i}" for i in range(count)], dtype=object), np.ones((count, 1)), metadata, ("x",))


def map_file(tmp_path, text, name="map.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


MAPS = {
    "plain": "plate,well,compound,concentration,role\np1,A01,x,1,treatment\np1,A02,y,2,negative\n",
    "short wells": "plate,well,compound\np1,A1,x\np1,a2,y\n",
    "Broad": "plate_map_name,well_position,broad_sample,mmoles_per_liter\nlay1,A01,x,1\nlay1,A02,y,2\n",
    "JUMP": "Metadata_Source,Metadata_Plate,Metadata_Well,Metadata_JCP2022\ns,p1,A01,x\ns,p1,A02,y\n",
    "CellProfiler": "Image_Metadata_Plate,Image_Metadata_Well,Image_Metadata_Compound\np1,A1,x\np1,A2,y\n",
    "rows and columns": "row_name,column_name,compound\nA,1,x\nA,2,y\n",
    "numbers": "Row;Column;Compound\n1;1;x\n1;2;y\n",
    "tabs": "Well\tCompound Name\nA1\tx\nA2\ty\n",
}


@pytest.mark.parametrize("kind", MAPS)
def test_maps_of_every_house_are_joined(tmp_path, kind):
    table = annotate(rows_of(["A01", "A02", "A01"]), read_plate_map(map_file(tmp_path, MAPS[kind])))
    assert well_facts(table).compound.tolist() == ["x", "y", "x"]
    step = table.about["steps"][0]
    assert (step["rows_annotated"], step["wells_not_in_map"], step["map_wells_unused"]) == (3, [], 0)


def test_a_missing_well_keeps_its_row_and_is_named(tmp_path):
    text = "plate,well,compound\np1,A01,x\np1,C03,z\np9,A01,x\n"
    table = annotate(rows_of(["A01", "B02"]), read_plate_map(map_file(tmp_path, text)))
    step = table.about["steps"][0]
    assert step["rows"] == 2
    assert step["rows_annotated"] == 1
    assert step["wells_not_in_map"] == ["p1/B02"]
    assert step["map_wells_unused"] == 2
    assert pd.isna(table.metadata["compound"][1])


def test_a_map_of_other_plates_says_both_spellings(tmp_path):
    plate_map = read_plate_map(map_file(tmp_path, "plate,well\nPlate_1,A01\n"))
    with pytest.raises(InputError, match=r"no row has a well of map.csv.*'Plate_1 A01'.*'p1 A01'"):
        annotate(rows_of(["A01"]), plate_map)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plate,compound\np1,x\n", "no column of wells"),
        ("well,compound\nA01,x\nZ99,y\n", r"1 of 2 rows name no well; row 3: 'Z99' lies outside"),
        ("well,compound\nfirst,x\n", "row 2: 'first' names no well"),
        ("well,compound\nA01,x\n,y\n", "row 3: empty"),
        ("well,compound\nA01,x\nA1,y\n", "1 wells have two rows that differ: A01"),
        ("plate,well\np1,A01\n,A02\n", "1 rows have no plate"),
        ("plate_map_name,well_position\na,A01\nb,A01\n", "2 layouts .*barcodes"),
        ("Metadata_Well,well\nA01,A01\n", "'well' occurs twice"),
        ("", "map.csv"),
    ],
)
def test_bad_maps_are_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(InputError, match=said) as caught:
        read_plate_map(map_file(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_row_that_stands_twice_is_one(tmp_path):
    plate_map = read_plate_map(map_file(tmp_path, "well,compound\nA01,x\nA1,x\n"))
    assert len(plate_map.rows) == 1
    assert any("twice" in note for note in plate_map.notes)


def test_barcodes_give_each_plate_its_layout(tmp_path):
    layouts = map_file(tmp_path, "plate_map_name,well_position,broad_sample\na,A01,x\nb,A01,y\n")
    barcodes = map_file(tmp_path, "Assay_Plate_Barcode,Plate_Map_Name\np1,a\np2,b\np3,a\n", "barcode_platemap.csv")
    plate_map = read_plate_map(layouts, barcodes=barcodes)
    table = annotate(rows_of(["A01"] * 3, ["p1", "p2", "p3"]), plate_map)
    assert table.metadata["broad_sample"].tolist() == ["x", "y", "x"]
    barcodes = map_file(tmp_path, "Assay_Plate_Barcode,Plate_Map_Name\np1,a\np2,\n", "barcode_platemap.csv")
    with pytest.raises(InputError, match="1 rows lack Assay_Plate_Barcode or Plate_Map_Name"):
        read_plate_map(layouts, barcodes=barcodes)


def test_facts_that_disagree_are_refused(tmp_path):
    plate_map = read_plate_map(map_file(tmp_path, "well,compound\nA01,x\n"))
    with pytest.raises(InputError, match=r"compound of 1 rows differs.*'r0' has 'q' and 'x'"):
        annotate(rows_of(["A01"], compound=["q"]), plate_map)
    assert annotate(rows_of(["A1"], compound=["x"]), plate_map).metadata["well"].tolist() == ["A01"]


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        ({"control_type": ["negcon", "Negative Control", "negative_control", "neg"]}, ["negative"] * 4),
        ({"control_type": ["poscon", "positive control", "poscon_cp", "POS"]}, ["positive"] * 4),
        ({"control_type": ["trt", "experiment", "treatment"]}, ["treatment"] * 3),
        ({"control_type": ["empty", "blank"]}, ["empty"] * 2),
        ({"control_type": ["reference", ""]}, [""] * 2),
        # A vehicle is a control only where no role is told.
        ({"compound": ["DMSO", "x"]}, ["negative", "treatment"]),
        ({"compound": ["DMSO", "x"], "role": ["empty", "trt"]}, ["empty", "treatment"]),
        # Of two columns the first that says a role counts.
        (
            {"control_type": ["negcon", None, "poscon_cp"], "pert_type": ["control", "trt", ""]},
            ["negative", "treatment", "positive"],
        ),
    ],
)
def test_roles_of_wells(columns, roles):
    facts = well_facts(rows_of(["A01"] * len(roles), **columns))
    assert facts.role.tolist() == roles
    assert any("not understood" in note for note in facts.notes) == ("reference" in columns.get("control_type", ()))


def test_roles_not_understood_are_said():
    facts = well_facts(rows_of(["A01", "A02"], role=["reference", "trt"]))
    assert any("'reference' (1)" in note for note in facts.notes)


def test_controls_by_query():
    table = rows_of(["A01", "A02", "B01"], compound=["DMSO", "x", "DMSO"])
    assert query_rows(table, "compound == 'DMSO' and Metadata_Well != 'B01'").tolist() == [True, False, False]
    facts = well_facts(table, controls="Metadata_compound == 'x'")
    assert facts.role.tolist() == ["treatment", "negative", "treatment"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("compound = 'x'", "no condition"),
        ("compound ==", "cannot be evaluated"),
        ("drug == 'x'", "cannot be evaluated.*columns are plate, well, compound"),
        ("compound == 'nope'", "no row fulfils.*there is compound: DMSO"),
        ("compound", "no condition"),
        ("@pd.read_csv('x')", "write a comparison"),
    ],
)
def test_queries_that_mark_nothing(query, said):
    with pytest.raises(InputError, match=said):
        well_facts(rows_of(["A01"], compound=["DMSO"]), controls=query)


TWO = {"compound": ["x", "x"], "dose": [1.0, 2.0]}
SOME = {"compound": ["x"] * 3, "dose": [1.0, 2.0, 0.0], "unit": ["uM", "", "%"]}
CONTROL = {"role": ["negcon", "trt", "trt"], "compound": ["DMSO", "x", "x"], "dose": ["0.1", "1", "2"]}
NOTHING = np.nan


@pytest.mark.parametrize(
    ("columns", "asked_for", "doses", "unit"),
    [
        # The header states the unit, or nothing does.
        ({"compound": ["x"], "mmoles_per_liter": ["0.5"]}, None, [0.5], "mM"),
        ({"compound": ["x"], "Concentration (microMolar)": ["0.5"]}, None, [0.5], "µM"),
        ({"compound": ["x"], "conc_um": ["0.5"]}, None, [0.5], "µM"),
        ({"compound": ["x"], "dose": ["0.5"]}, None, [0.5], ""),
        # A column of units is put on one scale.
        (TWO | {"dose": [1.0, 500.0], "unit": ["uM", "nM"]}, None, [1.0, 0.5], "µM"),
        # A name on the command line never changes what a dose is: it is converted.
        (TWO | {"unit": ["uM", "µM"]}, None, [1.0, 2.0], "µM"),
        (TWO | {"unit": ["uM", "µM"]}, "nM", [1000.0, 2000.0], "nM"),
        ({"compound": ["x", "x"], "dose_um": [1.0, 2.0]}, None, [1.0, 2.0], "µM"),
        ({"compound": ["x", "x"], "dose_um": [1.0, 2.0]}, "nM", [1000.0, 2000.0], "nM"),
        (TWO | {"unit": ["mg/mL"] * 2}, "mg/mL", [1.0, 2.0], "mg/mL"),
        # A dose without a unit beside others with one has the unit that is named.
        (SOME, "nM", [1000.0, 2.0, 0.0], "nM"),
        # A cell may state the unit of its dose.
        ({"compound": ["x"] * 3, "dose": ["1 uM", "10µM", "0"]}, None, [1, 10, 0], "µM"),
        ({"compound": ["x"] * 3, "dose": ["100 nM", "1 uM", None]}, None, [100, 1000, NOTHING], "nM"),
        ({"compound": ["x"] * 3, "dose": ["0,5 µM", "1 µM", "2 µM"]}, None, [0.5, 1, 2], "µM"),
        ({"compound": ["x"] * 3, "dose": ["1.11 um", "3.33 um", "1e1 um"]}, None, [1.11, 3.33, 10], "µM"),
        # What a control got is no dose.
        (CONTROL | {"unit": ["%", "uM", "uM"]}, None, [NOTHING, 1, 2], "µM"),
    ],
)
def test_doses_and_their_unit(columns, asked_for, doses, unit):
    facts = well_facts(rows_of(["A01"] * len(doses), **columns), dose_unit=asked_for)
    np.testing.assert_allclose(facts.dose, doses)
    assert facts.unit == unit
    assert bool(unit) != any("--dose-unit" in note for note in facts.notes)


def test_a_treatment_names_its_dose_on_the_common_scale():
    facts = well_facts(rows_of(["A01", "A02"], **TWO | {"dose": [1.0, 500.0], "unit": ["uM", "nM"]}))
    assert facts.treatment.tolist() == ["x 1 µM", "x 0.5 µM"]


@pytest.mark.parametrize(
    ("columns", "asked_for", "said"),
    [
        ({"compound": ["x"], "dose": ["1 wing"]}, None, "'1 wing': write numbers, and the unit"),
        ({"compound": ["x"], "dose": ["inf"]}, None, "not numbers"),
        ({"compound": ["x"], "dose": ["-1"]}, None, "negative"),
        (TWO | {"unit": ["uM", "mg/mL"]}, None, "mg/mL is not molar"),
        (TWO | {"unit": ["mg/mL"] * 2}, "uM", "doses in mg/mL cannot be shown in µM: mg/mL is not molar"),
        (SOME, None, "1 doses in dose have no unit where others are in uM"),
        (
            TWO | {"dose": ["1 uM", "3"], "unit": ["nM"] * 2},
            None,
            "1 doses in dose state two units, such as '1 uM' in nM",
        ),
    ],
)
def test_doses_that_are_no_amounts_or_of_two_kinds(columns, asked_for, said):
    with pytest.raises(InputError, match=said):
        well_facts(rows_of(["A01"] * len(columns["dose"]), **columns), dose_unit=asked_for)


def test_no_map_and_no_facts_is_no_error():
    facts = well_facts(rows_of(["A01", "A02"]))
    assert facts.role.tolist() == ["", ""]
    assert np.isnan(facts.dose).all()
    assert facts.treatment.tolist() == ["unknown", "unknown"]


def test_the_map_of_a_real_plate(real_root):
    plate_map = read_plate_map(real_root / "plates" / "bbbc013" / "platemap_long_nM.csv")
    table = annotate(rows_of(plate_map.rows["well"].tolist()), plate_map)
    facts = well_facts(table, dose_unit="nM")
    counts = {role: int((facts.role == role).sum()) for role in set(facts.role)}
    assert counts == {"negative": 8, "positive": 8, "empty": 8, "treatment": 72}
    assert sorted(set(facts.compound)) == ["", "LY294002", "Wortmannin"]


def test_identities_are_the_text_of_the_file_and_measures_are_numbers(tmp_path):
    text = "plate;well;compound;clone;gene;tube;Conc. [µM];Amount\n" + "".join(
        f"0012;A{n};{compound};{clone};NA;1234567890123456789{n};{dose};{n}.0\n"
        for n, compound, clone, dose in ((1, "00123", "1E05", "0,3"), (2, "123", "007", "1,25"))
    )
    rows = read_plate_map(map_file(tmp_path, text)).rows
    assert rows[["plate", "well"]].to_numpy().tolist() == [["0012", "A01"], ["0012", "A02"]]
    assert rows["compound"].tolist() == ["00123", "123"]
    assert rows["clone"].tolist() == ["1E05", "007"]
    assert rows["gene"].tolist() == ["NA", "NA"]
    assert rows["tube"].tolist() == ["12345678901234567891", "12345678901234567892"]
    assert rows["Conc. [µM]"].tolist() == [0.3, 1.25]
    assert rows["Amount"].tolist() == ["1.0", "2.0"]


def test_number_columns_of_parquet_are_spelled_plainly(tmp_path):
    frame = pd.DataFrame({"plate": [12.0, 12.0], "well": ["A01", "A02"], "compound": [7, 8], "dose": [1.0, np.nan]})
    frame.to_parquet(tmp_path / "map.parquet")
    rows = read_plate_map(tmp_path / "map.parquet").rows
    assert rows[["plate", "compound"]].to_numpy().tolist() == [["12", "7"], ["12", "8"]]
    assert rows["dose"].tolist()[0] == 1.0


@pytest.mark.parametrize("names", [("001", "002"), ("screen_v1.0", "screen_v2.0"), ("1", "01")])
def test_layouts_keep_their_names(tmp_path, names):
    layouts = map_file(tmp_path, f"plate_map_name,well,compound\n{names[0]},A01,x\n{names[1]},A01,y\n")
    pairs = f"Assay_Plate_Barcode,Plate_Map_Name\n0012,{names[0]}\n12,{names[1]}\n"
    plate_map = read_plate_map(layouts, barcodes=map_file(tmp_path, pairs, "barcode_platemap.csv"))
    table = annotate(rows_of(["A01"] * 2, ["12", "0012"]), plate_map)
    assert table.metadata["compound"].tolist() == ["y", "x"]


def test_plates_match_as_text_and_lost_zeros_are_explained(tmp_path):
    text = "plate,well,compound\n12,A01,x\n"
    with pytest.raises(InputError, match=r"'12 A01'.*'0012 A01'.*took zeros in front"):
        annotate(rows_of(["A01"], "0012"), read_plate_map(map_file(tmp_path, text)))
    mac, typed = (unicodedata.normalize(form, "Zellen ü 1") for form in ("NFD", "NFC"))
    plate_map = read_plate_map(map_file(tmp_path, f"plate,well,compound\n{typed},A01,x\n"))
    assert annotate(rows_of(["A01"], mac), plate_map).metadata["compound"].tolist() == ["x"]


def test_equal_numbers_agree_and_others_are_refused(tmp_path):
    plate_map = read_plate_map(map_file(tmp_path, "well,dose\nA01,1.0\nA02,0.50\n"))
    assert annotate(rows_of(["A01", "A02"], dose=["1", "0.5"]), plate_map).metadata["dose"].tolist() == ["1", "0.5"]
    with pytest.raises(InputError, match=r"dose of 1 rows differs.*'r1' has '0.55' and '0.5'"):
        annotate(rows_of(["A01", "A02"], dose=["1", "0.55"]), plate_map)


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        *(("Conc. [µM]", "µM"), ("Conc. (\u03bcM)", "µM"), ("conc_pM", "pM"), ("dose_M", "M"), ("dose_%", "%")),
        *(("Final conc (uM)", "µM"), ("Final Concentration", ""), ("Dose_ug_ml", "µg/mL"), ("Dose (g/l)", "g/L")),
    ],
)
def test_headers_of_doses(tmp_path, header, unit):
    text = f"well,Drug name,{header}\nA01,DMSO,0\nA02,x,0.3\nA03,x,10\n"
    facts = well_facts(annotate(rows_of(["A01", "A02", "A03"]), read_plate_map(map_file(tmp_path, text))))
    assert (facts.dose.tolist(), facts.unit, facts.compound.tolist()) == ([0, 0.3, 10], unit, ["DMSO", "x", "x"])
    assert facts.columns == {"compound": "Drug name", "dose": header}
    assert facts.unused == ()


def test_columns_that_nobody_knows_are_said_and_can_be_named():
    table = rows_of(["A01", "A02", "A03"], stuff=["x", "x", "y"], Amount=["1", "3", "3"], remark=["a"] * 3)
    facts = well_facts(table)
    assert facts.unused == ("stuff", "Amount", "remark")
    (note,) = [note for note in facts.notes if "not used" in note]
    assert "stuff (2 values), Amount (2 values);" in note
    facts = well_facts(table, compound_column="Metadata_stuff", dose_column="amount", dose_unit="nM")
    assert facts.treatment.tolist() == ["x 1 nM", "x 3 nM", "y 3 nM"]
    assert facts.columns == {"compound": "stuff", "dose": "Amount"}
    with pytest.raises(InputError, match="no column 'dosis'"):
        well_facts(table, dose_column="dosis")


@pytest.mark.parametrize("solvent", [["DMSO"] * 3, None])
def test_wells_without_a_compound(solvent):
    columns = {"broad_sample": [None, "BRD-1", "BRD-2"]} | ({"solvent": solvent} if solvent else {})
    table = rows_of(["A01", "A02", "A03"], **columns)
    facts = well_facts(table)
    if solvent:
        assert facts.role.tolist() == ["negative", "treatment", "treatment"]
        assert any("1 wells have no broad_sample and DMSO as solvent" in note for note in facts.notes)
    else:
        assert facts.role.tolist() == ["", "treatment", "treatment"]
        (note,) = [note for note in facts.notes if "1 wells have no broad_sample" in note]
        query = note.partition('--controls "')[2].partition('"')[0]
        assert well_facts(table, controls=query).role.tolist() == ["negative", "treatment", "treatment"]


def test_a_query_may_take_the_text_of_numbers_for_numbers():
    table = rows_of(["A01", "A02"], Amount=["0", "3.5"], compound=["00123", "123"])
    assert query_rows(table, "Amount == 0").tolist() == [True, False]
    assert query_rows(table, "Amount > 1").tolist() == [False, True]
    assert query_rows(table, "compound == '123'").tolist() == [False, True]


def test_a_sheet_that_is_no_map_names_the_others(tmp_path):
    sheets = {"remarks": [["who", "when"], ["me", "today"]], "wells": [["well", "compound"], ["A1", 7]]}
    (tmp_path / "map.xlsx").write_bytes(workbook(sheets))
    with pytest.raises(InputError, match="--sheet: wells"):
        read_plate_map(tmp_path / "map.xlsx")
    assert read_plate_map(tmp_path / "map.xlsx", sheet="wells").rows.to_numpy().tolist() == [["A01", "7"]]


def test_a_layout_drawn_as_a_plate(tmp_path):
    text = "compound,1,2,3\nA,DMSO,x,y\nB,DMSO,x,y\n\ndose_nM,1,2,3\nA,,1,10\nB,,30,100\n"
    plate_map = read_plate_map(map_file(tmp_path, text))
    facts = well_facts(annotate(rows_of(["A02", "B03", "B01"]), plate_map))
    assert facts.treatment.tolist() == ["x 1 nM", "y 100 nM", "negative control"]
    assert any("drawn as a plate" in note for note in plate_map.notes)


def test_a_column_that_only_some_wells_have_is_said(tmp_path):
    wells = rows_of(["A01", "A02"], compound=["x", "x"], additive=["serum", None])
    assert any("additive (2 values)" in note for note in well_facts(wells).notes)


def test_one_fact_under_two_spellings_has_to_agree(tmp_path):
    wells = rows_of(["A01", "A02"], Compound=["x", "y"])
    alike = annotate(wells, read_plate_map(map_file(tmp_path, "well,compound\nA01,x\nA02,y\n")))
    assert alike.metadata["compound"].tolist() == ["x", "y"]
    with pytest.raises(InputError, match="compound of 1 rows differs"):
        annotate(wells, read_plate_map(map_file(tmp_path, "well,compound\nA01,x\nA02,z\n")))


@pytest.mark.parametrize(
    ("header", "said"), [("plate,well,compound", "names its plates"), ("well,compound,site", "layouts")]
)
def test_barcodes_that_a_map_has_no_use_for_are_refused(tmp_path, header, said) -> None:
    layouts = map_file(tmp_path, f"{header}\n" + "A01,A01,1\n", "map.csv")
    barcodes = map_file(tmp_path, "Assay_Plate_Barcode,Plate_Map_Name\nP1,L1\n", "barcode_platemap.csv")
    with pytest.raises(InputError, match=f"{said}.*leave --barcodes out"):
        read_plate_map(layouts, barcodes=barcodes)
