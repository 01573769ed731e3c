"""Plate-shaped layouts: a grid per fact, with letters down the side and numbers along the top, as plates are drawn.

A file holds one grid or several under each other, each with its title in the corner or in the line above; a workbook
may hold one per sheet, titled by the sheet. They become one table with a row per well and a column per title.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cytoimagenet_hf.core.errors import InputError

from .cells import parse_numbers, text_column
from .tabular import read_sheets
from .vocabulary import read_header, role_of
from .wells import well_at

SHAPES = {6: 4, 8: 6, 12: 8, 24: 16, 48: 32, 4: 2, 3: 2}
"""Columns of a plate → its rows, from 6 wells to 1536."""

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Layout:
    """What grids say: `well` (`A01`) and a column per title, without wells of which no grid says anything."""

    rows: pd.DataFrame
    notes: tuple[str, ...]


def read_layout(path: str | Path, *, sheet: str | None = None, encoding: str | None = None) -> Layout | None:
    """The layout that a file draws; None where it draws none, so that it is a table with a heading.

    Of a workbook all sheets that hold grids are read, or the one that is named.

    Raises:
        InputError: two grids of one title, a grid without a title beside others, or one of numbers without a title.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "map.csv").write_text("dose_uM,1,2,3\\nA,0,1,10\\nB,0,,30\\n")
        ...     read_layout(Path(folder) / "map.csv").rows.to_dict("list")
        {'well': ['A01', 'A02', 'A03', 'B01', 'B03'], 'dose_uM': ['0', '1', '10', '0', '30']}
    """
    path = Path(path)
    sheets = read_sheets(path, sheet=sheet, encoding=encoding)
    drawn = {name: grids_here for name, rows in sheets.items() if (grids_here := _grids(rows))}
    if not drawn or (sheet is None and next(iter(sheets)) not in drawn):
        return None
    notes = [f"{path.name} is drawn as a plate: {sum(map(len, drawn.values()))} grids of wells are read"]
    grids: dict[str, dict[str, str]] = {}
    alone = sum(map(len, drawn.values())) == 1
    for name, grids_here in drawn.items():
        for title, wells in grids_here:
            of_sheet = _says(name) or (len(drawn) > 1 and len(grids_here) == 1)
            titled = title if _says(title) or (title and not alone) else name if of_sheet else ""
            titled = titled or _untitled(wells, path, notes, title=title, alone=alone)
            if titled in grids or read_header(titled).term in _PLACES:
                raise InputError(
                    f"{path}: two grids are called {titled!r}, or one is called after wells: give each its title in "
                    "the corner or in the line above, and write several plates as a table with a column of plates"
                )
            grids[titled] = wells
    return Layout(_table(grids), tuple(notes))


def _grids(rows: Rows) -> list[tuple[str, dict[str, str]]]:
    """Title and cells by well of each grid on a sheet."""
    grids = []
    for place, row in enumerate(rows):
        width = _numbered(row)
        below = rows[place + 1 : place + 1 + SHAPES.get(width, 0)]
        letters = _lettered(below, width) if width else 0
        if not letters:
            continue
        corner = row[0].strip()
        above = [cell.strip() for cell in rows[place - 1] if cell.strip()] if place else []
        title = corner or (above[0] if len(above) == 1 else "")
        grids.append((title, _cells(below[:letters], width)))
    return grids


def _numbered(row: Sequence[str]) -> int:
    """How many columns a line numbers, behind its first cell; 0 where it is no head of a grid."""
    numbers = [cell.strip().removesuffix(".0").lstrip("0") for cell in row[1:]]
    while numbers and not numbers[-1]:
        numbers.pop()
    return len(numbers) if numbers == [str(n) for n in range(1, len(numbers) + 1)] and len(numbers) in SHAPES else 0


def _lettered(rows: Rows, width: int) -> int:
    """How many of the rows begin with the letters of a plate, in order."""
    count = 0
    for number, row in enumerate(rows, 1):
        if (
            not row
            or row[0].strip().upper() != well_at(number, 1)[:-2]
            or any(cell.strip() for cell in row[width + 1 :])
        ):
            break
        count += 1
    return count if count >= 2 else 0


def _cells(rows: Rows, width: int) -> dict[str, str]:
    return {
        well_at(number, column): row[column].strip() if column < len(row) else ""
        for number, row in enumerate(rows, 1)
        for column in range(1, width + 1)
    }


_PLACES = ("well", "row", "column", "plate", "site")


def _says(title: str) -> bool:
    """Whether a title says what the cells of a grid are; `Plate 1` and `<>` do not."""
    term = read_header(title).term
    return bool(term) and term not in _PLACES


def _untitled(wells: Mapping[str, str], path: Path, notes: list[str], *, title: str, alone: bool) -> str:
    """What a grid without a title is: roles where every cell is a word for one, else compounds; never numbers."""
    cells = [cell for cell in wells.values() if cell]
    odd = parse_numbers(text_column(cells)).odd
    called = f"is called {title!r}" if title else "has no title"
    if not alone or not cells or not odd.any():
        raise InputError(
            f"{path}: a grid of wells {called}, and its cells do not say what they are: write it in the corner or in "
            "the line above, such as compound or dose_uM"
        )
    term = "role" if all(role_of(cell) for cell in cells) else "compound"
    notes.append(f"the grid of {path.name} {called}: its cells are taken for the {term} of each well")
    return term


def _table(grids: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    wells = list(dict.fromkeys(well for cells in grids.values() for well in cells))
    filled = [well for well in wells if any(cells.get(well) for cells in grids.values())]
    columns = {title: [cells.get(well) or None for well in filled] for title, cells in grids.items()}
    return pd.DataFrame({"well": filled, **columns}, dtype="str")
