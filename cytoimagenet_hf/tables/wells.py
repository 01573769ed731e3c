"""Names of wells, spelled one way: `A01`, `P24`, `AF48`, whatever the instrument or the table wrote."""

import re

from cytoimagenet_hf.core.errors import InputError

ROWS, COLUMNS = 32, 48
"""The largest plate there is: 1536 wells, rows A to AF."""

_NAME = re.compile(r"\s*([A-Za-z]{1,2})\s*[-_ ]?\s*0*(\d{1,3})\s*")


def normalise_well(name: str) -> str:
    """A well's name as `A01`: the row in capitals, the column in two digits.

    Args:
        name: `A1`, `a01`, `A-1`, `AA01`, or row and column numbers as `r02c03`.

    Raises:
        InputError: no name of a well, or outside a plate of 1536 wells.

    Example:
        >>> normalise_well("b3"), normalise_well("AF48"), normalise_well("r02c03")
        ('B03', 'AF48', 'B03')
    """
    numbers = re.fullmatch(r"[Rr]0*(\d+)[Cc]0*(\d+)", name.strip())
    if numbers:
        return well_at(int(numbers[1]), int(numbers[2]))
    match = _NAME.fullmatch(name)
    if not match:
        raise InputError(f"{name!r} names no well: wells are written A01 to AF48")
    return _checked(_row_number(match[1]), int(match[2]), name)


def place_of(name: str) -> tuple[int, int]:
    """Row and column of a well, from 1.

    Raises:
        InputError: see `normalise_well`.

    Example:
        >>> place_of("B03"), place_of("AA7")
        ((2, 3), (27, 7))
    """
    letters, column = re.fullmatch(r"([A-Z]+)(\d+)", normalise_well(name)).groups()  # type: ignore[union-attr]
    return _row_number(letters), int(column)


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
