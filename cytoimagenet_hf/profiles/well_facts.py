"""What a plate map says of each well: control or treatment, compound, dose; whatever its columns are called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.features import FeatureTable

from .steps import Mask

_COLUMNS = {
    "role": ("role", "control_type", "pert_type", "well_type", "type", "well_role", "control"),
    "compound": (
        "compound", "compound_name", "compound name", "pert_iname", "broad_sample", "jcp2022", "treatment", "drug",
        "perturbation", "substance", "compound_id", "molecule", "gene", "sirna",
    ),
    "dose": (
        "concentration", "dose", "conc", "mmoles_per_liter", "mmoles_per_liter2", "compound_concentration",
        "mg_per_ml", "pert_dose", "dosage",
    ),
    "unit": ("concentration_unit", "concentration_units", "dose_unit", "dose_units", "unit", "units", "conc_unit"),
}  # fmt: skip
"""What a column says → the names it goes by, the likeliest first; compared without case, brackets and units."""

_ROLES = {
    "negative": ("negative", "negative_control", "negcon", "neg", "neg_control", "negctrl", "vehicle", "dmso", "mock"),
    "positive": ("positive", "positive_control", "poscon", "pos", "pos_control", "posctrl", "poscon_cp",
                 "poscon_diverse", "poscon_orf"),
    "empty": ("empty", "blank", "unused", "none", "no_cells"),
    "treatment": ("treatment", "trt", "experiment", "sample", "compound", "test", "treated", "experimental"),
}  # fmt: skip
_VEHICLES = ("dmso", "dimethyl sulfoxide", "vehicle", "untreated", "mock", "pbs", "water")
_NO_COMPOUND = ("", "none", "nan", "empty", "blank", "na", "n/a")
_MOLAR = {"pm": 1.0, "nm": 1e3, "um": 1e6, "mm": 1e9, "m": 1e12}  # in pM, so that ratios are exact
_UNITS = {"nanomolar": "nm", "micromolar": "um", "millimolar": "mm", "picomolar": "pm", "molar": "m",
          "mmol/l": "mm", "umol/l": "um", "nmol/l": "nm"}  # fmt: skip
_SHOWN = {"pm": "pM", "nm": "nM", "um": "µM", "mm": "mM", "m": "M"}
_OF_COLUMN = {"mmoles_per_liter": "mM", "mmoles_per_liter2": "mM", "mg_per_ml": "mg/mL"}


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
    """

    role: npt.NDArray[Any]
    compound: npt.NDArray[Any]
    dose: npt.NDArray[np.float64]
    unit: str
    notes: tuple[str, ...]
    columns: dict[str, str]

    @property
    def negative(self) -> Mask:
        """(n,) negative controls."""
        return np.asarray(self.role == "negative")

    @property
    def treatment(self) -> npt.NDArray[Any]:
        """(n,) compound and dose in one word, `taxol 0.3 µM`; controls by their role where they have no compound."""
        words = []
        for role, compound, dose in zip(self.role, self.compound, self.dose, strict=True):
            amount = f" {dose:g} {self.unit}".rstrip() if compound and np.isfinite(dose) and dose > 0 else ""
            words.append("negative control" if role == "negative" else f"{compound}{amount}" or str(role) or "unknown")
        return np.array(words, dtype=object)


