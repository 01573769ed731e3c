"""The one feature table: rows known by id, with metadata and processing history.

Extraction writes it, profiles transform it, benchmarks score it. Rows meet by id, never by position: features of two
networks joined by row order once put the label into the features.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import parse_json

from .cells import differ, spelled
from .columns import column_of, fact_of, pack_names, unpack_names

_ABOUT = b"cytoimagenet_features"
NAMES_KEY = b"cytoimagenet_names"
"""Metadata of a Parquet file that names the features; only tables of this package have it."""

_PACKED = "features"


@dataclass(frozen=True)
class FeatureTable:
    """Features of images, sites, wells or treatments.

    Attributes:
        ids: (n,) unique text.
        values: (n, d) float32 or float64, finite.
        metadata: n rows in the order of `ids`; columns such as `plate`, `well`, `site` under the names of
            `Image.metadata`; no columns where nothing is known.
        names: (d,) unique names of the features, `Image_dna_b0_0003`.
        about: what made it: model, fingerprints, normalisation, and in `steps` every step since.
    """

    ids: npt.NDArray[Any]
    values: npt.NDArray[np.floating]
    metadata: pd.DataFrame
    names: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not len(self.ids) == len(self.values) == len(self.metadata):
            raise InputError(
                f"{len(self.ids)} ids and {len(self.metadata)} rows of metadata for features of shape "
                f"{self.values.shape}: one of each per row"
            )
        if len(self.names) != self.values.shape[1]:
            raise InputError(f"{len(self.names)} names for {self.values.shape[1]} features: one per column")
        for what, given in (("ids", self.ids.tolist()), ("feature names", self.names)):
            twice = [name for name, count in Counter(given).items() if count > 1]
            if twice:
                raise InputError(f"{len(twice)} {what} occur more than once, such as {twice[:3]}: they must be unique")
        odd = ~np.isfinite(self.values)
        if odd.any():
            rows, columns = odd.any(axis=1).nonzero()[0], odd.any(axis=0).nonzero()[0]
            raise InputError(
                f"{len(rows)} rows hold NaN or infinite features, such as {self.ids[rows[:3]].tolist()} in "
                f"{[self.names[column] for column in columns[:3]]}: extract them again, or drop those columns"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[str] | npt.NDArray[Any]) -> "FeatureTable":
        """The rows of these ids, in this order.

        Raises:
            InputError: an id has no features.
        """
        order = pd.Index(self.ids).get_indexer(pd.Index(ids))
        if (order < 0).any():
            missing = np.asarray(ids, dtype=object)[order < 0]
            raise InputError(
                f"no features for {len(missing)} of {len(order)} ids, such as {missing[:3].tolist()}: extract them "
                "from the same images, or compare how ids are written"
            )
        return self if np.array_equal(order, np.arange(len(self))) else self.take(order)

    def take(self, positions: npt.NDArray[Any]) -> "FeatureTable":
        """The rows at these positions (integers), or where a mask is true."""
        metadata = self.metadata.iloc[positions] if positions.dtype != bool else self.metadata[positions]
        return FeatureTable(
            self.ids[positions], self.values[positions], metadata.reset_index(drop=True), self.names, self.about
        )

    def to_pandas(self) -> pd.DataFrame:
        """One row per id: `id`, the `Metadata_*` columns, one column per feature.

        Example:
            >>> make_table(["a", "b"], [[1.0], [2.0]], {"well": ["A01", "A02"]}).to_pandas().columns.tolist()
            ['id', 'Metadata_Well', 'Image_all_x_0000']
        """
        facts = self.metadata.rename(columns=column_of)
        features = pd.DataFrame(self.values, columns=list(self.names))
        return pd.concat([pd.DataFrame({"id": self.ids.astype(str)}), facts, features], axis=1)

    def to_arrow(
        self, *, packed: bool = False, dtype: npt.DTypeLike | None = None, kinds: Mapping[str, str] | None = None
    ) -> pa.Table:
        """The table for Parquet, with `about` in its metadata.

        Args:
            packed: features as one column of lists, `features`, instead of one column per feature.
            dtype: of the stored features; float16 halves them. By default as they are.
            kinds: fact → `int64`, `double` or `string`; by default each column says its own.

        Raises:
            InputError: `dtype` cannot hold every value.
        """
        values = self.values if dtype is None else self._stored_as(np.dtype(dtype))
        columns = {"id": pa.array(self.ids.astype(str).tolist(), pa.string())}
        columns |= {
            column_of(str(name)): _to_arrow(self.metadata[name], (kinds or {}).get(str(name)))
            for name in self.metadata
        }
        if packed:
            flat = pa.array(np.ascontiguousarray(values).reshape(-1))
            columns[_PACKED] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        else:
            columns |= {name: pa.array(values[:, place]) for place, name in enumerate(self.names)}
        header = {_ABOUT: json.dumps(self.about, sort_keys=True), NAMES_KEY: json.dumps(pack_names(self.names))}
        return pa.table(columns).replace_schema_metadata(header)

    def _stored_as(self, dtype: np.dtype[Any]) -> npt.NDArray[np.floating]:
        with np.errstate(over="ignore"):
            values: npt.NDArray[np.floating] = self.values.astype(dtype)
        beyond = ~np.isfinite(values)
        if beyond.any():
            row, column = (int(places[0]) for places in beyond.nonzero())
            raise InputError(
                f"{int(beyond.sum()):,} of {beyond.size:,} values are larger than {dtype} holds "
                f"({np.finfo(dtype).max:,.0f}), such as {self.values[row, column]:.4g} in {self.names[column]} of "
                f"{self.ids[row]!r}: store them as float32 (--storage float32)"
            )
        return values

    @classmethod
    def from_arrow(cls, table: pa.Table) -> "FeatureTable":
        """The table of `to_arrow`, in either form.

        Raises:
            InputError: no `id` column, or no features.
        """
        header = table.schema.metadata or {}
        packed = _PACKED in table.column_names and pa.types.is_fixed_size_list(table.schema.field(_PACKED).type)
        if "id" not in table.column_names or not (packed or NAMES_KEY in header):
            raise InputError(f"no feature table: its columns are {', '.join(table.column_names[:8])}")
        about = parse_json(header.get(_ABOUT, b"{}"), where=f"its metadata {_ABOUT.decode()}")
        if not isinstance(about, dict):
            raise InputError(f"its metadata {_ABOUT.decode()} is not a JSON object: make the table again")
        if packed:
            width = table.schema.field(_PACKED).type.list_size
            flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table[_PACKED].chunks]
            values = np.concatenate([*flat, np.empty(0, np.float32)]).astype(np.float32, copy=False)
            values = values.reshape(-1, width)
            names = _names_of(header[NAMES_KEY], width) if NAMES_KEY in header else _plain_names(width)
        else:
            names = _names_of(header[NAMES_KEY], table.num_columns)
            if absent := [name for name in names if name not in table.column_names]:
                raise InputError(f"{len(absent)} of {len(names)} features have no column, such as {absent[:3]}")
            values = np.stack([table[name].to_numpy() for name in names], axis=1)
        facts = {name: column for column in table.column_names if (name := fact_of(column)) not in (None, "id")}
        columns = table.select(list(facts.values())).replace_schema_metadata(None).rename_columns(list(facts))
        metadata = columns.to_pandas() if facts else pd.DataFrame(index=range(len(table)))
        return cls(np.array(table["id"].to_pylist(), dtype=object), values, metadata, names, about)


def _names_of(header: bytes, most: int) -> tuple[str, ...]:
    """The names that a file's metadata packs: no more than `most`, whatever lengths it claims."""
    try:
        packed = [(str(text), int(length)) for text, length in parse_json(header, where="the list")]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"its metadata {NAMES_KEY.decode()} is damaged ({error}): make the table again") from error
    claimed = sum(max(1, length) for _, length in packed)
    if claimed > most or any(length < 0 for _, length in packed):
        raise InputError(f"its metadata {NAMES_KEY.decode()} names {claimed} features, and it has {most} columns")
    return unpack_names(packed)


