"""Cells of tables by the kind of their column: identities as text, measures as numbers, and whether two are equal.

An identity keeps the text of the file (`00123`, `1E05`, `NA`), in one Unicode form, since a Mac writes ü as two signs
and a spreadsheet as one. A measure is a number where every cell is one; a column of decimal commas is read as such.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .tabular import spell_number
from .vocabulary import parse_unit, read_header

MISSING = ("", "nan", "NaN", "NA", "N/A", "#N/A", "NULL", "null", "None", "<NA>")
"""Words for a number that is not there; in a column of identities they are names."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity|nan)", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")


@dataclass(frozen=True)
class Numbers:
    """A column of text read as numbers."""

    values: npt.NDArray[np.float64]  # (n,) float64, NaN where a cell is empty or no number
    odd: npt.NDArray[np.bool_]  # (n,) true where a cell is text that is not a number
    remark: str = ""  # what is wrong with the odd ones beyond being text; empty where nothing


def parse_numbers(cells: pa.ChunkedArray) -> Numbers:
    """Numbers of a column of text, with a point or, where the whole column has it, a decimal comma.

    `1,000` may be one or a thousand: a column of nothing but such cells is not guessed.

    Example:
        >>> parse_numbers(text_column(["0,3", "1,25", "2", None])).values.tolist()
        [0.3, 1.25, 2.0, nan]
        >>> parse_numbers(text_column(["0.5", "#DIV/0!"])).odd.tolist()
        [False, True]
    """
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type) or pa.types.is_null(cells.type)):
        return Numbers(_floats(cells.cast(pa.float64(), safe=False)), np.zeros(len(cells), dtype=bool))
    trimmed = pc.utf8_trim_whitespace(cells.cast(pa.large_string()))
    filled = pc.if_else(
        pc.is_in(trimmed, pa.array(MISSING, pa.large_string())), pa.scalar(None, trimmed.type), trimmed
    )
    try:
        return Numbers(_floats(pc.cast(filled, pa.float64())), np.zeros(len(cells), dtype=bool))
    except pa.ArrowInvalid:
        texts: list[str | None] = filled.to_pylist()
    numeric = np.array([text is None or bool(_NUMBER.fullmatch(text)) for text in texts], dtype=bool)
    commas = np.array([text is not None and bool(_COMMA.fullmatch(text)) for text in texts], dtype=bool)
    remark = ""
    if commas.any():
        pointed = any(text is not None and "." in text for text in texts)
        ambiguous = all(text is None or _THOUSANDS.fullmatch(text) for text in np.array(texts, object)[commas])
        if not pointed and not ambiguous:
            texts = [
                text.replace(",", ".") if comma and text else text for text, comma in zip(texts, commas, strict=True)
            ]
            numeric |= commas
        elif pointed:
            remark = "it has a decimal comma where other cells have a point: write one of them throughout"
        else:
            remark = "is the comma decimal, or does it mark thousands? Write the number with a point, or without comma"
    values = [float(text) if ok and text is not None else np.nan for text, ok in zip(texts, numeric, strict=True)]
    return Numbers(np.array(values, dtype=np.float64), ~numeric, remark)


def text_column(cells: Iterable[Any]) -> pa.ChunkedArray:
    """Cells as a column of text; what is missing is null."""
    texts = [None if pd.isna(cell) else str(cell) for cell in cells]
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def parse_amounts(cells: pa.ChunkedArray) -> tuple[Numbers, npt.NDArray[np.object_]]:
    """Numbers of a column in which cells such as `1 uM` state their unit, and those units; empty text where none.

    Example:
        >>> numbers, units = parse_amounts(text_column(["0", "100 nM", "1,5uM", "high"]))
        >>> numbers.values.tolist(), units.tolist(), numbers.odd.tolist()
        ([0.0, 100.0, 1.5, nan], ['', 'nM', 'µM', ''], [False, False, False, True])
    """
    numbers = parse_numbers(cells)
    units = np.full(len(cells), "", dtype=object)
    texts: list[str | None] = cells.to_pylist()
    for row in np.flatnonzero(numbers.odd):
        match = _AMOUNT.fullmatch((texts[row] or "").strip())
        unit = parse_unit(match["unit"]) if match else None
        if match and unit:
            texts[row], units[row] = match["number"], unit.symbol
    return (parse_numbers(text_column(texts)) if units.any() else numbers), units