def well_facts(
    table: FeatureTable,
    *,
    controls: str | None = None,
    control_column: str | None = None,
    dose_unit: str | None = None,
) -> WellFacts:
    """Read roles, compounds and doses from the metadata of a table.

    Args:
        table: rows with metadata, for example from a plate map.
        controls: a pandas query that negative controls fulfil, on the columns with or without `Metadata_`:
            `"compound == 'DMSO'"`. It replaces what the table says of negative controls.
        control_column: the column of roles; by default the first of `role`, `control_type`, `pert_type`, ….
        dose_unit: unit of the doses where no column says; doses in another one are converted to it.

    Raises:
        InputError: no such column; a query that fails, marks no row or is not true or false; doses that are no
            numbers; units that cannot be converted into each other; doses without a unit beside others with one.

    Example:
        >>> facts = pd.DataFrame({"role": ["negcon", "trt"], "compound": ["DMSO", "taxol"], "conc": [0, 0.3]})
        >>> table = FeatureTable(np.array(["a", "b"]), np.ones((2, 1)), facts, ("x",))
        >>> known = well_facts(table, dose_unit="uM")
        >>> known.role.tolist(), known.treatment.tolist()
        (['negative', 'treatment'], ['negative control', 'taxol 0.3 µM'])
    """
    metadata = table.metadata.reset_index(drop=True)
    found = {kind: name for kind, names in _COLUMNS.items() if (name := _find(metadata, names)) is not None}
    if control_column is not None:
        name = control_column.removeprefix("Metadata_")
        if name not in metadata:
            raise InputError(f"no column {control_column!r}: the rows have {', '.join(map(str, metadata)) or 'none'}")
        found["role"] = name
    notes: list[str] = []
    compound = _text(metadata, found.get("compound"))
    compound[np.isin(np.char.lower(compound.astype(str)), _NO_COMPOUND)] = ""
    role = _roles(metadata, found.get("role"), notes)
    if "role" not in found:
        vehicle = np.isin(np.char.lower(compound.astype(str)), _VEHICLES)
        role[vehicle] = "negative"
        role[(compound != "") & ~vehicle] = "treatment"
        if vehicle.any():
            notes.append(f"no column of roles: {int(vehicle.sum())} wells of {compound[vehicle][0]} are the controls")
    if controls is not None:
        marks = query_rows(table, controls)
        role[role == "negative"] = "treatment"
        role[marks] = "negative"
        notes.append(f"negative controls: {int(marks.sum())} rows where {controls}")
    dose, unit = _doses(metadata, found, dose_unit, notes)
    return WellFacts(role, compound, dose, unit, tuple(notes), found)


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
    plain = table.metadata.reset_index(drop=True)
    both = pd.concat([plain, plain.rename(columns=lambda name: f"Metadata_{_capital(str(name))}")], axis=1)
    if "@" in query or "__" in query:
        raise InputError(f"controls {query!r}: write a comparison of columns, such as \"role == 'negative'\"")
    try:
        marks = both.eval(query)
    except Exception as error:
        raise InputError(
            f"controls {query!r} cannot be evaluated ({type(error).__name__}: {error}); the columns are "
            f"{', '.join(map(str, plain)) or 'none'}"
        ) from error
    if not isinstance(marks, pd.Series) or marks.dtype != bool:
        raise InputError(f"controls {query!r} is no condition: write a comparison, such as \"role == 'negative'\"")
    if not marks.any():
        asked = [str(name) for name in plain if str(name) in query]
        have = "; ".join(f"{name}: {', '.join(map(str, plain[name].dropna().unique()[:6]))}" for name in asked)
        raise InputError(f"no row fulfils {query!r}" + (f"; there is {have}" if have else ""))
    return np.asarray(marks.to_numpy(bool))


def _find(metadata: pd.DataFrame, names: Sequence[str]) -> str | None:
    plain = {_simple(str(column)): str(column) for column in reversed(list(metadata))}
    return next((plain[name] for name in names if name in plain and metadata[plain[name]].notna().any()), None)


def _simple(column: str) -> str:
    name = re.sub(r"\s*[(\[].*?[)\]]\s*", "", column).strip().lower().replace(" ", "_")
    return re.sub(r"(_|^)(um|nm|mm|micromolar|nanomolar)$", "", name) or name


def _text(metadata: pd.DataFrame, column: str | None) -> npt.NDArray[Any]:
    if column is None:
        return np.full(len(metadata), "", dtype=object)
    return np.array(["" if pd.isna(value) else str(value).strip() for value in metadata[column]], dtype=object)


def _roles(metadata: pd.DataFrame, column: str | None, notes: list[str]) -> npt.NDArray[Any]:
    meanings = {word: role for role, words in _ROLES.items() for word in words}
    role = _text(metadata, column)
    odd: dict[str, int] = {}
    for place, said in enumerate(role):
        word = re.sub(r"[\s.\-]+", "_", said.lower()).strip("_")
        # JUMP and the Broad leave the role of a compound empty in some maps, and write "control" for any control.
        role[place] = meanings.get(word, "")
        if word and word not in meanings:
            odd[said] = odd.get(said, 0) + 1
    if odd:
        some = ", ".join(f"{said!r} ({count})" for said, count in list(odd.items())[:5])
        notes.append(f"roles not understood in {column}: {some}; name the controls with --controls")
    return role


