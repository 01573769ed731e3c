"""Rows become fewer: cells to images, sites to wells; facts that all rows of a group share stay."""

import numpy as np
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.vocabulary import TIMES, read_header

from .steps import with_step

_KEYS = {"image": ("plate", "well", "site", "z", "t"), "site": ("plate", "well", "site"), "well": ("plate", "well")}
_FINER = {"image": (), "site": ("z", "t"), "well": ("site", "z", "t")}  # names of what no longer is one, even if alike
LEVELS = ("cell", *_KEYS)


def aggregate(table: FeatureTable, *, level: str = "well", operation: str = "mean") -> FeatureTable:
    """One row per image, site or well.

    Time points and focal planes stay apart where a well has several, whatever their column is called. Facts that
    differ within a group are left out, and the step names them; `count` says how many rows became one.

    Args:
        table: features of cells, images or sites.
        level: `"image"`, `"site"` or `"well"`; `"cell"` leaves the rows as they are.
        operation: `"mean"` or `"median"`.

    Raises:
        InputError: another level or operation; rows without a well (or site).

    Example:
        >>> facts = pd.DataFrame({"plate": ["p"] * 3, "well": ["A01", "A01", "A02"], "site": ["1", "2", "1"]})
        >>> table = FeatureTable(np.array(["a", "b", "c"]), np.array([[1.0], [3.0], [7.0]]), facts, ("x",))
        >>> wells = aggregate(table)
        >>> wells.ids.tolist(), wells.values.ravel().tolist(), wells.metadata["count"].tolist()
        (['p/A01', 'p/A02'], [2.0, 7.0], [2, 1])
    """
    if level not in LEVELS:
        raise InputError(f"level {level!r}: choose one of {', '.join(LEVELS)}")
    if operation not in ("mean", "median"):
        raise InputError(f"operation {operation!r}: choose mean or median")
    step = {"step": "aggregate", "level": level, "operation": operation, "rows_in": len(table)}
    if level == "cell":
        return with_step(table, step | {"rows_out": len(table), "name": "cells"})
    keys = _keys(table, level)
    facts = table.metadata[keys].astype(str).reset_index(drop=True)
    groups = facts.groupby(keys, sort=True).ngroup().to_numpy()
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    parts = np.split(table.values[order].astype(np.float64), starts[1:])
    reduce = np.mean if operation == "mean" else np.median
    values = np.stack([reduce(part, axis=0) for part in parts])
    first = order[starts]  # the first row of each group in the order of the table
    finer = [name for name in _FINER[level] if name in table.metadata and name not in keys]
    metadata, differing = _shared(table.metadata.reset_index(drop=True), groups, first, finer)
    sizes = [len(part) for part in parts]
    if "count" in table.metadata:  # images of cells become wells: cells are counted on
        sizes = [int(counts.sum()) for counts in np.split(table.metadata["count"].to_numpy()[order], starts[1:])]
    metadata["count"] = sizes
    ids = facts.iloc[first].agg("/".join, axis=1).to_numpy(dtype=object)
    step |= {"rows_out": len(ids), "left_out_columns": differing, "name": f"{level}s_{operation}"}
    if pooled := _pooled(table.metadata.reset_index(drop=True), keys, differing):
        step["notes"] = [f"each {level} is the {operation} over rows that differ in {', '.join(pooled)}"]
    return with_step(table, step, ids=ids, values=values, metadata=metadata)


def _keys(table: FeatureTable, level: str) -> list[str]:
    keys = [key for key in _KEYS[level] if key in table.metadata]
    keys += [
        key for key in ("z", "t") if key in table.metadata and key not in keys and table.metadata[key].nunique() > 1
    ]
    keys += _moments(table.metadata, keys)
    needed = "site" if level == "site" else "well"
    if needed not in keys:
        facts = ", ".join(map(str, table.metadata)) or "nothing"
        raise InputError(
            f"no {needed} is known of the rows (known: {facts}): name {needed}s by a format or pattern, "
            "or keep a row per image with --level image"
        )
    empty = table.metadata[keys].isna().any(axis=1).to_numpy()
    if empty.any():
        raise InputError(
            f"{int(empty.sum())} of {len(table)} rows lack a {' or '.join(keys)}, such as "
            f"{table.ids[empty][:3].tolist()}"
        )
    return keys


def _moments(metadata: pd.DataFrame, keys: list[str]) -> list[str]:
    """Further columns of time points or focal planes; not the time of day at which each image was taken."""
    moments: list[str] = []
    for name in map(str, metadata):
        place = [*keys, *moments]
        if place and name not in (*keys, *_FINER["well"]) and read_header(name).term in TIMES:
            several = (metadata.groupby(place)[name].nunique() > 1).any()
            if several and not metadata[name].isna().any() and _recurs(metadata, keys, name):
                moments.append(name)
    return moments


def _recurs(metadata: pd.DataFrame, keys: list[str], name: str) -> bool:
    """Whether values of a column are found in well after well, as the numbers of time points are."""
    places = metadata.groupby(keys, sort=False).ngroup()
    wells = places.groupby(metadata[name].astype(str)).nunique()
    return bool(wells.median() > 1 or places.nunique() == 1)


def _pooled(metadata: pd.DataFrame, keys: list[str], differing: list[str]) -> list[str]:
    """Columns that rows of one group differ in, and that are found in group after group: no sites, files or ids."""
    unknown = [name for name in differing if name not in _FINER["well"] and metadata[name].nunique(dropna=False) > 1]
    some = [name for name in unknown if metadata[name].nunique() <= len(metadata) / 2]
    return [
        f"{name} ({metadata[name].nunique(dropna=False)} values)" for name in some if _recurs(metadata, keys, name)
    ]


def _shared(
    metadata: pd.DataFrame, groups: np.ndarray, first: np.ndarray, finer: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The facts that agree within every group, from each group's first row; and the names of the others."""
    differing = [
        str(name)
        for name in metadata
        if name in finer or (name != "count" and metadata[name].groupby(groups).nunique(dropna=False).max() > 1)
    ]
    return metadata.iloc[first].drop(columns=differing), differing
