"""Numbers that others wrote into names, tables and metadata, read within bounds.

`int` refuses texts of more than 4,300 digits with an error of its own, `int(float("inf"))` overflows, and a site of
10^30 fits no column: so every number from outside is read here.
"""

import math
import re

from .errors import InputError, one_line

LARGEST = 2**53
"""The largest whole number that is read: JSON, Parquet, Excel and float64 all hold it exactly."""

MAX_PIXELS = 2**28
"""Pixels of one plane: 16,384², ten times the largest field of the sources; at 16 bits half a gigabyte."""

_FLOAT = re.compile(r"[+-]?[0-9.]{1,400}(?:[eE][+-]?[0-9]{1,3})?")  # `float` takes 1_000 and digits of any script
_WHOLE = re.compile(r"[+-]?[0-9]{1,400}(?:\.0{0,400})?")


def whole_number(text: str, what: str) -> int:
    """A whole number from a text, such as `3`, `003`, `3.0` (as spreadsheets write it) or `1e3`.

    Raises:
        InputError: no whole number from 0 to `LARGEST`; the message calls it `what`.

    Example:
        >>> whole_number("003", "site"), whole_number(" 4.0", "plane")
        (3, 4)
        >>> whole_number("1e30", "frame")
        Traceback (most recent call last):
        cytoimagenet_hf.core.errors.InputError: frame '1e30' is not a whole number from 0 to 9,007,199,254,740,992
    """
    written = text.strip()
    number: int | None = None
    if _WHOLE.fullmatch(written):
        number = int(written.partition(".")[0])
    else:
        try:
            value = float(written) if _FLOAT.fullmatch(written) else math.nan
        except ValueError:
            value = math.nan
        if math.isfinite(value) and value == int(value):
            number = int(value)
    if number is None or not 0 <= number <= LARGEST:
        raise InputError(f"{what} {one_line(repr(written), longest=40)} is not a whole number from 0 to {LARGEST:,}")
    return number


def whole_or_none(text: str | None, *, most: int = LARGEST) -> int | None:
    """The number that a text of digits writes; None for any other text, and for numbers above `most`.

    Example:
        >>> whole_or_none("07"), whole_or_none("x"), whole_or_none("9" * 5_000)
        (7, None, None)
    """
    if text is None or not _is_digits(stripped := text.strip()):
        return None
    digits = stripped.lstrip("0") or "0"
    return number if len(digits) <= 20 and (number := int(digits)) <= most else None


def plain_number(text: str) -> str:
    """Digits without leading zeros, whatever their number; other text as it is.

    Example:
        >>> plain_number("007"), plain_number("000"), plain_number("DAPI")
        ('7', '0', 'DAPI')
    """
    return (text.lstrip("0") or "0") if _is_digits(text) else text


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
