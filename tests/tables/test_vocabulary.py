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

HEADERS = {
    ("dose", "µM"): (
        *(
            "Conc. [µM]",
            "Conc. (\u03bcM)",
            "Concentration µM",
            "Dose \u03bcM",
            "dose_µM",
            "Final conc (uM)",
            "Conc/µM",
        ),
        *("[Drug] uM", "conc_umol_l", "Concentration (microMolar)", "Concentration in uM", "Dose (final) [uM]"),
        *("Compound [µM]", "µM"),
    ),
    ("dose", "pM"): ("conc_pM",),
    ("dose", "fM"): ("Conc (fM)",),
    ("dose", "nM"): ("Dose (nM/L)", "Compound Concentration (nanomolar)", "ConcentrationNM"),
    ("dose", "mM"): ("mmoles_per_liter",),
    ("dose", "M"): ("dose_M",),
    ("dose", "ng/mL"): ("dose_ngml",),
    ("dose", "µg/mL"): ("Dose (mcg/mL)", "Dose_ug_ml"),
    ("dose", "mg/mL"): ("dose_mg_per_ml",),
    ("dose", "g/L"): ("Dose (g/l)",),
    ("dose", "%"): ("dose_%",),
    ("dose", "% v/v"): ("Dose (% v/v)",),
    ("dose", "MOI"): ("Dose (MOI)",),
    ("dose", ""): ("Final Concentration",),
    ("dose2", "nM"): ("Dose B (nM)",),
    ("dose2", "µM"): ("drug2_conc_uM",),
    ("time", "h"): ("hpi", "Incubation time (h)", "Timepoint (h)"),
    ("time", "d"): ("Days",),
    ("time", "min"): ("time_min",),
    ("timepoint", ""): ("Timepoint",),
    ("unit", ""): ("pert_dose_unit",),
    ("cell_line", ""): ("Donor ID", "Characteristics [Cell Line]"),
    ("compound", ""): ("Drug name", "SMILES", "Metadata_JCP2022", "Compound 1"),
    ("compound2", ""): ("Second compound",),
    ("gene", ""): ("Gene symbol",),
    ("plate", ""): ("Metadata_Assay_Plate_Barcode", "PlateID"),
    ("well", ""): ("Well Position",),
    ("role", ""): ("Control Type",),
    ("", ""): (*("Dose (log10 M)", "log dose", "stock conc (mM)", "DMSO conc (%)", "Amount", "Cells_Texture_2_b"),),
}
"""Term and unit → headers that say them."""


@pytest.mark.parametrize(
    ("header", "term", "unit"), [(header, *said) for said, headers in HEADERS.items() for header in headers]
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
        ("nmol/ml", "nmol/mL", "molar", 1e6),
        ("pmol/ul", "pmol/µL", "molar", 1e6),
        ("µmol·L⁻¹", "µM", "molar", 1e6),
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
    assert parse_unit(unit.symbol) == unit  # records hold the symbol, which is read again


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


ROLES = {
    "negative": (
        *("DMSO control", "neg ctrl", "neg. control", "vehicle control", "NTC", "non-targeting", "ctl_vehicle"),
        *("untreated", "no treatment", "mock", "scrambled siRNA", "DMSO-treated", "ctl_untrt", "NEGCON"),
        *("DMSO (0.1%)", "DMSO 0.5 % v/v", "Negative control: DMSO", "mock transfected", "siCtrl", "sgNT"),
        *("empty vector", "not treated", "Ctrl-", "ctl_vehicle.cns", "NTC_1", "neg1", "Negative control 2", "DMSO #3"),
    ),
    "positive": (
        *("poscon_cp", "pos ctrl", "Positive Control", "poscon_diverse", "positive control (staurosporine)", "Ctrl+"),
        *("trt_poscon.es", "Pos_Ctrl_1", "Positive Control 2"),
    ),
    "treatment": ("trt_cp", "trt_sh", "treated", "sample", "compound", "Treatment", "trt_sh.cgs"),
    "empty": ("empty", "blank", "no cells", "Empty well"),
    "": (
        *("control", "control 1", "Ctrl-1", "MCF-7", "reference", "plasmid 7", "negative positive", ""),
        *("compound: DMSO", "siPLK1", "Con A"),
    ),
}


@pytest.mark.parametrize(("word", "role"), [(word, role) for role, words in ROLES.items() for word in words])
def test_words_of_roles(word: str, role: str) -> None:
    assert role_of(word) == role


VEHICLES = (*("DMSO", "0.1 % DMSO", "0,5% dmso", "PBS", "NTC", "neg ctrl", "DMSO (0.1%)", "DMSO 0.1 %", "0,1 % DMSO"),)


def test_vehicles() -> None:
    assert all(map(is_vehicle, VEHICLES))
    assert not any(map(is_vehicle, ("taxol", "DMSO-d6 analogue", "NT", "SCR", "SCR7", "", "5% serum")))
