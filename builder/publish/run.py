"""shards → the dataset repository: balance classes, split without leaks, write `data/`, the card and the manifest.

Two passes over the shards: the first reads all columns but the images and decides, the second copies the images, a
shard at a time. What stood in `data/` is replaced at once when the new files are complete.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from builder.recipe import Recipe, as_dict
from builder.render.plan import require_plan_fits
from builder.render.shard import SHARD_SCHEMA
from builder.select.candidates import file_names
from builder.shard_files import ShardTask
from builder.shards import PLAN, list_tasks, read_fingerprint
from builder.sources.filter import ALL_SOURCES, SourceFilter, choose_sources
from builder.stage import StageSummary, count_reasons, write_rejections
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.dataset.fields import FIELD, field_columns
from cytoimagenet_hf.dataset.leaks import leak_report
from cytoimagenet_hf.dataset.schema import REJECTION_SCHEMA
from cytoimagenet_hf.dataset.splits import SCHEMES, assign_splits
from cytoimagenet_hf.shards.engine import finished_reports

from .balance import balance, codes, copy_counts, near_groups, ranks
from .data_files import KeptImages, write_channels, write_dataset
from .repository import (
    STAGES,
    describe_inputs,
    list_companions,
    published_summary,
    write_card,
    write_companions,
    write_seal,
)

_DECIDING = (
    *("image_id", "label", "category", "database", "name", "licence", "sha256", "dhash", "png_bytes"),
    *field_columns(SHARD_SCHEMA.names),
)
_STATED = ("path", "filename", "dset")
"""Columns of shards whose images have names and a published split of their own: those of the published archive."""
ARCHIVE = "the published archive"
"""What the plan of such shards says that they were made from."""


def publish(
    output: Path,
    *,
    recipe: Recipe,
    seed: int,
    split_scheme: str | None = None,
    group: str = FIELD,
    sources: SourceFilter = ALL_SOURCES,
) -> StageSummary:
    """Write the dataset repository from the shards of a finished rendering; where it stands already, the card alone.

    Args:
        output: a claimed build folder with `shards/`.
        recipe: the rules of balance, copies and split.
        seed: of the down-sampling and the split.
        split_scheme: `field` or `published`; the recipe's when None.
        group: column whose values stay on one side beside those of `field`: `plate` is stricter.
        sources: which of the rendered ones go in; so that one rendering serves a full dataset and one that may be
            passed on.

    Raises:
        InputError: rendering is not finished, a shard is damaged, the tables or rules are not those the shards were
            made from, nothing is left to publish, or the disk is too small.
    """
    started = time.perf_counter()
    require_split(split_scheme, group)
    tasks = _finished_shards(output, recipe)
    shards = [task.path for task in tasks]
    scheme = split_scheme or recipe.split_scheme
    chosen = None if sources.takes_all else choose_sources(sources)
    rules = {"recipe": as_dict(recipe), "seed": seed, "split_scheme": scheme, "group": group}
    inputs = describe_inputs(output, tasks, rules | {"sources": None if chosen is None else list(chosen)})
    if (before := published_summary(output, inputs)) is not None:
        _unite_rejections(output)  # of the stages before, which may have run again
        list_companions(output)
        write_card(output)
        write_seal(output, inputs)
        return replace(before, seconds=time.perf_counter() - started)
    stated = set(_STATED) <= set(pq.read_schema(shards[0]).names)
    columns = [*dict.fromkeys((*_DECIDING, group, *(_STATED if stated else ())))]
    images = pa.concat_tables(pq.read_table(path, columns=columns) for path in shards)
    images, near = _compact(images)
    keep, rejections = balance(images, recipe, seed=seed, sources=chosen)
    kept = images if keep.all() else images.filter(pa.array(keep))
    if len(kept) == 0:
        raise InputError(
            f"none of the {len(images)} rendered images is left ({count_reasons(rejections)}): "
            f"min_images is {recipe.min_images}, lower it for a small build (--set min_images=…)"
        )
    split = _split(kept, recipe, seed=seed, scheme=scheme, group=group)
    if stated and kept["dset"].null_count == 0:
        published = list(map(sys.intern, kept["dset"].to_pylist()))
    else:
        published = _split(kept, recipe, seed=seed, scheme="published", group=group)
    labels, names = codes(kept["label"])
    assigned = _as_stated(kept, labels) if stated else _assigned(kept, labels, names)
    chosen_images = KeptImages(keep, assigned, names, split, published)
    files = write_dataset(output, shards, chosen_images)
    planes = [task.channels_path for task in tasks if task.keep_channels]
    channels = write_channels(output, planes, chosen_images)

    write_rejections(output, "publish", rejections)
    _unite_rejections(output)
    deciding = kept.select([*dict.fromkeys((group, *field_columns(kept.column_names), "image_id", "label", "sha256"))])
    leaks = leak_report(deciding.append_column("split", pa.array(split)), group=group)
    details: dict[str, Any] = {"leaks": asdict(leaks)}
    if stated:
        as_published = leak_report(deciding.append_column("split", pa.array(published)), group=group)
        details["leaks_of_the_published_split"] = asdict(as_published)
    if "validation" not in split:
        details["no_validation"] = (
            f"the {len(kept)} images are too few groups of one {group} to set any aside: choose another --group, or "
            "more images"
        )
    summary = StageSummary(
        stage="publish",
        rows_in=len(images),
        kept=len(kept),
        rejected=count_reasons(rejections),
        by_source=_by_source(images, keep),
        recipe=as_dict(recipe),
        seed=seed,
        seconds=time.perf_counter() - started,
        details={
            "classes": len(names),
            "split_scheme": scheme,
            "group": group,
            "splits": dict(sorted(Counter(split).items())),
            "exact_copies": copy_counts(images["sha256"], images["label"], images["dir_name"]),
            "near_duplicates": copy_counts(near, images["label"], images["dir_name"]),
        }
        | details,
    )
    summary.write(output)
    registry = sources.registry
    write_companions(output, files, kept, labels=names, seed=seed, channels=channels, registry=registry)
    write_seal(output, inputs)
    return summary


def require_split(scheme: str | None, group: str) -> None:
    """Refuse an unknown scheme, or a group that is not a column of text, before anything is made."""
    if scheme is not None and scheme not in SCHEMES:
        raise InputError(f"--split-scheme {scheme}: choose one of {', '.join(SCHEMES)}")
    columns = [column.name for column in SHARD_SCHEMA if pa.types.is_string(column.type)]
    if group not in columns:
        raise InputError(f"--group {group}: choose a column of text of the dataset, such as field, plate or well")


def _finished_shards(output: Path, recipe: Recipe) -> list[ShardTask]:
    """The shards, all there, undamaged, and made from the tables in the folder by the rules of the recipe."""
    plan = output / "shards" / PLAN
    if not plan.exists():
        raise InputError(f"{plan} is not there: run `python -m builder render` first")
    tables = [output / f"{name}.parquet" for name in ("annotations", "selection")]
    if read_fingerprint(plan).get("made_from") != ARCHIVE:
        require_plan_fits(output, tables=output, recipe=recipe)
    elif foreign := [table.name for table in tables if table.exists()]:
        raise InputError(
            f"{output} holds an import of {ARCHIVE} and {foreign[0]} of a build: delete what does not belong there"
        )
    tasks = list_tasks(plan)
    tasks = [replace(task, keep_channels=all(task.channels_path.exists() for task in tasks)) for task in tasks]
    finished = finished_reports(tasks)
    if unfinished := [task for task in tasks if task.number not in finished]:
        damaged = [task.path.name for task in unfinished if task.path.exists()]
        remark = f", of which {', '.join(damaged[:5])} {'are' if damaged[1:] else 'is'} damaged" if damaged else ""
        raise InputError(
            f"{len(unfinished)} of {len(tasks)} shards are not rendered{remark}: "
            "run the same command that makes shards (`python -m builder render`) again, it continues"
        )
    if absent := sorted(set(SHARD_SCHEMA.names) - set(pq.read_schema(tasks[0].path).names)):
        raise InputError(
            f"{tasks[0].path} has no column {', '.join(absent)}: it is of an earlier version. Delete "
            f"{output / 'shards'} and render again"
        )
    return tasks


def _compact(images: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
    """The same images with numbers in place of long hashes, whose equality is all that counts; and near-duplicates."""
    hashes = np.concatenate([np.array(chunk.to_pylist(), dtype="S32") for chunk in images["dhash"].chunks])
    near = pa.chunked_array([near_groups(hashes)])
    images = images.drop_columns("dhash")
    contents = pa.array(codes(images["sha256"])[0])
    return images.set_column(images.column_names.index("sha256"), "sha256", contents), near


def _split(kept: pa.Table, recipe: Recipe, *, seed: int, scheme: str, group: str) -> list[str]:
    split = assign_splits(kept, scheme=scheme, group=group, fraction=recipe.validation_fraction, seed=seed)
    return np.where(split.to_numpy() == "validation", *np.array(["validation", "train"], dtype=object)).tolist()


def _as_stated(kept: pa.Table, labels: npt.NDArray[np.int32]) -> pa.Table:
    """What `write_dataset` adds to each kept image that has a name already."""
    stated = kept.select(["image_id", "path", "filename", "png_bytes"])
    return stated.append_column("label", pa.array(labels, pa.int64()))


def _assigned(kept: pa.Table, labels: npt.NDArray[np.int32], names: Sequence[str]) -> pa.Table:
    """What `write_dataset` adds to each kept image; names are `<label folder>-<binary counter>.png`, as published."""
    folders = _folders(names)
    order = np.lexsort((ranks(kept["image_id"]), labels))
    counts = np.bincount(labels, minlength=len(names))
    counter = np.empty(len(kept), dtype=np.int64)
    counter[order] = np.arange(len(kept)) - np.repeat(np.cumsum(counts) - counts, counts)
    digits = [max(1, int(count - 1).bit_length()) for count in counts]
    return pa.table(
        {
            "image_id": kept["image_id"],
            "label": pa.array(labels, pa.int64()),
            "path": [f"/cytoimagenet/{folders[code]}" for code in labels],
            "filename": [
                f"{folders[code]}-{number:0{digits[code]}b}.png" for code, number in zip(labels, counter, strict=True)
            ],
            "png_bytes": kept["png_bytes"],
        }
    )


def _folders(labels: Sequence[str]) -> list[str]:
    """The published spelling of each label's folder."""
    spelled = {label: label.replace(" -- ", "-").replace(" ", "_").replace(",", "_") for label in labels}
    if len(set(spelled.values())) < len(spelled):
        twice = [folder for folder, count in Counter(spelled.values()).items() if count > 1]
        raise InputError(f"labels differ only in blanks, commas or underscores and would share the folder {twice[0]}")
    safe = file_names(spelled.values())
    return [safe[spelled[label]] for label in labels]


def _unite_rejections(output: Path) -> None:
    """rejected.parquet: what was left out at any stage, stage after stage."""
    with (
        atomic_path(output / "rejected.parquet") as temporary,
        pq.ParquetWriter(temporary, REJECTION_SCHEMA) as writer,
    ):
        for path in (output / f"{stage}.rejected.parquet" for stage in STAGES):
            if path.exists():
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches():
                        writer.write_batch(batch.cast(REJECTION_SCHEMA))


def _by_source(images: pa.Table, keep: npt.NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    sources, names = codes(images["dir_name"])
    return {
        name: {"in": int((sources == code).sum()), "kept": int(keep[sources == code].sum())}
        for code, name in enumerate(names)
    }
