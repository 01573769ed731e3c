"""Which field goes to which shard: `shards/plan.arrow`, one record batch per shard.

Fields are ordered by a hash of their first file: fields of one file are neighbours and read it once, all others are
mixed, so the finished dataset streams well shuffled.
"""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from builder.recipe import Recipe, as_dict
from builder.shard_files import file_stamps
from builder.shards import PLAN, read_fingerprint, require_same_plan, write_or_check_plan
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import read_json_object, write_json
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA

SEAL = "plan.seal.json"  # size and time of the plan and its tables: parts of a large build start at once

RENDER_RULES = (
    *("low", "high", "read_depth", "rgb", "missing_channels", "full_decode", "reject_uniform", "black_margins"),
    *("min_crop_side", "min_whole_side", "crop_scales", "crops_wanted", "replace_single", "renormalise_crops"),
    *("min_crop_contrast", "max_pixels", "channel_depth"),
)
"""The fields of a recipe that decide the bytes of a shard."""


def crops_wanted(class_size: int, recipe: Recipe) -> int:
    """Crops per image in a class of that many fields.

    Example:
        >>> [crops_wanted(size, Recipe()) for size in (1000, 999, 550, 400, 399, 1)]
        [1, 2, 2, 3, 4, 4]
    """
    return next(wanted for start, wanted in recipe.crops_wanted if class_size >= start)


def make_plan(output: Path, *, recipe: Recipe, seed: int) -> Path:
    """The path of `shards/plan.arrow`, which is written, or checked against the one there where something changed.

    A stage before that has not run, tables that do not fit, and shards made by other rules, another seed or other rows
    are refused; the message lists what differs.
    """
    path = output / "shards" / PLAN
    if not _is_sealed(path, output, recipe, seed):
        table = _joined(output, recipe)
        write_or_check_plan(path, table, _fingerprint(table, recipe, seed))
        write_json(path.with_name(SEAL), _stamps(path, output))
    return path


def require_plan_fits(output: Path, *, tables: Path, recipe: Recipe, seed: int | None = None) -> None:
    """Refuse where the plan in `output`, if there is one, is not what these tables and rules give; writes nothing.

    With the seed None, that of the plan counts.
    """
    path = output / "shards" / PLAN
    if path.exists():
        seed = read_fingerprint(path).get("seed") if seed is None else seed
        if not _is_sealed(path, tables, recipe, seed):
            table = _joined(tables, recipe)
            require_same_plan(path, table, _fingerprint(table, recipe, seed))


def _fingerprint(table: pa.Table, recipe: Recipe, seed: int | None) -> dict[str, Any]:
    return _rules(recipe, seed) | {"fields": len(table)}


def _rules(recipe: Recipe, seed: int | None) -> dict[str, Any]:
    return {name: as_dict(recipe)[name] for name in RENDER_RULES} | {"seed": seed}


def _is_sealed(path: Path, tables: Path, recipe: Recipe, seed: int | None) -> bool:
    """Whether a plan, its tables and its rules are those of the last look, so that no row need be compared."""
    try:
        sealed = read_json_object(path.with_name(SEAL))
        planned = read_fingerprint(path)
    except InputError:
        return False
    planned.pop("fields", None)
    return sealed == _stamps(path, tables) and planned == _rules(recipe, seed)


def _stamps(path: Path, tables: Path) -> dict[str, str | None]:
    files = [path, tables / "selection.parquet", tables / "annotations.parquet"]
    return {file.name: stamp for file, stamp in zip(files, file_stamps(files), strict=True)}


def _joined(output: Path, recipe: Recipe) -> pa.Table:
    """Selected fields with their annotation, class size and order."""
    selection = _read(output / "selection.parquet", "select")
    if len(selection) == 0:
        raise InputError(
            f"{output / 'selection.parquet'} selects no field: lower min_fields, or give more sources to annotate"
        )
    annotations = _selected_annotations(output / "annotations.parquet", selection["idx"])
    for name, table in (("selection.parquet", selection), ("annotations.parquet", annotations)):
        if len(pc.unique(table["idx"])) != len(table):
            raise InputError(f"{output / name} holds an idx twice: run the stage that writes it again")
    position = pc.index_in(selection["idx"], value_set=annotations["idx"])
    if position.null_count:
        lost = selection["idx"].filter(pc.is_null(position))[0].as_py()
        raise InputError(
            f"{position.null_count} selected fields, {lost} for one, are not in annotations.parquet: run select again"
        )
    sizes = Counter(selection["label"].to_pylist())
    wanted = [crops_wanted(sizes[label], recipe) for label in selection["label"].to_pylist()]
    joined = annotations.take(position)
    for name in ("label", "category"):
        joined = joined.append_column(name, selection[name])
    joined = joined.append_column("crops_wanted", pa.array(wanted, pa.int32()))
    return joined.take(_order(joined)).combine_chunks()


def _read(path: Path, stage: str) -> pa.Table:
    if not path.exists():
        raise InputError(f"{path} is not there: run `python -m builder {stage}` first")
    return pq.read_table(path)


def _selected_annotations(path: Path, idx: pa.ChunkedArray) -> pa.Table:
    """Rows of the annotations that were selected; the others never stand in memory together."""
    if not path.exists():
        raise InputError(f"{path} is not there: run `python -m builder annotate` first")
    with pq.ParquetFile(path) as file:
        if absent := sorted(set(ANNOTATION_SCHEMA.names) - set(file.schema_arrow.names)):
            raise InputError(
                f"{path} has no column {', '.join(absent)}: run `python -m builder annotate` and select again"
            )
        parts = [
            part.filter(pc.is_in(part["idx"], value_set=idx.combine_chunks()))
            for part in file.iter_batches(batch_size=1 << 16)
        ]
        return pa.Table.from_batches(parts, schema=file.schema_arrow).replace_schema_metadata(None)


def _order(table: pa.Table) -> pa.Array:
    counts = pc.fill_null(pc.list_value_length(table["channel_files"]), 0)
    if pc.min(counts).as_py() == 0:
        empty = table["idx"].filter(pc.equal(counts, 0))[0]
        raise InputError(f"annotations.parquet: {empty} names no channel file")
    first_file = pc.list_element(table["channel_files"], 0).to_pylist()
    hashes = np.array([hashlib.blake2b(name.encode(), digest_size=8).hexdigest() for name in first_file])
    return pa.array(np.lexsort((np.array(table["idx"].to_pylist()), hashes)))
