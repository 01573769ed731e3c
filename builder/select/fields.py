"""The annotation table as integer codes: what the selection works on.

Comes in: `annotations.parquet` or a DataFrame, in any row order. Goes out: a `FieldTable` whose rows are ordered by
`idx` and whose codes are ordered by value, so nothing after it can depend on the order of rows in a file (L5, S2).
Only the columns asked for are read, as dictionaries: 2.7 million rows take about 200 MB.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import CATEGORIES

Codes = npt.NDArray[np.int32]
RowNumbers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class FieldTable:
    """Fields of view in the order of their `idx`.

    Attributes:
        idx: (rows,) large strings, ascending and unique: with 32-bit offsets they would end at 2 GiB.
        codes: column name → (rows,) int32, a position in `values[name]`; -1 where unknown.
        values: column name → its distinct values in alphabetical order.
    """

    idx: pa.Array
    codes: dict[str, Codes]
    values: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.idx)

    def without_labels(self, rows: npt.NDArray[np.bool_]) -> "FieldTable":
        """The same fields, of which `rows` carry no label: they stay in the table and can never be chosen."""
        hidden = {name: np.where(rows, np.int32(-1), self.codes[name]) for name in CATEGORIES}
        return replace(self, codes=self.codes | hidden)


def read_fields(path: Path, columns: Sequence[str]) -> FieldTable:
    """Read `idx` and some columns of a Parquet table; a damaged, empty or incomplete one is refused."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run `python -m builder annotate` into this folder first")
    try:
        present = pq.read_schema(path).names
        if absent := [name for name in ("idx", *columns) if name not in present]:
            raise InputError(f"{path} has no column {absent}: annotate again")
        with pq.ParquetFile(path, read_dictionary=list(columns)) as file:
            # Column by column: only the codes of the columns before are still in memory.
            return _encode(lambda name: file.read([name])[name], columns, where=str(path))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}. If it is damaged, annotate again") from error


def frame_fields(annotations: pd.DataFrame, columns: Sequence[str]) -> FieldTable:
    """The same from a DataFrame. `dir_name` and other columns that only stratify may be absent: all unknown."""
    if absent := [name for name in ("idx", *CATEGORIES) if name not in annotations.columns]:
        raise InputError(f"the annotation table has no column {absent}; it needs idx and {', '.join(CATEGORIES)}")
    arrays = {name: _text(annotations[name], name) for name in ("idx", *columns) if name in annotations.columns}
    for name in columns:
        arrays.setdefault(name, pa.nulls(len(annotations), pa.large_string()))
    return _encode(pa.table(arrays).column, columns, where="the annotation table")


def labels_by_rule(table: FieldTable, rule: str) -> FieldTable:
    """The same fields with label cells as a recipe's `uncertain_labels` takes them.

    By `none` a cell that lists what may be there (`human/mouse`) is unknown. By `published` each name of the list is a
    label (`human|mouse`), and cells are those of the published table where ours say more.
    """
    codes, values = dict(table.codes), dict(table.values)
    changes = [dict(part.split("=", 1) for part in cell.split("; ")) for cell in table.values["published"]]
    for name in CATEGORIES:
        listing = _marked(table, "uncertain", [name in cell.split("|") for cell in table.values["uncertain"]])
        changed = _marked(table, "published", [name in change for change in changes])
        if rule == "none":
            codes[name] = np.where(listing, np.int32(-1), codes[name])
        elif (listing | changed).any():
            cells = np.array([*values[name], ""], dtype=object)[codes[name]]
            cells[listing] = [cell.replace("/", "|") for cell in cells[listing]]
            texts = np.array([change.get(name, "") for change in changes] + [""], dtype=object)
            cells[changed] = texts[table.codes["published"][changed]]
            codes[name], values[name] = _by_value(pa.array(cells, pa.large_string()).dictionary_encode())
    return replace(table, codes=codes, values=values)


def _marked(table: FieldTable, column: str, is_marked: Sequence[bool]) -> npt.NDArray[np.bool_]:
    """The rows whose cell of a column is marked; `is_marked` has an entry for each of its values."""
    return np.array([*is_marked, False])[table.codes[column]]


def _text(values: "pd.Series[str]", name: str) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True).cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"the annotation table: column {name!r} must hold text or nulls: {error}") from error


def text_at(values: Sequence[str | None], codes: npt.NDArray[np.integer[Any]]) -> pa.Array:
    """Values at codes as strings; a code of -1 or a value of None is null."""
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string())).cast(pa.string())


def _encode(load: Callable[[str], pa.ChunkedArray], columns: Sequence[str], *, where: str) -> FieldTable:
    idx = _whole(load("idx").cast(pa.large_string()))
    if len(idx) == 0:
        raise InputError(f"{where} has no rows: there is nothing to select from")
    if idx.null_count:
        raise InputError(f"{where}: {idx.null_count} rows have no idx")
    order = None
    if len(idx) > 1 and not pc.all(pc.less(idx[:-1], idx[1:])).as_py():
        order = pc.sort_indices(idx)
        idx = idx.take(order)
        repeated = pc.equal(idx[:-1], idx[1:])
        if pc.any(repeated).as_py():
            example = idx[:-1].filter(repeated)[0].as_py()
            raise InputError(f"{where}: idx {example!r} and {pc.sum(repeated).as_py() - 1} others occur twice")
    codes, values = {}, {}
    for name in columns:
        column = load(name)
        encoded = _whole(column if pa.types.is_dictionary(column.type) else column.dictionary_encode())
        if order is not None:
            encoded = encoded.take(order)
        codes[name], values[name] = _by_value(encoded)
    return FieldTable(idx=idx, codes=codes, values=values)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _by_value(encoded: pa.DictionaryArray) -> tuple[Codes, list[str]]:
    """Codes and values renumbered so that code order is alphabetical; null and the empty string become -1."""
    raw = encoded.dictionary.to_pylist()
    positions_in_order = sorted(position for position, value in enumerate(raw) if value)
    positions_in_order.sort(key=raw.__getitem__)
    renumbered = np.full(len(raw) + 1, -1, np.int32)  # the last entry stands for null
    renumbered[positions_in_order] = np.arange(len(positions_in_order), dtype=np.int32)
    positions = encoded.indices.fill_null(len(raw)).to_numpy(zero_copy_only=False)
    return renumbered[positions], [raw[position] for position in positions_in_order]
