"""Names of wells, spelled one way: `A01`, `P24`, `AF48`, whatever the instrument or the table wrote."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import pandas as pd

from cytoimagenet_hf.core.errors import InputError

from .vocabulary import columns_of

WellT = TypeVar("WellT")

ROWS, COLUMNS = 32, 48
"""The largest plate there is: 1536 wells, rows A to AF."""

# Quarter .a2 of a well of 384: Yokogawa's spelling for plates of 1536 wells.
_QUARTER = re.compile(r"\s*([A-Pa-p])0*(\d{1,2})\.([abAB])([12])\s*")
_NAME = re.compile(r"\s*(?:[Ww][Ee][Ll][Ll][-_: ]+)?([A-Za-z]{1,2})\s*[-_:,/ ]?\s*0*(\d{1,3})\s*")
_NUMBERS = re.compile(r"\s*R(?:ow)?[-_ ]*0*(\d{1,9})[-_, ]*C(?:ol(?:umn)?)?[-_ ]*0*(\d{1,9})\s*", re.I)


def normalise_well(name: str) -> str:
    """A well's name as `A01`: the row in capitals, the column in two digits.

    Args:
        name: `A1`, `a01`, `A-1`, `Well A1`, `AA01`, row and column numbers as `r02c03`, or a quarter of a well
            of 384 as `A01.b2` (Yokogawa's spelling of plates with 1536 wells).

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
    numbers = _NUMBERS.fullmatch(name)
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


@cache  # a plate has 384 wells, its files name them thousands of times
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


def with_wells(facts: pd.DataFrame, where: str, *, first_line: int = 1) -> pd.DataFrame:
    """Facts of rows with their wells spelled `A01`, in the column `well`.

    Args:
        facts: rows with a column of wells, or with columns of their rows and columns, under any name of the
            vocabulary; those columns are replaced.
        where: the file, for messages.
        first_line: number of the first row in messages.

    Raises:
        InputError: no such columns; names that are not wells, empty ones too.

    Example:
        >>> rows = pd.DataFrame({"Row": ["A", "B"], "Col": [1, 12], "gene": ["x", "y"]})
        >>> with_wells(rows, "map.csv").to_dict("list")
        {'gene': ['x', 'y'], 'well': ['A01', 'B12']}
    """
    headers = columns_of(facts, ("well", "row", "column"))
    named = [headers[term].text for term in (("well",) if "well" in headers else ("row", "column")) if term in headers]
    if "well" not in headers and len(named) < 2:
        raise InputError(
            f"{where}: no column of wells (well, well_position, Metadata_Well, or row and column) among "
            f"{', '.join(map(str, facts))}"
        )
    wells, odd = [], []
    for line, cells in enumerate(zip(*(facts[name] for name in named), strict=True), first_line):
        try:
            wells.append(_well_of(cells))
        except InputError as error:
            odd.append(f"row {line}: {error}")
    if odd:
        raise InputError(f"{where}: {len(odd)} of {len(facts)} rows name no well; {'; '.join(odd[:3])}")
    return facts.drop(columns=named).assign(well=pd.Series(wells, index=facts.index, dtype="str"))


def _well_of(cells: Sequence[Any]) -> str:
    """The well of one cell, or of a row and a column; numbers that passed through a float lose their point."""
    if any(pd.isna(cell) for cell in cells):
        raise InputError("empty")
    plain = [re.sub(r"^(\d+)\.0$", r"\1", str(cell).strip()) for cell in cells]
    return normalise_well(plain[0]) if len(plain) == 1 else well_at(plain[0], plain[1])


def spell_well(well: WellT) -> WellT | str:
    """A well as `A01`; other text stays as it is.

    Example:
        >>> spell_well("a1"), spell_well("slide 7"), spell_well("")
        ('A01', 'slide 7', '')
    """
    try:
        return normalise_well(str(well))
    except InputError:
        return well


def spell_wells(wells: Iterable[Any]) -> list[Any]:
    """Wells as `A01`; other text and missing values stay as they are.

    Example:
        >>> spell_wells(["a1", "P24", "slide 7"])
        ['A01', 'P24', 'slide 7']
    """
    return [well if pd.isna(well) else spell_well(well) for well in wells]


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