_AMOUNT = re.compile(r"(?P<number>[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>[^\d\s].*)")


def _floats(cells: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(cells.to_numpy(), dtype=np.float64)


def spelled(value: Any) -> str:
    """An identity as text: composed Unicode, without blanks around it, whole numbers without a point.

    Example:
        >>> spelled(" 0012 "), spelled(12.0), spelled("u\u0308") == "\u00fc"
        ('0012', '12', True)
    """
    if isinstance(value, float | np.floating):
        return spell_number(float(value))
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)  # Parquet may not say "text"
    return unicodedata.normalize("NFC", text).strip()


def typed(facts: pd.DataFrame) -> pd.DataFrame:
    """Facts of rows by the kind of their columns: identities as text, measures as numbers where all cells are.

    An unknown column keeps what it holds; its text is composed Unicode without blanks around it.

    Example:
        >>> frame = typed(pd.DataFrame({"compound": ["00123", None], "dose_uM": ["0,3", "1,5"], "Amount": ["1", "2"]}))
        >>> frame.to_dict("list")
        {'compound': ['00123', nan], 'dose_uM': [0.3, 1.5], 'Amount': ['1', '2']}
    """
    return pd.DataFrame({name: _typed(facts[name], str(name)) for name in facts}, index=facts.index)


def _typed(column: pd.Series, name: str) -> pd.Series:
    kind = read_header(name).kind
    if column.dtype.kind in "iufb" and kind != "identity":
        return column
    if kind == "measure":
        texts = text_column(column)
        numbers = parse_numbers(texts)
        if not numbers.odd.any():
            whole = np.isfinite(numbers.values).all() and not re.search("[.,eE]", "".join(map(str, texts.to_pylist())))
            exact = whole and np.abs(numbers.values).max() < 2**53
            return pd.Series(numbers.values.astype(np.int64) if exact else numbers.values, index=column.index)
    cells = [None if empty else spelled(cell) for cell, empty in zip(column, column.isna(), strict=True)]
    return pd.Series(cells, index=column.index, dtype="str")


def differ(left: pd.Series, right: pd.Series, name: str) -> npt.NDArray[np.bool_]:
    """(n,) where two columns of one name both say something, and not the same.

    Measures are compared as numbers, everything else as text; an unknown column of numbers is compared with
    text that reads as numbers.

    Example:
        >>> differ(pd.Series(["1", "0.5", "7"]), pd.Series([1.0, 0.55, None]), "dose").tolist()
        [False, True, False]
        >>> differ(pd.Series(["012"]), pd.Series(["12"]), "plate").tolist()
        [True]
    """
    both = (left.notna().to_numpy(bool)) & (right.notna().to_numpy(bool))
    kind = read_header(name).kind
    numeric = any(column.dtype.kind in "iuf" for column in (left, right))
    texts = [np.array([spelled(cell) for cell in column], dtype=object) for column in (left, right)]
    unequal = texts[0] != texts[1]
    if kind == "measure" or (kind == "unknown" and numeric):
        first, second = (parse_numbers(text_column(column)) for column in texts)
        numbers = ~first.odd & ~second.odd & np.isfinite(first.values) & np.isfinite(second.values)
        close = np.isclose(first.values, second.values, rtol=1e-9, atol=0.0)
        unequal = np.where(numbers, ~close, unequal)
    return np.asarray(both & unequal.astype(bool))


def explain_odd(cells: Iterable[Any], numbers: Numbers, name: str) -> str:
    """What is wrong with a column that should hold numbers: how many cells, the first of them and its row.

    Example:
        >>> cells = ["1", "#DIV/0!"]
        >>> explain_odd(cells, parse_numbers(text_column(cells)), "Cells_Area")
        "Cells_Area has 1 cell that is not a number, '#DIV/0!' in row 2"
    """
    row = int(numbers.odd.argmax())
    count = int(numbers.odd.sum())
    cell = next(value for place, value in enumerate(cells) if place == row)
    counted = "1 cell that is not a number" if count == 1 else f"{count} cells that are not numbers"
    sentence = f"{name} has {counted}, {cell!r} in row {row + 1}"
    return f"{sentence}: {numbers.remark}" if numbers.remark else sentence
