"""Numbers from outside, whatever somebody wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import LARGEST, plain_number, whole_number, whole_or_none


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("003", 3), (" 7 ", 7), ("4.0", 4), ("4.", 4), ("1e3", 1000), ("0" * 300 + "5", 5), ("+2", 2)],
)
def test_whole_numbers(text, number) -> None:
    assert whole_number(text, "site") == number


@pytest.mark.parametrize(
    "text", ["", "x", "1.5", "inf", "-inf", "nan", "1e30", "9" * 5000, "-1", "0x10", "1_000", "٣", "1e400", "3,0", "²"]
)
def test_what_is_no_whole_number_is_one_short_line(text) -> None:
    with pytest.raises(InputError, match=r"site .* is not a whole number") as caught:
        whole_number(text, "site")
    assert len(str(caught.value)) < 200


@given(st.integers(0, LARGEST), st.integers(0, 9))
def test_digits_with_zeros_in_front(number, zeros) -> None:
    text = "0" * zeros + str(number)
    assert whole_or_none(text) == whole_number(text, "n") == number
    assert plain_number(text) == str(number)


@given(st.text())
def test_any_text_gives_a_number_or_none(text) -> None:
    number = whole_or_none(text)
    assert number is None or 0 <= number <= LARGEST