def _doses(
    metadata: pd.DataFrame, found: dict[str, str], dose_unit: str | None, notes: list[str]
) -> tuple[npt.NDArray[np.float64], str]:
    if "dose" not in found:
        return np.full(len(metadata), np.nan), ""
    column = metadata[found["dose"]]
    given = column.map(lambda value: np.nan if pd.isna(value) or str(value).strip() == "" else value)
    dose = pd.to_numeric(given, errors="coerce")
    odd = given.notna() & ~np.isfinite(dose)
    if odd.any():
        raise InputError(
            f"{int(odd.sum())} doses in {found['dose']} are no numbers, such as {given[odd].iloc[0]!r}: write the "
            "unit in a column of its own"
        )
    if (dose < 0).any():
        raise InputError(f"{int((dose < 0).sum())} doses in {found['dose']} are negative")
    values = dose.to_numpy(np.float64)
    if "unit" in found:
        units = _text(metadata, found["unit"])
    else:
        units = np.full(len(metadata), _unit_in(found["dose"]), dtype=object)
    return _on_one_scale(values, units, found, dose_unit, notes)


def _on_one_scale(
    values: npt.NDArray[np.float64],
    units: npt.NDArray[Any],
    found: dict[str, str],
    dose_unit: str | None,
    notes: list[str],
) -> tuple[npt.NDArray[np.float64], str]:
    """Doses in one unit, `dose_unit` or the first that is stated, and that unit; no unit of a zero dose matters."""
    given = values > 0
    stated = list(dict.fromkeys(units[given & (units != "")].tolist()))
    if not stated:
        if dose_unit is None:
            notes.append(f"no unit of the doses in {found['dose']}: name it with --dose-unit")
        return values, _shown(dose_unit or "")
    if (bare := given & (units == "")).any():
        if dose_unit is None:
            raise InputError(
                f"{int(bare.sum())} doses in {found['dose']} have no unit where others are in {', '.join(stated)}: "
                f"fill {found['unit']}, or name theirs with --dose-unit"
            )
        units = np.where(bare, dose_unit, units)
        stated = list(dict.fromkeys([*stated, dose_unit]))
    target = dose_unit or stated[0]
    if {_shown(unit) for unit in stated} == {_shown(target)}:
        return values, _shown(target)
    base = _molar(target)
    if base is None or any(_molar(unit) is None for unit in stated):
        odd = [unit for unit in dict.fromkeys([*stated, target]) if _molar(unit) is None]
        raise InputError(
            f"doses in {', '.join(stated)} cannot be shown in {_shown(target)}: {', '.join(odd)} is not molar "
            "(pM, nM, µM, mM or M)"
        )
    factors = np.array(
        [(_molar(unit) or base) / base if amount else 1.0 for unit, amount in zip(units, given, strict=True)]
    )
    notes.append(f"doses in {', '.join(stated)} are shown in {_shown(target)}")
    return values * factors, _shown(target)


def _unit_in(column: str) -> str:
    """The unit that the name of a column says: `Concentration (microMolar)`, `dose_um`."""
    if column.lower() in _OF_COLUMN:
        return _OF_COLUMN[column.lower()]
    bracket = re.search(r"[(\[](.+?)[)\]]", column)
    tail = bracket[1] if bracket else column.rpartition("_")[2]
    return tail if bracket or _molar(tail) is not None else ""


def _molar(unit: str) -> float | None:
    word = unit.strip().lower().replace("µ", "u").replace("μ", "u").replace(" ", "")
    return _MOLAR.get(_UNITS.get(word, word))


def _shown(unit: str) -> str:
    word = unit.strip().lower().replace("µ", "u").replace("μ", "u").replace(" ", "")
    return _SHOWN.get(_UNITS.get(word, word), unit.strip())


def _capital(name: str) -> str:
    return name.capitalize() if name in ("plate", "well", "site") else name
