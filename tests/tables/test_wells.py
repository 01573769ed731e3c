"""Wells are spelled one way, whatever was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.wells import COLUMNS, ROWS, normalise_well, well_at


@pytest.mark.parametrize(
    ("written", "well"),
    [
        *((name, "A01") for name in ("A1", "a01", "A-1", "A001")),
        *(("P24", "P24"), ("AA7", "AA07")),
        *((name, "B03") for name in ("r2c3", "Well B3", "well_b03", "B:3", "B/03", "R2 C3", "Row 2, Col 3", "r02c03")),
    ],
)
def test_wells_as_instruments_and_people_write_them(written, well) -> None:
    assert normalise_well(written) == well


@pytest.mark.parametrize("written", ["AG01", "A49", "A0", "", "well", "1A", "Z", "AAA1"])
def test_what_is_no_well_is_refused(written) -> None:
    with pytest.raises(InputError, match=r"A01 to AF48|ends at AF48"):
        normalise_well(written)


@given(st.integers(1, ROWS), st.integers(1, COLUMNS))
def test_numbers_and_names_meet(row, column) -> None:
    well = well_at(row, column)
    assert normalise_well(well) == well == normalise_well(f"r{row}c{column}")


def test_rows_may_be_letters() -> None:
    assert well_at("b", "3") == "B03"
    with pytest.raises(InputError, match="no place"):
        well_at("B", "x")
    with pytest.raises(InputError, match="outside"):
        well_at(33, 1)
