"""Which images share what is not their class: a plate, a field, a donor; read from a table or from file names."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.tables.tabular import read_names, read_table

from .base import Array

COLUMNS = ("group", "plate", "field", "donor", "patient", "experiment", "batch", "well")
"""Columns that tell groups where none is named, the first that is there."""

TABLE = "metadata.csv"
# A. Lu's single cells of the yeast screens are <protein>_<field>_rfp_<cell>: several cells are cut from one field.
_FIELD = re.compile(r"(?P<field>.+_\d+)_(?:rfp|gfp)_\d+$")


def groups_of(items: Sequence[Image]) -> tuple[Array | None, str | None]:
    """(n,) the group of every image and what the groups are; None where they are not known for all."""
    groups = np.array([item.metadata.get("group") for item in items], dtype=object)
    if not len(items) or any(group is None for group in groups):
        return None, None
    return groups, str(items[0].metadata.get("group_name", "group"))


def with_groups(items: Sequence[Image], root: Path, *, column: str | None, where: str) -> list[Image]:
    """The images with the group that `metadata.csv` gives each, and the well where it has one.

    Without a column named, the first of `COLUMNS` that the table has is taken; without a table, names of cells cut
    from a field tell the field; else no groups are known.

    Args:
        items: whose ids are `<class>/<image or stem>`.
        root: folder of the classes.
        column: of the table.
        where: what the layout must be, for messages.

    Raises:
        InputError: a column was named and there is no table, or the table lacks the column or an image.
    """
    file = root / TABLE
    if not file.is_file():
        if column is not None:
            raise InputError(f"{file} is missing, but --group {column} was asked for: {where}")
        fields = [_FIELD.match(item.id.rpartition("/")[2]) for item in items]
        if not items or not all(fields):
            return list(items)
        return [_grouped(item, match["field"], "field") for item, match in zip(items, fields, strict=True) if match]
    chosen = column or first_known(read_names(file))
    if chosen is None:
        return list(items)
    table = read_table(file, required=("file_name", chosen))
    empty = table[table[chosen].isna() | table["file_name"].duplicated()]
    if len(empty):
        raise InputError(f"{file}: {empty['file_name'].iloc[0]!r} has no {chosen}, or occurs twice")
    groups = dict(zip(table["file_name"], table[chosen], strict=True))
    lacking = [item.id for item in items if item.id not in groups]
    if lacking:
        raise InputError(f"{file} has no row for {lacking[0]!r}: every image needs its {chosen}")
    found = [_grouped(item, groups[item.id], chosen) for item in items]
    if "well" not in table:
        return found
    wells = dict(zip(table["file_name"], table["well"].fillna("").astype(str), strict=True))
    return [replace(item, metadata={**item.metadata, "well": wells[item.id]}) for item in found]


def first_known(columns: Iterable[str]) -> str | None:
    """The first of `COLUMNS` among these, None where there is none."""
    there = set(columns)
    return next((name for name in COLUMNS if name in there), None)


def _grouped(item: Image, group: str, name: str) -> Image:
    return replace(item, metadata={**item.metadata, "group": str(group), "group_name": name})
