"""Images that are each other's neighbours: which of them share a plate, a field or a donor, and their score.

For CYCLoPs, folders, anything without a fixed split. Groups are read from a table or from file names.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.images import METADATA, read_metadata
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.tables import FeatureTable
from cytoimagenet_hf.tables.vocabulary import columns_of, key_of, plain_name, read_header
from cytoimagenet_hf.tables.wells import spell_wells

from .base import LabelledRows, RowsBySet, Score, ids_of, labels_of
from .protocols import NEIGHBOURS, predict_held_out
from .recipes import BenchmarkRecipe

GROUPS = ("group", "plate", "field", "donor", "patient", "experiment", "batch", "well")
"""What tells groups where no column is named, the first that is there; columns are read by `tables.vocabulary`."""

# A. Lu's single cells of the yeast screens are <protein>_<field>_rfp_<cell>: several cells are cut from one field.
_FIELD = re.compile(r"(?P<field>.+_\d+)_(?:rfp|gfp)_\d+$")


def score_held_out(
    features: FeatureTable,
    items: Sequence[Image],
    recipe: BenchmarkRecipe,
    seed: int,
    *,
    name: str,
    k: int = NEIGHBOURS,
) -> list[Score]:
    """k-NN accuracy, leaving out one group where groups are known, else one image; the protocol is in `details`."""
    rows = _rows(features, items)
    predictions, protocol = predict_held_out(
        rows.values, rows.labels, rows.ids, rows.groups, recipe=recipe, seed=seed, k=k, group_name=rows.group_name
    )
    details = {"classes": len(set(rows.labels)), "k": k, "protocol": protocol, "scaler": recipe.leave_one_out_scaler}
    return [rows.score(name, predictions, details=details)]


def held_out_rows(features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, *, name: str) -> RowsBySet:
    """The same rows for other measures than neighbours."""
    return {name: _rows(features, items)}


def _rows(features: FeatureTable, items: Sequence[Image]) -> LabelledRows:
    ids, labels = ids_of(items), labels_of(items)
    values = features.rows(ids).values
    groups = np.array([item.metadata.get("group") for item in items], dtype=object)
    if any(group is None for group in groups):
        return LabelledRows(values, ids, labels)
    return LabelledRows(values, ids, labels, groups, str(items[0].metadata.get("group_name", "group")))


def with_groups(items: Sequence[Image], root: Path, *, column: str | None, where: str) -> list[Image]:
    """The images with the group that `metadata.csv`, `.jsonl` or `.parquet` gives each, and the well where known.

    Without a column named, the first of `GROUPS` that the table has is taken; without a table, names of cells cut
    from a field tell the field; else no groups are known. Ids of images are `<class>/<image or stem>`.
    """
    file = next((root / name for name in METADATA if (root / name).is_file()), None)
    if file is None:
        if column is not None:
            raise InputError(f"{root / METADATA[0]} is missing, but --group {column} was asked for: {where}")
        fields = [_FIELD.match(item.id.rpartition("/")[2]) for item in items]
        if not items or not all(fields):
            return list(items)
        return [_grouped(item, match["field"], "field") for item, match in zip(items, fields, strict=True) if match]
    table = read_metadata(file)
    chosen = column or next(iter(group_columns(map(str, table))), None)
    if chosen is None:
        return list(items)
    if absent := [name for name in ("file_name", chosen) if name not in table]:
        raise InputError(f"{file} has no column {absent[0]!r}: it has {', '.join(map(str, table))}")
    empty = table[table[chosen].isna() | table["file_name"].isna() | table["file_name"].duplicated()]
    if len(empty):
        raise InputError(f"{file}: {empty['file_name'].iloc[0]!r} has no {chosen}, or occurs twice")
    groups = dict(zip(table["file_name"], table[chosen], strict=True))
    if lacking := [item.id for item in items if item.id not in groups]:
        raise InputError(f"{file} has no row for {lacking[0]!r}: every image needs its {chosen}")
    grouped = [_grouped(item, groups[item.id], chosen) for item in items]
    header = columns_of(table, ("well",)).get("well")
    if header is None:
        return grouped
    names = ["" if pd.isna(well) else str(well) for well in spell_wells(table[header.text])]
    wells = dict(zip(table["file_name"], names, strict=True))
    return [replace(item, metadata={**item.metadata, "well": wells[item.id]}) for item in grouped]


def group_columns(columns: Iterable[str]) -> list[str]:
    """The columns that tell groups, the coarsest first as in `GROUPS`.

    Example:
        >>> group_columns(["label", "Donor ID", "Metadata_Plate"])
        ['Metadata_Plate', 'Donor ID']
    """
    headers = [read_header(str(column)) for column in columns]
    return [
        header.text
        for name in GROUPS
        for header in sorted(headers, key=lambda header: header.rank)
        if key_of(plain_name(header.text)) in (name, f"{name}id", f"{name}name")
        or (name in ("plate", "batch", "well") and header.term == name)
    ]


def _grouped(item: Image, group: str, name: str) -> Image:
    return replace(item, metadata={**item.metadata, "group": str(group), "group_name": name})