def make_table(
    ids: Sequence[str] | npt.NDArray[Any],
    values: npt.ArrayLike,
    metadata: pd.DataFrame | dict[str, Any] | None = None,
    *,
    names: Sequence[str] | None = None,
    about: dict[str, Any] | None = None,
) -> FeatureTable:
    """A feature table from plain parts.

    Args:
        ids: (n,) unique.
        values: (n, d).
        metadata: columns of n values; none by default.
        names: (d,); by default `Image_all_x_0000` and so on.
        about: what made it.

    Raises:
        InputError: ids that repeat, values that are not finite, or lengths that differ.

    Example:
        >>> make_table(["a", "b"], [[1.0, 2.0], [3.0, 4.0]], {"well": ["A01", "A02"]}).rows(["b"]).values.tolist()
        [[3.0, 4.0]]
    """
    matrix = np.asarray(values)
    frame = pd.DataFrame(metadata or {}, index=range(len(ids))) if not isinstance(metadata, pd.DataFrame) else metadata
    chosen = _plain_names(matrix.shape[-1]) if names is None else tuple(names)
    return FeatureTable(np.asarray(ids, dtype=object), matrix, frame.reset_index(drop=True), chosen, about or {})


def _plain_names(width: int) -> tuple[str, ...]:
    """Names of features of which nothing is known."""
    return unpack_names([["Image_all_x", width]])


