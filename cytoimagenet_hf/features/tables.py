"""Feature tables: one row per image, `id` and `features`, with the model and processor that made them in the metadata.

Tables meet by id, never by position: features of two networks joined by row order once put the label into the features
(E2 in FACTS §5).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import atomic_path

_KEY = b"cytoimagenet_features"
SHARDS = "features-*-of-*.parquet"
"""Name pattern of the shards of one table in a folder."""


def make_table(ids: Sequence[str], features: npt.NDArray[Any], metadata: Mapping[str, Any]) -> pa.Table:
    """A feature table from ids and a matrix.

    Args:
        ids: one different id per row.
        features: (N, D) float32 or float16.
        metadata: what made the features; JSON values.

    Raises:
        InputError: ids that repeat, or another number of ids than of rows.
    """
    if len(ids) != len(features):
        raise InputError(f"{len(ids)} ids for {len(features)} rows of features")
    _require_unique(ids, "the table")
    values = pa.array(np.ascontiguousarray(features).reshape(-1))
    columns = [pa.array(ids, pa.string()), pa.FixedSizeListArray.from_arrays(values, features.shape[1])]
    return with_metadata(pa.table(columns, names=["id", "features"]), metadata)


def with_metadata(table: pa.Table, metadata: Mapping[str, Any]) -> pa.Table:
    """The table with other metadata."""
    return table.replace_schema_metadata({_KEY: json.dumps(dict(metadata), sort_keys=True).encode()})


def metadata_of(table: pa.Table) -> dict[str, Any]:
    """What made a feature table: model, fingerprints, method, channels; empty when it does not say."""
    return dict(json.loads((table.schema.metadata or {}).get(_KEY, b"{}")))


def as_matrix(table: pa.Table) -> npt.NDArray[np.float32]:
    """The features as (N, D) float32, in the order of the table."""
    width = table.schema.field("features").type.list_size
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table["features"].chunks]
    return np.concatenate([*flat, np.empty(0, np.float32)]).astype(np.float32, copy=False).reshape(-1, width)


def feature_names(table: pa.Table) -> list[str]:
    """A name per feature: the stain (or channel number) and its place in the network's output, `dna_0003`."""
    width = table.schema.field("features").type.list_size
    channels = metadata_of(table).get("channels") or ["feature"]
    each = width // len(channels)
    return [f"{channel}_{place:04d}" for channel in channels for place in range(each)]


def join_features(tables: Sequence[pa.Table]) -> pa.Table:
    """Features of several networks side by side, joined by id ("fusion").

    Args:
        tables: feature tables over the same ids, in any order of rows.

    Returns:
        The rows in the order of the first table; the features of the tables one after the other.

    Raises:
        InputError: no table, an id that repeats, or ids that one table has and another lacks.

    Example:
        >>> one = make_table(["a", "b"], np.float32([[1], [2]]), {"model": "x"})
        >>> two = make_table(["b", "a"], np.float32([[20], [10]]), {"model": "y"})
        >>> join_features([one, two])["features"].to_pylist()
        [[1.0, 10.0], [2.0, 20.0]]
    """
    if not tables:
        raise InputError("no feature tables to join")
    ids = tables[0]["id"].to_pylist()
    _require_unique(ids, "the first table")
    parts = [as_matrix(tables[0])]
    for number, table in enumerate(tables[1:], 2):
        own = table["id"].to_pylist()
        _require_unique(own, f"table {number}")
        missing, extra = sorted(set(ids) - set(own)), sorted(set(own) - set(ids))
        if missing or extra:
            raise InputError(
                f"table {number} lacks {len(missing)} ids of the first ({', '.join(missing[:3])}) and has "
                f"{len(extra)} others ({', '.join(extra[:3])}): extract both from the same images"
            )
        rows = {name: row for row, name in enumerate(own)}
        parts.append(as_matrix(table)[[rows[name] for name in ids]])
    channels = [
        f"{number}:{channel}"
        for number, table in enumerate(tables, 1)
        for channel in metadata_of(table).get("channels") or ["feature"]
    ]
    even = len(
        {part.shape[1] // len(metadata_of(t).get("channels") or [1]) for t, part in zip(tables, parts, strict=True)}
    )
    joined = {"joined": [metadata_of(table) for table in tables]} | ({"channels": channels} if even == 1 else {})
    return make_table(ids, np.concatenate(parts, axis=1), joined)


def write_features(table: pa.Table, path: str | Path) -> None:
    """Write a feature table as Parquet, atomically; equal tables are equal bytes."""
    with atomic_path(path) as temporary:
        # Dictionaries and compression do not shrink floats.
        pq.write_table(table, temporary, use_dictionary=["id"], compression="none")


def read_features(path: str | Path) -> pa.Table:
    """Read a feature table from a Parquet file, or from a folder of shards.

    Raises:
        InputError: not such a file or folder; shards that are missing or come from different models; ids that repeat.
    """
    path = Path(path)
    files = sorted(path.glob(SHARDS)) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise InputError(f"{path} holds no feature table: pass a .parquet file, or a folder with {SHARDS}")
    if path.is_dir():
        wanted = int(files[0].stem.rpartition("-")[2])
        if len(files) != wanted:
            raise InputError(
                f"{path} has {len(files)} of {wanted} shards: run the same extraction again to complete it"
            )
    tables = [pq.read_table(file) for file in files]
    for file, table in zip(files, tables, strict=True):
        if table.column_names != ["id", "features"] or not pa.types.is_fixed_size_list(table.schema.types[1]):
            raise InputError(f"{file} is no feature table: its columns are {', '.join(table.column_names)}")
        if not table.schema.equals(tables[0].schema, check_metadata=True):
            raise InputError(f"{file} was made by another model or method than {files[0]}: extract again")
    joined = pa.concat_tables(tables)
    _require_unique(joined["id"].to_pylist(), str(path))
    return joined


def _require_unique(ids: Sequence[str], where: str) -> None:
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise InputError(
            f"{where} has {len(repeated)} ids more than once, such as {repeated[0]!r}: ids must be unique"
        )
