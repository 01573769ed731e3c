"""Names of wells, spelled one way: `A01`, `P24`, `AF48`, whatever the instrument or the table wrote."""

import re

from cytoimagenet_hf.core.errors import InputError

ROWS, COLUMNS = 32, 48
"""The largest plate there is: 1536 wells, rows A to AF."""

# Quarter .a2 of a well of 384: Yokogawa's spelling for plates of 1536 wells.
_QUARTER = re.compile(r"\s*([A-Pa-p])0*(\d{1,2})\.([abAB])([12])\s*")
_NAME = re.compile(r"\s*([A-Za-z]{1,2})\s*[-_ ]?\s*0*(\d{1,3})\s*")


def normalise_well(name: str) -> str:
    """A well's name as `A01`: the row in capitals, the column in two digits.

    Args:
        name: `A1`, `a01`, `A-1`, `AA01`, row and column numbers as `r02c03`, or a quarter of a well of 384 as `A01.b2`
            (Yokogawa's spelling of plates with 1536 wells).

    Raises:
        InputError: no name of a well, or outside a plate of 1536 wells.

    Example:
        >>> normalise_well("b3"), normalise_well("AF48"), normalise_well("r02c03")
        ('B03', 'AF48', 'B03')
        >>> normalise_well("A01.b2"), normalise_well("P24.b2")
        ('B02', 'AF48')
    """
    if quarter := _QUARTER.fullmatch(name):
        row = 2 * _row_number(quarter[1]) - (quarter[3] in "aA")
        return _checked(row, 2 * int(quarter[2]) - (quarter[4] == "1"), name)
    numbers = re.fullmatch(r"[Rr]0*(\d{1,9})[Cc]0*(\d{1,9})", name.strip())
    if numbers:
        return well_at(int(numbers[1]), int(numbers[2]))
    match = _NAME.fullmatch(name)
    if not match:
        raise InputError(f"{name!r} names no well: wells are written A01 to AF48")
    return _checked(_row_number(match[1]), int(match[2]), name)


def well_at(row: int | str, column: int | str) -> str:
    """The well in a row (a number from 1, or letters) and a column (a number from 1).

    Raises:
        InputError: outside a plate of 1536 wells.

    Example:
        >>> well_at(2, 3), well_at("AA", "7")
        ('B03', 'AA07')
    """
    given = f"row {row}, column {column}"
    try:
        number = _row_number(row) if isinstance(row, str) and row.strip().isalpha() else int(row)
        return _checked(number, int(column), given)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{given} is no place on a plate: rows are letters or numbers, columns numbers") from None


def _row_number(letters: str) -> int:
    number = 0
    for letter in letters.strip().upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _checked(row: int, column: int, given: str) -> str:
    if not (1 <= row <= ROWS and 1 <= column <= COLUMNS):
        raise InputError(f"{given!r} lies outside a plate: the largest, of 1536 wells, ends at AF48")
    letters = chr(ord("A") + row - 1) if row <= 26 else "A" + chr(ord("A") + row - 27)
    return f"{letters}{column:02d}"
