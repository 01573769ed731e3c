"""Feature tables as the benchmarks take them: a matrix whose rows are known by id, and joins that refuse to guess."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features.tables import as_matrix, metadata_of, read_features


@dataclass(frozen=True)
class FeatureTable:
    """Features of one model.

    Attributes:
        name: for tables and figures.
        ids: (n,) unique.
        values: (n, d) float32, or float64 as read from a CSV.
        metadata: the other columns of a profile table (plate, well, compound …), same rows; None for image features.
        about: what made it: model, method, file, hash.
    """

    name: str
    ids: npt.NDArray[Any]
    values: npt.NDArray[np.floating]
    metadata: pd.DataFrame | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.values) or self.values.ndim != 2 or self.values.size == 0:
            raise InputError(f"{self.name}: {len(self.ids)} ids for features of shape {self.values.shape}")
        unique, counts = np.unique(self.ids.astype(str), return_counts=True)
        if len(unique) < len(self.ids):
            twice = unique[counts > 1]
            raise InputError(f"{self.name}: {len(twice)} ids occur more than once, such as {twice[:3].tolist()}")
        odd = ~np.isfinite(self.values.sum(axis=1, dtype=np.float64))
        if odd.any():
            raise InputError(
                f"{self.name}: {int(odd.sum())} rows hold NaN or infinite features{self._odd_columns()}, such as "
                f"{self.ids[odd][:3].tolist()}: extract them again, or leave the columns out"
            )

    def rows(self, ids: Sequence[str] | npt.NDArray[Any]) -> npt.NDArray[np.floating]:
        """Features of these ids, in this order.

        Raises:
            InputError: an id has no features.
        """
        order = pd.Index(self.ids).get_indexer(pd.Index(ids))
        if (order < 0).any():
            missing = np.asarray(ids, dtype=object)[order < 0]
            raise InputError(
                f"{self.name} has no features for {len(missing)} of {len(order)} items, such as "
                f"{missing[:3].tolist()}: extract them from the same data, or compare how ids are written"
            )
        return self.values if np.array_equal(order, np.arange(len(self.values))) else self.values[order]

    @property
    def is_profile(self) -> bool:
        """Whether rows are wells: plate and well are known."""
        return self.metadata is not None and {"plate", "well"} <= set(self.metadata.columns)

    @property
    def fingerprint(self) -> str:
        """Hash of ids and values: equal features, equal fingerprint."""
        digest = hashlib.sha256("\n".join(map(str, self.ids)).encode())
        digest.update(np.ascontiguousarray(self.values).data)
        return digest.hexdigest()[:16]

    def _odd_columns(self) -> str:
        names = self.about.get("features")
        bad = (~np.isfinite(self.values)).any(axis=0).nonzero()[0]
        return f" (features {[names[i] for i in bad[:3]]})" if names else f" (feature columns {bad[:3].tolist()})"


def from_arrow(table: pa.Table, *, name: str, about: dict[str, Any] | None = None) -> FeatureTable:
    """A table with columns `id` and `features` (lists of one length), as extraction writes it."""
    return FeatureTable(name, np.array(table["id"].to_pylist(), dtype=object), as_matrix(table), about=about or {})


def read_feature_table(path: str | Path) -> FeatureTable:
    """Read features made elsewhere.

    Three forms: Parquet with `id` and `features`; Parquet or CSV with an `id` column and one numeric column per
    feature; CellProfiler profiles, whose rows are wells named by `Metadata_*` or `Image_Metadata_*` columns.

    Raises:
        InputError: none of the three, or NaN, infinite values, duplicate ids.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file} is no file: --features takes a Parquet or CSV table")
    about = {"features_file": file.name}
    if file.suffix == ".parquet":
        if {"id", "features"} <= set(pq.read_schema(file).names):
            table = read_features(file)
            return from_arrow(table, name=file.stem, about=metadata_of(table) | about)
        frame = pd.read_parquet(file)
    else:
        frame = pd.read_csv(file, index_col=False, low_memory=False)
    return _from_wide(frame, name=file.name.split(".")[0], about=about)


_BOOKKEEPING = {"tablenumber", "imagenumber", "objectnumber", "replicate", "index"}  # numeric, yet no features


def _from_wide(frame: pd.DataFrame, *, name: str, about: dict[str, Any]) -> FeatureTable:
    roles = {column: role for column in frame.columns if (role := _role(str(column))) is not None}
    numeric = frame.drop(columns=list(roles)).select_dtypes("number")
    if numeric.shape[1] == 0:
        raise InputError(f"{name}: no numeric feature columns beside {sorted(map(str, roles))}")
    metadata = frame[list(roles)].rename(columns=roles)
    metadata = metadata.loc[:, ~metadata.columns.duplicated()]
    if "id" in metadata:
        ids = metadata["id"].astype(str)
    elif {"plate", "well"} <= set(metadata.columns):
        named = [column for column in ("plate", "well", "site") if column in metadata]
        ids = metadata[named].astype(str).agg("/".join, axis=1)
    else:
        raise InputError(
            f"{name}: found neither an `id` column nor plate and well (Metadata_Plate, Metadata_Well, or with the "
            f"prefix Image_) among {list(frame.columns[:8])} …"
        )
    about = about | {"features": [str(column) for column in numeric.columns]}
    values = numeric.to_numpy(np.float64)
    return FeatureTable(name, ids.to_numpy(object), values, metadata.reset_index(drop=True), about)


def _role(column: str) -> str | None:
    """What a column that is no feature tells: `Image_Metadata_Plate_DAPI` → plate; None for a feature."""
    lower = column.lower()
    if lower == "id":
        return "id"
    plain = lower.removeprefix("image_")
    if plain.startswith("metadata_"):
        return plain.removeprefix("metadata_").removesuffix("_dapi")
    if lower in _BOOKKEEPING or lower.startswith(("unnamed", "image_filename", "image_pathname")):
        return lower
    return (
        lower if lower in ("plate", "well", "site", "compound", "concentration", "moa", "batch", "treatment") else None
    )
