"""Profiles as AnnData files (`.h5ad`), by h5py alone; `anndata.read_h5ad` and scanpy open them.

anndata itself is not needed: with pandas 3 its writers refuse text columns, and its newest release needs a newer
Python. The encodings are those of its format: https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.files import atomic_path

from .columns import column_of
from .features import FeatureTable

_TEXT = np.dtype("O", metadata={"vlen": str})  # UTF-8 text of any length, as h5py marks it


def write_h5ad(table: FeatureTable, path: str | Path) -> None:
    """Write a table as AnnData: features in `X`, `Metadata_*` in `obs`, names in `var`, the history in `uns`."""
    import h5py  # in the extras: of tables, these files alone need it

    obs = table.metadata.rename(columns=column_of)
    var = pd.DataFrame({name: [_part(feature, place) for feature in table.names] for name, place in _PARTS.items()})
    # Made in memory: where a disk is full, the HDF5 library ends the process when it closes a file of its own.
    with h5py.File(f"{Path(path).name}.memory", "w", driver="core", backing_store=False) as file:
        _encode(file, "anndata", "0.1.0")
        _array(file, "X", table.values.astype(np.float32))
        _frame(file, "obs", obs, table.ids.astype(str).tolist())
        _frame(file, "var", var, list(table.names))
        for empty in ("obsm", "varm", "obsp", "varp", "layers"):
            _mapping(file, empty, {})
        _mapping(file, "uns", {"cytoimagenet": table.about})
        file.flush()
        content = file.id.get_file_image()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


_PARTS = {"stain": 1, "model": 2}


def _part(feature: str, place: int) -> str:
    """`Image_dna_b0_0003` → `dna` at 1, `b0` at 2."""
    pieces = feature.split("_")
    return pieces[place] if len(pieces) >= 4 and pieces[0] == "Image" else ""


def _encode(item: Any, kind: str, version: str) -> None:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version


def _array(group: Any, name: str, values: npt.NDArray[Any]) -> None:
    # One gzip level: features hardly shrink, and wells by rows are how they are read.
    _encode(group.create_dataset(name, data=values), "array", "0.2.0")


def _strings(group: Any, name: str, values: Sequence[str]) -> None:
    data = np.array(list(values), dtype=object)
    _encode(group.create_dataset(name, data=data, dtype=_TEXT), "string-array", "0.2.0")


def _frame(group: Any, name: str, frame: pd.DataFrame, index: Sequence[str]) -> None:
    subgroup = group.create_group(name)
    _encode(subgroup, "dataframe", "0.2.0")
    subgroup.attrs["_index"] = "_index"
    subgroup.attrs["column-order"] = np.array([str(column) for column in frame], dtype=_TEXT)
    _strings(subgroup, "_index", index)
    for column in frame:
        values = frame[column]
        if values.dtype.kind in "iufb" and not values.isna().any():
            _array(subgroup, str(column), values.to_numpy())
        elif values.dtype.kind == "f":
            _array(subgroup, str(column), values.to_numpy(np.float64))
        else:
            _categorical(subgroup, str(column), values)


def _categorical(group: Any, name: str, values: pd.Series) -> None:
    """Text as categories, the missing ones as code -1: what scanpy colours by."""
    codes, categories = pd.factorize(values.map(str, na_action="ignore"), sort=True)
    subgroup = group.create_group(name)
    _encode(subgroup, "categorical", "0.2.0")
    subgroup.attrs["ordered"] = False
    _array(subgroup, "codes", codes.astype(np.int32))
    _strings(subgroup, "categories", [str(category) for category in categories])


def _mapping(group: Any, name: str, content: Mapping[str, Any]) -> None:
    subgroup = group.create_group(name)
    _encode(subgroup, "dict", "0.1.0")
    for key, value in content.items():
        _value(subgroup, str(key).replace("/", "_"), value)


def _value(group: Any, name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        _mapping(group, name, value)
    elif isinstance(value, np.ndarray):
        _array(group, name, value)
    elif isinstance(value, bool | int | float):
        _encode(group.create_dataset(name, data=value), "numeric-scalar", "0.2.0")
    elif isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        _strings(group, name, list(value))
    elif isinstance(value, list | tuple) and all(isinstance(item, int | float) for item in value):
        _array(group, name, np.asarray(value))
    elif isinstance(value, list | tuple):  # records: numbered, since the format has no list of them
        _mapping(group, name, {f"{place:02d}": item for place, item in enumerate(value)})
    else:
        text = "" if value is None else str(value)
        _encode(group.create_dataset(name, data=text, dtype=_TEXT), "string", "0.2.0")
