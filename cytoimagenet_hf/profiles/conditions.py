"""Which wells are equal: what one treatment is, and what is kept apart when wells are compared.

Beside compound and dose, wells may differ in a second compound, the gene, the cells or the time. A column in which
the negative controls differ (a cell line, a time point) is a setting: wells are compared with controls of their own
setting. A column that only splits treated wells (a second compound) is a part of the treatment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.vocabulary import TIMES, columns_of, key_of, plain_name, read_header

_SPLITTING = {"compound", "dose", "unit", "gene", "sirna", "vehicle", "cell_line", "time", "timepoint", "z"}
"""Terms (`compound2` among them) of which different values are different wells."""
_NOT_SPLITTING = {"plate", "well", "row", "column", "site", "count", "role", "plate_map", "batch", "replicate", "moa"}
_NONE = ("", "nan", "none", "na", "n/a", "<na>")

Text = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Conditions:
    """What one treatment is, row by row."""

    treatment: Text  # (n,) `cmpA 0.3 µM + inhibX`; `negative control` for these
    substance: Text  # (n,) the same without the dose of the compound: rows of one of them make a dose response
    setting: Text  # (n,) `cell_line U2OS, t 1`; empty text where none is known
    equal_in: tuple[str, ...]  # columns in which wells of equal treatment and setting agree, as sentences name them
    parts: tuple[str, ...]  # columns that belong to the treatment beside compound and dose
    settings: tuple[str, ...]  # columns that wells are judged apart by
    pooled: tuple[str, ...]  # columns not taken into account in which wells of equal treatment and setting differ
    notes: tuple[str, ...]  # a sentence each

    @property
    def alike(self) -> Text:
        """(n,) treatment and setting: rows that agree in it are replicates."""
        both = zip(self.treatment, self.setting, strict=True)
        return np.array([f"{treatment}, {setting}" if setting else treatment for treatment, setting in both], object)


def column_named(metadata: pd.DataFrame, name: str) -> str:
    """The column that a caller names by its header, with or without `Metadata_`, or by what it says (`cell_line`).

    Raises:
        InputError: no such column.

    Example:
        >>> table = pd.DataFrame({"plate": ["p"], "Cell line": ["U2OS"]})
        >>> column_named(table, "cell_line"), column_named(table, "Metadata_Plate")
        ('Cell line', 'plate')
    """
    if name in metadata:
        return name
    headers = {key_of(plain_name(str(column))): str(column) for column in reversed(list(metadata))}
    if (column := headers.get(key_of(plain_name(name)))) is not None:
        return column
    if (header := columns_of(map(str, metadata)).get(read_header(name).term or name)) is not None:
        return header.text
    raise InputError(f"no column {name!r}: the rows have {', '.join(map(str, metadata)) or 'none'}")


def frame_columns(table: FeatureTable) -> list[str]:
    """Columns that tell rows of one well apart: time points and focal planes."""
    metadata = table.metadata
    if "well" not in metadata or not len(table):
        return []
    keys = [key for key in ("plate", "well") if key in metadata]
    times = [str(name) for name in metadata if str(name) not in keys and read_header(str(name)).term in TIMES]
    return [
        name
        for name in times
        if metadata[name].nunique() > 1 and (metadata.groupby(keys)[name].nunique(dropna=False) > 1).any()
    ]


def conditions(
    metadata: pd.DataFrame,
    role: Text,
    compound: Text,
    amount: Text,
    read_from: Mapping[str, str],
    *,
    treatment: Sequence[str] | None = None,
) -> Conditions:
    """What one treatment is.

    Args:
        metadata: of the rows.
        role: (n,) as in `WellFacts`.
        compound, amount: (n,) name, and dose with its unit; empty text where none.
        read_from: `compound`, `dose`, … → column that it was read from.
        treatment: columns that together are one treatment, and no others; by default compound, dose, and every
            column of the vocabulary that tells wells of equal ones apart.
    """
    metadata = metadata.reset_index(drop=True)
    texts = {str(name): _text(metadata[name]) for name in metadata}
    for term, values in (("compound", compound), ("dose", amount)):
        if term in read_from:
            texts[read_from[term]] = values
    base = [read_from[term] for term in ("compound", "dose") if term in read_from]
    negative, used = role == "negative", role != "empty"
    parts = list(dict.fromkeys(column_named(metadata, name) for name in treatment or ()))
    candidates = [
        name for name in texts if name not in {*read_from.values(), *parts} and _base_term(name) in _SPLITTING
    ]
    settings = [name for name in candidates if len(set(texts[name][negative]) - {""}) > 1]
    setting = np.full(len(metadata), "", object) if not settings else _joined({name: texts[name] for name in settings})
    notes = []
    if settings:
        notes.append(f"wells are judged apart by {', '.join(settings)}, in which negative controls differ")
    if treatment is None:
        codes = _codes([negative, *(texts[name] for name in base), setting])
        for name in candidates:
            if name not in settings and _splits(codes, texts[name], used & ~negative):
                parts.append(name)
                codes = _codes([codes, texts[name]])
        if parts:
            notes.append(f"wells that differ in {', '.join(parts)} are different treatments")
    with_dose = parts if treatment is not None else [*base, *parts]
    without_dose = [name for name in with_dose if name != read_from.get("dose")]
    whole = _words(role, with_dose, texts, read_from)
    substance = _words(role, without_dose, texts, read_from, negative="")
    equal = _codes([whole, setting]) if treatment is None else _codes([whole])
    unread = [name for name in texts if name not in {*with_dose, *settings} and _may_split(name, metadata[name])]
    pooled = [name for name in unread if _splits(equal, texts[name], used)]
    if treatment is not None:
        notes.append(f"one treatment is {', '.join(with_dose)}")
        if left := [name for name in (*base, *candidates) if name in pooled]:
            notes.append(f"wells of one treatment differ in {', '.join(left)}, and count as equal as --treatment says")
    equal_in = (*with_dose, *(settings if treatment is None else ()))
    return Conditions(whole, substance, setting, equal_in, tuple(parts), tuple(settings), tuple(pooled), tuple(notes))


def groups_of(plates: Sequence[str], setting: Text, role: Text) -> list[tuple[str, str, npt.NDArray[np.intp]]]:
    """(plate, setting, rows) of wells that are judged together; controls without a setting belong to all of a plate.

    Example:
        >>> settings = np.array(["U2OS", "A549", ""], object)
        >>> [(plate, setting, rows.tolist()) for plate, setting, rows in groups_of(["p"] * 3, settings,
        ...     np.array(["treatment", "treatment", "negative"], object))]
        [('p', 'U2OS', [0, 2]), ('p', 'A549', [1, 2])]
    """
    plate = np.asarray(plates, object)
    groups = []
    for name in dict.fromkeys(plates):
        on_plate = plate == name
        shared = on_plate & (setting == "") & np.isin(role, ("negative", "positive"))
        settings = list(dict.fromkeys(setting[on_plate].tolist()))
        if len(settings) > 1 and not (on_plate & (setting == "") & ~shared).any():
            settings = [text for text in settings if text]
        groups += [(name, str(text), np.flatnonzero(on_plate & ((setting == text) | shared))) for text in settings]
    return groups


def _base_term(name: str) -> str:
    return read_header(name).term.rstrip("0123456789")


def _text(column: pd.Series) -> Text:
    texts = ["" if pd.isna(value) else f"{value:g}" if isinstance(value, float) else str(value) for value in column]
    return np.array(["" if text.strip().lower() in _NONE else text.strip() for text in texts], object)


def _codes(columns: Sequence[npt.NDArray[np.generic] | Text]) -> npt.NDArray[np.intp]:
    frame = pd.DataFrame(dict(enumerate(columns)))
    return np.asarray(frame.groupby(list(frame), sort=False, dropna=False).ngroup(), np.intp)


def _splits(codes: npt.NDArray[np.intp], texts: Text, rows: npt.NDArray[np.bool_]) -> bool:
    """Whether rows of one code have different texts."""
    pairs = pd.DataFrame({"code": codes[rows], "text": texts[rows]}).drop_duplicates()
    return bool(pairs["code"].duplicated().any())


def _may_split(name: str, column: pd.Series) -> bool:
    """Whether a column can say something of wells: no place, no count, and no name that is another for each row."""
    values = column.dropna()
    unique = len(values) > 2 and values.astype(str).is_unique
    is_name = unique and pd.to_numeric(values, errors="coerce").isna().any()
    return _base_term(name) not in _NOT_SPLITTING and not is_name


def _joined(columns: Mapping[str, Text]) -> Text:
    """Texts of several columns as one, each after its name; empty ones are left out."""
    rows = zip(*columns.values(), strict=True)
    texts = [[f"{name} {text}" for name, text in zip(columns, row, strict=True) if text] for row in rows]
    return np.array([", ".join(row) for row in texts], object)


def _words(
    role: Text,
    columns: Sequence[str],
    texts: Mapping[str, Text],
    read_from: Mapping[str, str],
    *,
    negative: str = "negative control",
) -> Text:
    """A treatment in words: `cmpA 0.3 µM + inhibX, cell_line A549`."""
    words = []
    for place, kind in enumerate(role):
        if kind == "negative":
            words.append(negative)
            continue
        phrase = ""
        for name in columns:
            if not (text := texts[name][place]):
                continue
            term = read_header(name).term
            if name == read_from.get("compound"):
                phrase = text
            elif name == read_from.get("dose"):
                phrase = f"{phrase} {text}" if phrase else ""
            elif term.startswith("compound"):
                phrase += f" + {text}" if phrase else text
            else:
                phrase += f", {name} {text}" if phrase else f"{name} {text}"
        words.append(phrase or ((str(kind) or "unknown") if negative else ""))
    return np.array(words, object)
