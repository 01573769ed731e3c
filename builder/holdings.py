"""What somebody held of each source: a table of numbers, and the fields of view that make them up.

The paper's labels follow from its author's downloads as much as from his rules: of idr0088 he held some 85,000 of
952,000 fields. `builder/holdings.csv` holds what can be known of that, each number with its certainty and its public
basis (files of the repository stan-hua/CytoImageNet); another file of the same form describes other holdings.
Which fields were held is not known: whole plates are drawn, as downloads go folder by folder.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.dataset.schema import CATEGORIES
from cytoimagenet_hf.tables.tabular import read_table

from .sources import SOURCES

AUTHOR = Path(__file__).with_name("holdings.csv")
CERTAINTIES = ("table", "reference", "docs", "inferred")
_COLUMNS = ("source", "column", "label", "fields", "certainty", "basis")
_Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Holding:
    """How many fields of a source, or of one label in it, were held; `basis` says where the number is from."""

    source: str
    column: str
    label: str
    fields: int
    certainty: str
    basis: str


def read_holdings(name_or_path: str) -> tuple[Holding, ...]:
    """The rows of a holdings file: `author` for the shipped one, or the path of a CSV; none for "".

    Example:
        >>> {held.source: held.fields for held in read_holdings("author")}["idr0088"]
        85000
    """
    if not name_or_path:
        return ()
    path = AUTHOR if name_or_path == "author" else Path(name_or_path)
    if not path.is_file():
        raise InputError(f"holdings {name_or_path!r} is neither `author` nor a file that exists")
    table = read_table(path, required=_COLUMNS, columns=_COLUMNS).fillna("")
    holdings: dict[tuple[str, str, str], Holding] = {}
    for line, row in enumerate(table.to_dict("records"), start=2):
        source, column, label = (row[name].strip().lower() for name in _COLUMNS[:3])
        where = f"{path}, line {line}"
        if source not in SOURCES:
            raise InputError(f"{where}: {source!r} is not a source; known are {', '.join(SOURCES)}")
        if (column == "") != (label == "") or (column and column not in CATEGORIES):
            raise InputError(f"{where}: column and label are both empty, or a label of {', '.join(CATEGORIES)}")
        if not row["fields"].strip().isdecimal():
            raise InputError(f"{where}: fields is {row['fields']!r}; write a number of fields of view such as 85000")
        if row["certainty"].strip() not in CERTAINTIES:
            raise InputError(f"{where}: certainty is {row['certainty']!r}; one of {', '.join(CERTAINTIES)}")
        if (source, column, label) in holdings:
            raise InputError(f"{where}: {source} {label}".rstrip() + " occurs twice: keep one of the lines")
        holding = Holding(source, column, label, int(row["fields"]), row["certainty"].strip(), row["basis"].strip())
        holdings[source, column, label] = holding
    return tuple(holdings.values())


def held_rows(
    holdings: tuple[Holding, ...], codes: dict[str, _Codes], values: dict[str, list[str]], *, seed: int
) -> npt.NDArray[np.bool_]:
    """Which fields of view are held, (rows,) bool; sources and labels that `holdings` does not name are held whole.

    `codes` and `values` are those of a `FieldTable`, with `dir_name`, `plate` and the label columns. Of a limited
    source whole plates are held, in an order drawn by the seed, and of the last of them a part; fields without a plate
    count as a plate each. A label with a number of its own is limited within its source first.
    """
    rows = len(codes["dir_name"])
    held = np.ones(rows, np.bool_)
    position = {name: number for number, name in enumerate(values["dir_name"])}
    for holding in sorted(holdings, key=lambda holding: holding.label == ""):  # labels first, their source last
        if holding.source not in position:
            continue
        of = held & (codes["dir_name"] == position[holding.source])
        if holding.label:
            cells = [holding.label in cell.split("|") for cell in values[holding.column]]
            of &= np.array([*cells, False])[codes[holding.column]]
        candidates = np.flatnonzero(of)
        if len(candidates) <= holding.fields:
            continue
        rng = derive_rng(seed, "holdings", f"{holding.source}/{holding.label}")
        place = rng.random(len(values["plate"]) + 1)[codes["plate"][candidates]]
        alone = codes["plate"][candidates] < 0
        place[alone] = rng.random(int(alone.sum()))
        held[candidates[np.argsort(place, kind="stable")[holding.fields :]]] = False
    return held