def join_features(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Features of several networks side by side, joined by id ("fusion").

    A name that an earlier table has already gets the number of its table: `Image_dna_b0_0003_2`.

    Args:
        tables: over the same ids, in any order of rows.

    Returns:
        The rows in the order of the first table; the features of the tables one after the other; every fact that one
        of them knows.

    Raises:
        InputError: no table, ids that one has and another lacks, or facts that disagree.

    Example:
        >>> one, two = make_table(["a", "b"], [[1.0], [2.0]]), make_table(["b", "a"], [[20.0], [10.0]])
        >>> joined = join_features([one, two])
        >>> joined.values.tolist(), joined.names
        ([[1.0, 10.0], [2.0, 20.0]], ('Image_all_x_0000', 'Image_all_x_0000_2'))
    """
    if not tables:
        raise InputError("no feature tables to join")
    first = tables[0]
    names, metadata, parts = list(first.names), first.metadata.copy(), [first.values]
    for number, table in enumerate(tables[1:], 2):
        missing, extra = sorted(set(first.ids) - set(table.ids)), sorted(set(table.ids) - set(first.ids))
        if missing or extra:
            raise InputError(
                f"table {number} lacks {len(missing)} ids of the first ({', '.join(map(str, missing[:3]))}) and has "
                f"{len(extra)} others ({', '.join(map(str, extra[:3]))}): extract both from the same images"
            )
        other = table.rows(first.ids)
        for fact in other.metadata:
            if fact not in metadata:
                metadata[fact] = other.metadata[fact].to_numpy()
                continue
            differs = differ(metadata[fact], other.metadata[fact], str(fact))
            if differs.any():
                row = int(differs.nonzero()[0][0])
                raise InputError(
                    f"{fact} of {int(differs.sum())} ids differs between table 1 and table {number}: "
                    f"{first.ids[row]!r} has {spelled(metadata[fact].iloc[row])!r} and "
                    f"{spelled(other.metadata[fact].iloc[row])!r}"
                )
        taken = set(names)
        names += [f"{name}_{number}" if name in taken else name for name in other.names]
        parts.append(other.values)
    about = first.about if len(tables) == 1 else {"joined": [table.about for table in tables]}
    return FeatureTable(first.ids, np.concatenate(parts, axis=1), metadata, tuple(names), about)


def _to_arrow(column: pd.Series, kind: str | None) -> pa.Array:
    """Integers and floats as they are, everything else as text; what is missing is null."""
    if kind in ("int64", "double"):
        return pa.array([None if pd.isna(value) else value for value in column], pa.type_for_alias(kind))
    if kind is None and column.dtype.kind in "iuf":
        return pa.array(column, from_pandas=True)
    return pa.array([None if pd.isna(value) else str(value) for value in column], pa.string())
