"""Cells: identities stay text, measures are numbers, and two spellings of one number are equal."""

import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.tables.cells import differ, explain_odd, parse_numbers, spelled, typed


def column(*cells: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells, pa.large_string())])


@pytest.mark.parametrize(
    ("cells", "values", "odd"),
    [
        (["1", " 0.5 ", "1e3", None, "NA"], [1, 0.5, 1000, np.nan, np.nan], 0),
        (["0,3", "1,25", "2", None], [0.3, 1.25, 2, np.nan], 0),
        (["1,000", "0,500"], [1, 0.5], 0),
        (["1,000", "3,000"], [np.nan, np.nan], 2),
        (["1.5", "0,5"], [1.5, np.nan], 1),
        (["1", "#DIV/0!", "+2"], [1, np.nan, 2], 1),
        (["1_000", "0x1F"], [np.nan, np.nan], 2),
    ],
)
def test_numbers_of_text(cells: list[str | None], values: list[float], odd: int) -> None:
    numbers = parse_numbers(column(*cells))
    np.testing.assert_array_equal(numbers.values, values)
    assert numbers.odd.sum() == odd


def test_commas_that_say_two_things_are_explained() -> None:
    assert "decimal comma where other cells have a point" in parse_numbers(column("1.5", "0,5")).remark
    said = explain_odd(["1,000", "3,000"], parse_numbers(column("1,000", "3,000")), "dose")
    assert said.startswith("dose has 2 cells that are not numbers, '1,000' in row 1: is the comma decimal")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_what_python_writes_is_read(values: list[float]) -> None:
    assert parse_numbers(column(*map(repr, values))).values.tolist() == values


@given(st.lists(st.floats(-1e6, 1e6).map(lambda value: f"0{abs(value):.4f}"), min_size=1))
def test_decimal_commas_are_points(texts: list[str]) -> None:
    commas = parse_numbers(column(*(text.replace(".", ",") for text in texts)))
    np.testing.assert_array_equal(commas.values, [float(text) for text in texts])


def test_kinds_of_columns() -> None:
    mac = unicodedata.normalize("NFD", "Zellen ü")
    frame = typed(
        pd.DataFrame(
            {
                "compound": ["00123", "1E05"],
                "gene": ["NA", None],
                "plate": [12.0, np.nan],
                "barcode": ["12345678901234567890", "12345678901234567891"],
                "dose": ["1", "0.50"],
                "conc_uM": ["1 uM", "2"],
                "Amount": ["1.0", "2"],
                "batch": [mac, " x "],
                "count": [3, 4],
            }
        )
    )
    assert frame["compound"].tolist() == ["00123", "1E05"]
    assert frame["gene"].tolist()[0] == "NA"
    assert frame["gene"].isna().tolist() == [False, True]
    assert frame["plate"].tolist()[0] == "12"
    assert frame["barcode"].tolist() == ["12345678901234567890", "12345678901234567891"]
    assert frame["dose"].tolist() == [1.0, 0.5]
    assert frame["conc_uM"].tolist() == ["1 uM", "2"]  # refused by who reads doses, with the cell
    assert frame["Amount"].tolist() == ["1.0", "2"]
    assert frame["batch"].tolist() == ["Zellen ü", "x"]
    assert frame["count"].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("name", "left", "right", "unequal"),
    [
        ("dose", ["1", "0.5"], ["1.0", "0.50"], [False, False]),
        ("dose", ["1", "0.5"], [1.0, 0.55], [False, True]),
        ("plate", ["0012", "12"], ["12", "12"], [True, False]),
        ("plate", [12, 13], ["12", "0013"], [False, True]),
        ("Amount", ["1"], ["1.0"], [True]),
        ("Amount", [1], ["1.0"], [False]),
        ("compound", [None, "x"], ["y", None], [False, False]),
    ],
)
def test_what_differs(name: str, left: list[object], right: list[object], unequal: list[bool]) -> None:
    assert differ(pd.Series(left), pd.Series(right), name).tolist() == unequal


def test_identities_are_spelled_plainly() -> None:
    assert [spelled(value) for value in (12, 12.0, np.float64(0.5), 1e20, " 0012 ", "screen_v1.0")] == [
        *("12", "12", "0.5", "100000000000000000000", "0012", "screen_v1.0")
    ]
