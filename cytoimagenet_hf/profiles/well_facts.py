"""What a plate map says of each well: control or treatment, compound, dose; whatever its columns are called."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.cells import parse_amounts, parse_numbers, text_column
from cytoimagenet_hf.tables.columns import column_of
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.vocabulary import (
    Header,
    columns_of,
    is_vehicle,
    read_header,
    role_of,
    stated_unit,
    unit_of,
)

from .conditions import Conditions, column_named, conditions
from .steps import Mask

_NO_COMPOUND = ("", "none", "empty", "blank")
_NOT_AVAILABLE = ("nan", "na", "n/a")  # of a compound; NA is also a gene
_READ: tuple[str, ...] = ("role", "compound", "dose", "unit")
_PLACES = ("plate", "well", "site", "row", "column", "z", "t", "timepoint", "count")
"""Facts that say where a row is from, or how many it stands for."""


@dataclass(frozen=True)
class WellFacts:
    """What is known of each row, in the order of the table.

    Attributes:
        role: (n,) `negative`, `positive`, `empty`, `treatment`, or empty text where nothing says.
        compound: (n,) name, empty text where none.
        dose: (n,) float, NaN where none.
        unit: of the doses; empty text where nothing says.
        notes: how the columns were read, a sentence each.
        columns: what was read from which column.
        conditions: what one treatment is, and what wells are kept apart by.
        unused: columns that nothing was read from.
    """

    role: npt.NDArray[Any]
    compound: npt.NDArray[Any]
    dose: npt.NDArray[np.float64]
    unit: str
    notes: tuple[str, ...]
    columns: dict[str, str]
    conditions: Conditions
    unused: tuple[str, ...] = ()

    @property
    def negative(self) -> Mask:
        """(n,) negative controls."""
        return np.asarray(self.role == "negative")

    @property
    def treatment(self) -> npt.NDArray[Any]:
        """(n,) compound, dose and what else belongs to it in one word, `taxol 0.3 µM`; controls by their role."""
        return self.conditions.treatment


def well_facts(
    table: FeatureTable,
    *,
    controls: str | None = None,
    control_column: str | None = None,
    compound_column: str | None = None,
    dose_column: str | None = None,
    dose_unit: str | None = None,
    treatment: Sequence[str] | None = None,
) -> WellFacts:
    """Read roles, compounds and doses from the metadata of a table, by the vocabulary of columns.

    Args:
        table: rows with metadata, for example from a plate map.
        controls: a pandas query that negative controls fulfil, on the columns with or without `Metadata_`:
            `"compound == 'DMSO'"`. It replaces what the table says of negative controls.
        control_column: the column of roles; by default those of the vocabulary, the first that says one of a row.
        compound_column: the column of compounds, where the vocabulary does not know it.
        dose_column: the column of doses, where the vocabulary does not know it.
        dose_unit: unit of the doses where no column says; doses in another one are converted to it.
        treatment: columns that together are one treatment, see `conditions.conditions`.

    Raises:
        InputError: no such column; a query that fails, marks no row or is not true or false; doses that are no
            numbers; units that cannot be converted into each other; doses without a unit beside others with one.

    Example:
        >>> facts = pd.DataFrame({"role": ["negcon", "trt"], "compound": ["DMSO", "taxol"], "conc": [0, 0.3]})
        >>> table = FeatureTable(np.array(["a", "b"]), np.ones((2, 1)), facts, ("x",))
        >>> wells = well_facts(table, dose_unit="uM")
        >>> wells.role.tolist(), wells.treatment.tolist()
        (['negative', 'treatment'], ['negative control', 'taxol 0.3 µM'])
    """
    metadata = table.metadata.reset_index(drop=True)
    headers = columns_of(name for name in metadata if metadata[name].notna().any())
    named = {"role": control_column, "compound": compound_column, "dose": dose_column}
    for term, given in named.items():
        if given is not None:
            column = column_named(metadata, given)
            headers[term] = replace(read_header(column), text=column, unit=stated_unit(column))
    if "compound" not in headers and (gene := headers.get("gene", headers.get("sirna"))):
        headers["compound"] = gene
    notes: list[str] = []
    compound = _compounds(metadata, headers.get("compound"))
    roles = _role_columns(metadata) if control_column is None else [headers["role"].text]
    role = _roles(metadata, roles, notes)
    if not roles:
        vehicle = np.array([is_vehicle(name) for name in compound], dtype=bool)
        role[vehicle] = "negative"
        role[(compound != "") & ~vehicle] = "treatment"
        if vehicle.any():
            notes.append(f"no column of roles: {int(vehicle.sum())} wells of {compound[vehicle][0]} are the controls")
    if controls is not None:
        marks = query_rows(table, controls)
        role[role == "negative"] = "treatment"
        role[marks] = "negative"
        notes.append(f"negative controls: {int(marks.sum())} rows where {controls}")
    used: dict[str, str] = {term: headers[term].text for term in _READ if term in headers}
    if "compound" in headers and not (role == "negative").any():
        used |= _without_compound(metadata, headers, compound, role, notes)
    dose, unit = _doses(metadata, headers, (role == "negative") | (role == "empty"), dose_unit, notes)
    if "dose" not in used:
        used.pop("unit", None)
    amount = np.array([f"{number:g} {unit}".rstrip() if number > 0 else "" for number in dose], dtype=object)
    equal = conditions(metadata, role, compound, amount, used, treatment=treatment)
    notes += equal.notes
    unused = _unused(metadata, [*used.values(), *roles, *equal.parts, *equal.settings], equal.pooled, notes)
    return WellFacts(role, compound, dose, unit, tuple(notes), used, equal, unused)


def _unused(metadata: pd.DataFrame, used: list[str], pooled: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    """Columns that nothing was read from; a note lists those whose values differ."""
    unused = [str(name) for name in metadata if str(name) not in used and read_header(str(name)).term not in _PLACES]
    unused = [name for name in unused if name not in _PLACES]
    unused.sort(key=lambda name: name not in pooled)  # those first in which wells differ that count as equal
    varied = {name: metadata[name].nunique(dropna=False) for name in unused}
    shown = [f"{name} ({count} values)" for name, count in varied.items() if count > 1]
    if shown:
        some = ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
        notes.append(
            f"columns that were not used: {some}; what a column says is named with --compound-column, --dose-column "
            "or --control-column"
        )
    return tuple(unused)


def query_rows(table: FeatureTable, query: str) -> Mask:
    """(n,) true for rows that fulfil a pandas query on the columns, with or without `Metadata_`.

    Raises:
        InputError: the query fails, is not true or false for each row, or no row fulfils it.

    Example:
        >>> facts = pd.DataFrame({"compound": ["DMSO", "taxol"]})
        >>> table = FeatureTable(np.array(["a", "b"]), np.ones((2, 1)), facts, ("x",))
        >>> query_rows(table, "compound == 'DMSO'").tolist()
        [True, False]
    """
    facts = table.metadata.reset_index(drop=True)
    if "@" in query or "__" in query:
        raise InputError(f"controls {query!r}: write a comparison of columns, such as \"role == 'negative'\"")
    try:
        marks = _evaluated(facts, query)
    except Exception as error:
        try:  # an unknown column is text, and the query may take it for a number
            marks = _evaluated(_with_numbers(facts), query)
        except Exception:
            raise InputError(
                f"controls {query!r} cannot be evaluated ({type(error).__name__}: {error}); the columns are "
                f"{', '.join(map(str, facts)) or 'none'}"
            ) from error
    if isinstance(marks, pd.Series) and marks.dtype == bool and not marks.any():
        marks = _evaluated(_with_numbers(facts), query)
    if not isinstance(marks, pd.Series) or marks.dtype != bool:
        raise InputError(f"controls {query!r} is no condition: write a comparison, such as \"role == 'negative'\"")
    if not marks.any():
        columns = [str(name) for name in facts if str(name) in query]
        have = "; ".join(f"{name}: {', '.join(map(str, facts[name].dropna().unique()[:6]))}" for name in columns)
        raise InputError(f"no row fulfils {query!r}" + (f"; there is {have}" if have else ""))
    return np.asarray(marks.to_numpy(bool))


def _evaluated(facts: pd.DataFrame, query: str) -> Any:
    return pd.concat([facts, facts.rename(columns=column_of)], axis=1).eval(query)


def _with_numbers(metadata: pd.DataFrame) -> pd.DataFrame:
    """Unknown columns as numbers, where every cell is a number."""
    unknown = [name for name in metadata if read_header(str(name)).kind == "unknown"]
    parsed = {name: parse_numbers(text_column(metadata[name])) for name in unknown}
    return metadata.assign(**{str(name): numbers.values for name, numbers in parsed.items() if not numbers.odd.any()})


def _text(metadata: pd.DataFrame, column: str | None) -> npt.NDArray[Any]:
    if column is None:
        return np.full(len(metadata), "", dtype=object)
    return np.array(["" if pd.isna(value) else str(value).strip() for value in metadata[column]], dtype=object)


def _compounds(metadata: pd.DataFrame, header: Header | None) -> npt.NDArray[Any]:
    """Names of compounds; empty text for words such as `none`."""
    compound = _text(metadata, header.text if header else None)
    none = _NO_COMPOUND if header and header.term in ("gene", "sirna") else (*_NO_COMPOUND, *_NOT_AVAILABLE)
    compound[[name.lower() in none for name in compound]] = ""
    return compound


def _role_columns(metadata: pd.DataFrame) -> list[str]:
    """Columns of roles, the likeliest first: JUMP says `trt` in one and `negcon` in another."""
    headers = [read_header(str(name)) for name in metadata if metadata[name].notna().any()]
    return [header.text for header in sorted(headers, key=lambda header: header.rank) if header.term == "role"]


def _roles(metadata: pd.DataFrame, columns: list[str], notes: list[str]) -> npt.NDArray[Any]:
    """The role of each row, from the first column with one; a note lists words that are not understood."""
    role = np.full(len(metadata), "", dtype=object)
    words_of = np.full(len(metadata), "", dtype=object)
    for column in columns:
        words = _text(metadata, column)
        meant = np.array([role_of(word) for word in words], dtype=object)
        # JUMP and the Broad leave the role of a compound empty in some maps, and write "control" for any control.
        words_of = np.where((words_of == "") & (meant == ""), words, words_of)
        role = np.where(role == "", meant, role)
    odd = Counter(words_of[(role == "") & (words_of != "")])
    if odd:
        some = ", ".join(f"{word!r} ({count})" for word, count in list(odd.items())[:5])
        notes.append(f"roles not understood in {', '.join(columns)}: {some}; name the controls with --controls")
    return role


def _without_compound(
    metadata: pd.DataFrame,
    headers: Mapping[str, Header],
    compound: npt.NDArray[Any],
    role: npt.NDArray[Any],
    notes: list[str],
) -> dict[str, str]:
    """Wells without a compound are controls where their solvent is named; else a note suggests the query.

    The maps of the Broad, of JUMP and of LINCS leave `broad_sample` empty in wells of DMSO.
    """
    column = headers["compound"].text
    empty = (compound == "") & (role == "")
    if not empty.any() or empty.all():
        return {}
    vehicle = headers.get("vehicle")
    solvents = _text(metadata, vehicle.text if vehicle else None)
    controls = empty & np.array([is_vehicle(solvent) for solvent in solvents], dtype=bool)
    if vehicle is None or not controls.any():
        spelled = column if column.isidentifier() else f"`{column}`"
        notes.append(
            f"{int(empty.sum())} wells have no {column}: if they are the negative controls, say --controls "
            f'"{spelled}.isna()"'
        )
        return {}
    role[controls] = "negative"
    notes.append(
        f"{int(controls.sum())} wells have no {column} and {solvents[controls][0]} as {vehicle.text}: they are taken "
        "for the negative controls"
    )
    return {"vehicle": vehicle.text}


def _doses(
    metadata: pd.DataFrame,
    headers: Mapping[str, Header],
    controls: Mask,
    dose_unit: str | None,
    notes: list[str],
) -> tuple[npt.NDArray[np.float64], str]:
    """Doses of compounds in one unit; what a control got (0.1 % of DMSO) is not a dose of a compound."""
    if "dose" not in headers:
        return np.full(len(metadata), np.nan), ""
    column = headers["dose"].text
    cells = text_column(metadata[column])
    numbers, stated = parse_amounts(cells)
    odd = ~controls & (numbers.odd | np.isinf(numbers.values))
    if odd.any():
        remark = numbers.remark or "write numbers, and the unit behind them, in the heading or in a column of its own"
        raise InputError(
            f"{int(odd.sum())} doses in {column} are not numbers, such as {cells[int(odd.argmax())].as_py()!r}: "
            f"{remark}"
        )
    values = numbers.values.copy()
    values[controls & ~(values == 0)] = np.nan
    if (values < 0).any():
        raise InputError(f"{int((values < 0).sum())} doses in {column} are negative")
    if "unit" in headers:
        units = _text(metadata, headers["unit"].text)
    else:
        units = np.full(len(metadata), headers["dose"].unit, dtype=object)
    inside = (values > 0) & (stated != "")
    twice = inside & (units != "") & (np.array([unit_of(unit).symbol for unit in units], dtype=object) != stated)
    if twice.any():
        row = int(twice.argmax())
        raise InputError(
            f"{int(twice.sum())} doses in {column} state two units, such as {cells[row].as_py()!r} in {units[row]}: "
            "keep one of them"
        )
    units = np.where(inside, stated, units)
    return _on_one_scale(values, units, headers, dose_unit, notes)


def _on_one_scale(
    values: npt.NDArray[np.float64],
    units: npt.NDArray[Any],
    headers: Mapping[str, Header],
    dose_unit: str | None,
    notes: list[str],
) -> tuple[npt.NDArray[np.float64], str]:
    """Doses in one unit, `dose_unit` or the first that is stated, and that unit; no unit of a zero dose matters."""
    column = headers["dose"].text
    given = values > 0
    stated = list(dict.fromkeys(units[given & (units != "")].tolist()))
    if not stated:
        if dose_unit is None:
            notes.append(f"no unit of the doses in {column}: name it with --dose-unit")
        return values, unit_of(dose_unit).symbol if dose_unit else ""
    if (bare := given & (units == "")).any():
        if dose_unit is None:
            where = f"fill {headers['unit'].text}, or " if "unit" in headers else ""
            raise InputError(
                f"{int(bare.sum())} doses in {column} have no unit where others are in {', '.join(stated)}: "
                f"{where}name theirs with --dose-unit"
            )
        units = np.where(bare, dose_unit, units)
        stated = list(dict.fromkeys([*stated, dose_unit]))
    target = unit_of(dose_unit or stated[0])
    if {unit_of(unit).symbol for unit in stated} == {target.symbol}:
        return values, target.symbol
    if odd := [unit for unit in stated if unit_of(unit).dimension != target.dimension]:
        other = odd if target.dimension in _DIMENSIONS else [target.symbol]
        dimension = _DIMENSIONS.get(target.dimension, _DIMENSIONS["molar"])
        raise InputError(
            f"doses in {', '.join(stated)} cannot be shown in {target.symbol}: {', '.join(other)} is not {dimension}"
        )
    factors = [
        unit_of(unit).factor / target.factor if amount else 1.0 for unit, amount in zip(units, given, strict=True)
    ]
    notes.append(f"doses in {', '.join(stated)} are shown in {target.symbol}")
    return values * np.array(factors), target.symbol


_DIMENSIONS = {
    "molar": "molar (pM, nM, µM, mM or M)",
    "mass": "mass per volume (ng/mL, µg/mL, mg/mL, g/L)",
    "percent": "a per cent",
}
