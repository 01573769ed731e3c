"""Headers as laboratories write them: what they say, in which unit, of which kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.tables.vocabulary import (
    VOCABULARY,
    columns_of,
    is_vehicle,
    key_of,
    parse_unit,
    read_header,
    role_of,
    stated_unit,
)


@pytest.mark.parametrize(
    ("header", "term", "unit"),
    [
        ("Conc. [µM]", "dose", "µM"),
        ("Conc. (\u03bcM)", "dose", "µM"),
        ("Concentration µM", "dose", "µM"),
        ("Dose \u03bcM", "dose", "µM"),
        ("dose_µM", "dose", "µM"),
        ("conc_pM", "dose", "pM"),
        ("dose_M", "dose", "M"),
        ("Final conc (uM)", "dose", "µM"),
        ("Final Concentration", "dose", ""),
        ("Conc/µM", "dose", "µM"),
        ("dose_ngml", "dose", "ng/mL"),
        ("[Drug] uM", "dose", "µM"),
        ("Dose (mcg/mL)", "dose", "µg/mL"),
        ("Conc (fM)", "dose", "fM"),
        ("hpi", "time", "h"),
        ("Days", "time", "d"),
        ("Donor ID", "cell_line", ""),
        ("Dose_ug_ml", "dose", "µg/mL"),
        ("dose_mg_per_ml", "dose", "mg/mL"),
        ("Dose (g/l)", "dose", "g/L"),
        ("Dose (nM/L)", "dose", "nM"),
        ("conc_umol_l", "dose", "µM"),
        ("Concentration (microMolar)", "dose", "µM"),
        ("Compound Concentration (nanomolar)", "dose", "nM"),
        ("dose_%", "dose", "%"),
        ("Dose (% v/v)", "dose", "% v/v"),
        ("ConcentrationNM", "dose", "nM"),
        ("Concentration in uM", "dose", "µM"),
        ("Dose (final) [uM]", "dose", "µM"),
        ("Compound [µM]", "dose", "µM"),
        ("µM", "dose", "µM"),
        ("mmoles_per_liter", "dose", "mM"),
        ("Dose (MOI)", "dose", "MOI"),
        ("Dose B (nM)", "dose2", "nM"),
        ("drug2_conc_uM", "dose2", "µM"),
        ("Dose (log10 M)", "", ""),
        ("log dose", "", ""),
        ("stock conc (mM)", "", ""),
        ("DMSO conc (%)", "", ""),
        ("Drug name", "compound", ""),
        ("SMILES", "compound", ""),
        ("Metadata_JCP2022", "compound", ""),
        ("Second compound", "compound2", ""),
        ("Compound 1", "compound", ""),
        ("Gene symbol", "gene", ""),
        ("Metadata_Assay_Plate_Barcode", "plate", ""),
        ("PlateID", "plate", ""),
        ("Well Position", "well", ""),
        ("Characteristics [Cell Line]", "cell_line", ""),
        ("Control Type", "role", ""),
        ("Incubation time (h)", "time", "h"),
        ("time_min", "time", "min"),
        ("Timepoint", "timepoint", ""),
        ("Timepoint (h)", "time", "h"),
        ("pert_dose_unit", "unit", ""),
        ("Amount", "", ""),
        ("Cells_Texture_2_b", "", ""),
    ],
)
def test_headers_as_people_write_them(header: str, term: str, unit: str) -> None:
    read = read_header(header)
    assert (read.text, read.term, read.unit) == (header, term, unit)


@pytest.mark.parametrize(
    ("word", "symbol", "dimension", "factor"),
    [
        ("pM", "pM", "molar", 1),
        ("nM", "nM", "molar", 1e3),
        ("uM", "µM", "molar", 1e6),
        ("mM", "mM", "molar", 1e9),
        ("M", "M", "molar", 1e12),
        ("nmol/L", "nM", "molar", 1e3),
        ("mol/l", "M", "molar", 1e12),
        ("ng/ml", "ng/mL", "mass", 1e6),
        ("g/l", "g/L", "mass", 1e12),
        ("µg/µl", "µg/µL", "mass", 1e12),
        ("%", "%", "percent", 1),
        ("hours", "h", "time", 3600),
    ],
)
def test_units_and_what_one_of_them_is(word: str, symbol: str, dimension: str, factor: float) -> None:
    unit = parse_unit(word)
    assert unit is not None
    assert (unit.symbol, unit.dimension, unit.factor) == (symbol, dimension, factor)


@given(st.text(max_size=30))
def test_no_text_is_too_odd_to_be_a_header(text: str) -> None:
    header = read_header(text)
    assert header.text == text
    assert header.kind in ("identity", "measure", "unit", "unknown")
    assert isinstance(stated_unit(text), str)
    assert role_of(text) in ("", "negative", "positive", "empty", "treatment")


def test_every_spelling_says_its_term_and_is_there_once() -> None:
    for term in VOCABULARY.values():
        assert len({key_of(spelling) for spelling in term.spellings}) == len(term.spellings), term.name
        for spelling in term.spellings:
            said = read_header(spelling).term
            assert said == term.name or (said, term.name) == ("timepoint", "time"), spelling


def test_the_likeliest_column_says_a_term_and_the_first_of_equals() -> None:
    columns = ["SMILES", "broad_sample", "Compound", "compound_name", "Dose", "Conc. [nM]", "Dose 2"]
    chosen = {term: header.text for term, header in columns_of(columns).items()}
    assert chosen == {"compound": "Compound", "dose": "Dose", "dose2": "Dose 2"}
    assert columns_of(["Plate", "plate"])["plate"].text == "Plate"


@pytest.mark.parametrize(
    ("words", "role"),
    [
        (
            ["DMSO control", "neg ctrl", "neg. control", "vehicle control", "NTC", "non-targeting", "ctl_vehicle"],
            "negative",
        ),
        (["untreated", "no treatment", "mock", "scrambled siRNA", "DMSO-treated", "ctl_untrt", "NEGCON"], "negative"),
        (["poscon_cp", "pos ctrl", "Positive Control", "poscon_diverse"], "positive"),
        (["trt_cp", "trt_sh", "treated", "sample", "compound", "Treatment"], "treatment"),
        (["empty", "blank", "no cells", "Empty well"], "empty"),
        (["control", "reference", "plasmid 7", "negative positive", ""], ""),
    ],
)
def test_words_of_roles(words: list[str], role: str) -> None:
    assert {word: role_of(word) for word in words} == dict.fromkeys(words, role)


def test_vehicles() -> None:
    assert [is_vehicle(name) for name in ("DMSO", "0.1 % DMSO", "0,5% dmso", "PBS", "NTC", "neg ctrl")] == [True] * 6
    assert not any(is_vehicle(name) for name in ("taxol", "DMSO-d6 analogue", "NT", "SCR", ""))


@pytest.mark.parametrize(
    ("word", "role"),
    [
        ("DMSO (0.1%)", "negative"),
        ("DMSO 0.5 % v/v", "negative"),
        ("Negative control: DMSO", "negative"),
        ("mock transfected", "negative"),
        ("siCtrl", "negative"),
        ("sgNT", "negative"),
        ("empty vector", "negative"),
        ("not treated", "negative"),
        ("Ctrl-", "negative"),
        ("ctl_vehicle.cns", "negative"),
        ("positive control (staurosporine)", "positive"),
        ("Ctrl+", "positive"),
        ("trt_poscon.es", "positive"),
        ("trt_sh.cgs", "treatment"),
        ("compound: DMSO", ""),
        ("siPLK1", ""),
        ("Con A", ""),
    ],
)
def test_roles_in_the_words_of_laboratories(word, role):
    assert role_of(word) == role


def test_an_amount_does_not_hide_the_vehicle():
    assert all(map(is_vehicle, ("DMSO (0.1%)", "DMSO 0.1 %", "0,1 % DMSO")))
    assert not is_vehicle("5% serum")
