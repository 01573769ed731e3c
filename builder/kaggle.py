"""The published archive (Kaggle `stanleyhua/cytoimagenet`) → the same dataset repository.

Comes in: one folder of PNG files per label and `metadata.csv`. Goes out: every row of the metadata whose image is
there and can be decoded, its file taken over byte for byte; both splits: leak-free, and the published one (`dset`).
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pyarrow as pa
import pyarrow.compute as pc

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import inside
from cytoimagenet_hf.imaging import ImageReadError, read_image, to_gray
from cytoimagenet_hf.leaks import leak_report
from cytoimagenet_hf.schema import dataset_features
from cytoimagenet_hf.splits import assign_splits

from .publish.balance import codes, copy_counts
from .publish.data_files import write_dataset
from .publish.near import near_groups
from .publish.repository import write_companions
from .publish.run import read_columns, unite_rejections
from .render.field import difference_hash
from .render.shard import SHARD_SCHEMA
from .shards import (
    Row,
    ShardReport,
    ShardTask,
    counts_by_source,
    finished_reports,
    full_disk_said,
    list_tasks,
    run_shards,
    settle_plan,
    write_shard,
)
from .stage import Rejection, StageSummary, count_reasons, require_disk, write_rejections

STAGE = "import"
_REQUIRED = ("label", "path", "filename", "idx")
_DSET = {"train": "train", "val": "validation", "validation": "validation"}
_SCHEMA = pa.schema([*SHARD_SCHEMA, ("path", pa.string()), ("filename", pa.string())])


def import_kaggle(
    archive: Path,
    output: Path,
    *,
    seed: int = 0,
    validation_fraction: float = 0.1,
    workers: int | None = None,
    dask: str | None = None,
) -> StageSummary:
    """Turn an unpacked copy of the published archive into a dataset repository; stopped, it continues.

    Args:
        archive: folder with `metadata.csv` and one folder of images per label.
        output: a claimed folder: new, empty or an earlier import.
        seed: of the leak-free split.
        validation_fraction: of that split.
        workers: local processes; all cores by default.
        dask: address of a Dask scheduler instead.

    Returns:
        Counts of rows of the metadata: in = kept + rejected (`missing_file`, `unreadable`, `outside_root`).

    Raises:
        InputError: no metadata, a missing column, repeated file names, no image at all, or shards of another
            archive.
    """
    started = time.perf_counter()
    archive, output = Path(archive), Path(output)
    metadata = _read_metadata(archive)
    with full_disk_said(output):
        plan = output.resolve() / "shards" / "plan.parquet"
        settle_plan(plan, metadata, {"made_from": "the published archive", "images": len(metadata)})
        tasks = [_ImportTask(**vars(task), archive=archive.resolve()) for task in list_tasks(plan)]
        reports = finished_reports(tasks)
        todo = [task for task in tasks if task.number not in reports]
        require_disk(output, sum(task.rows for task in todo) * 63_000)  # 56 GB for 890,737 images
        for report in run_shards(_import_shard, todo, unit="image", workers=workers, dask=dask):
            reports[report.number] = report
        rejections = [rejection for report in reports.values() for rejection in report.rejections]
        write_rejections(output, STAGE, rejections)
        if len(rejections) == len(metadata):
            raise InputError(
                f"none of the {len(metadata)} images of {archive / 'metadata.csv'} could be read "
                f"({count_reasons(rejections)}): are the label folders beside it?"
            )
        return _write(output, tasks, reports, metadata, seed, validation_fraction, started)


@dataclass(frozen=True, kw_only=True)
class _ImportTask(ShardTask):
    archive: Path


def _read_metadata(archive: Path) -> pa.Table:
    """The metadata as rows of a plan: text as in the file, in an order that mixes labels."""
    path = archive / "metadata.csv"
    if not path.is_file():
        raise InputError(
            f"{path} is not there: give the unpacked archive, with a folder per label beside metadata.csv"
        )
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if absent := [name for name in _REQUIRED if name not in table.columns]:
        raise InputError(f"{path} has no column {absent}; it has {list(table.columns)}")
    for name in _REQUIRED:
        if table[name].isna().any():
            raise InputError(f"{path}: {int(table[name].isna().sum())} rows have no {name}")
    repeated = table["filename"].duplicated()
    if repeated.any():
        raise InputError(
            f"{path}: {int(repeated.sum())} file names occur twice, {table['filename'][repeated].iloc[0]!r}"
        )
    if "dset" in table and (unknown := sorted(set(table["dset"].fillna("nothing")) - set(_DSET))):
        raise InputError(f"{path}: dset holds {unknown}; it should be train or val")
    table["dir_name"] = table["dir_name"] if "dir_name" in table else table["idx"].str.split("-").str[0]
    mixed = table["filename"].map(lambda name: hashlib.blake2b(name.encode(), digest_size=8).hexdigest())
    known = [name for name in (*dataset_features([]), "dset") if name in table.columns and name != "image"]
    ordered = table.loc[mixed.sort_values(kind="stable").index, known]
    return pa.Table.from_pandas(
        ordered, schema=pa.schema([(name, pa.string()) for name in known]), preserve_index=False
    )


def _import_shard(task: _ImportTask) -> ShardReport:
    rows = task.read_rows()
    return write_shard(task, rows, (_import_image(row, task.archive) for row in rows), _SCHEMA)


def _import_image(row: Row, archive: Path) -> tuple[list[Row], list[Rejection]]:
    folder = PurePosixPath(row["path"].replace("\\", "/")).name
    image_id = PurePosixPath(row["filename"]).stem
    try:
        path = inside(archive, f"{folder}/{row['filename']}")
    except InputError as error:
        return [], [_rejection(row, image_id, "outside_root", str(error).replace(str(archive), "the archive"))]
    if not path.is_file():
        return [], [_rejection(row, image_id, "missing_file", f"{folder}/{row['filename']}")]
    try:
        pixels = _published_pixels(path)
        values = {name: _value(row.get(name), field) for name, field in zip(_SCHEMA.names, _SCHEMA, strict=True)}
    except (ImageReadError, ValueError) as error:
        reason = "unreadable" if isinstance(error, ImageReadError) else "bad_value"
        return [], [_rejection(row, image_id, reason, str(error).replace(f"{archive}/", ""))]
    content = path.read_bytes()
    made = {
        "image": {"bytes": content, "path": row["filename"]},
        "image_id": image_id,
        "licence": values["licence"] or _licence(row["dir_name"]),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "dhash": difference_hash(pixels),
        "png_bytes": len(content),
    }
    return [values | made], []


def _rejection(row: Row, image_id: str, reason: str, detail: str) -> Rejection:
    return Rejection(row["idx"], STAGE, reason, detail, image_id=image_id, dir_name=row["dir_name"])


def _published_pixels(path: Path) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """What `Image(mode="L")` of the dataset decodes: gray bytes."""
    pixels = read_image(path)
    if pixels.ndim == 2 and pixels.dtype == np.uint8:
        return pixels
    with PIL.Image.open(path) as image:
        return np.asarray(image.convert("L")) if to_gray(pixels).size else np.empty((0, 0), np.uint8)


def _value(text: str | None, field: pa.Field) -> Any:
    """A cell of the metadata as the type of its column."""
    if text is None or pa.types.is_string(field.type) or pa.types.is_struct(field.type):
        return text
    if pa.types.is_boolean(field.type):
        if text.lower() not in {"true", "false"}:
            raise ValueError(f"{field.name} is {text!r}, not True or False")
        return text.lower() == "true"
    number = float(text)
    if pa.types.is_integer(field.type):
        if number != int(number):
            raise ValueError(f"{field.name} is {text!r}, not a whole number")
        return int(number)
    return number


def _licence(dir_name: str) -> str | None:
    from .sources import SOURCES  # forty modules, needed here alone

    source = SOURCES.get(dir_name)
    return source.licence if source else None


def _write(
    output: Path,
    tasks: Sequence[ShardTask],
    reports: dict[int, ShardReport],
    metadata: pa.Table,
    seed: int,
    fraction: float,
    started: float,
) -> StageSummary:
    shards = [task.path for task in tasks]
    columns = ("image_id", "idx", "label", "category", "database", "name", "dir_name", "licence", "sha256", "dhash")
    images = read_columns(shards, [*columns, "png_bytes", "path", "filename"])
    split = assign_splits(images, fraction=fraction, seed=seed).tolist()
    published = _published_split(images, metadata, fraction, seed)
    labels, names = codes(images["label"])
    features = dataset_features(names)
    assigned = images.select(["path", "filename", "png_bytes"]).append_column("label", pa.array(labels, pa.int64()))
    keep = np.ones(len(images), dtype=bool)
    files = write_dataset(output, shards, keep, assigned, features=features, split=split, published=published)
    unite_rejections(output)
    rejections = [rejection for report in reports.values() for rejection in report.rejections]
    leaks = asdict(leak_report(images.append_column("split", pa.array(split))))
    as_published = leak_report(images.append_column("split", pa.array(published)))
    near = pa.chunked_array([near_groups(images["dhash"].to_pylist())])
    summary = StageSummary(
        stage=STAGE,
        rows_in=len(metadata),
        kept=len(images),
        rejected=count_reasons(rejections),
        by_source=counts_by_source(reports.values(), rejections),
        seed=seed,
        seconds=time.perf_counter() - started,
        details={
            "classes": len(names),
            "exact_copies": copy_counts(images["sha256"], images["label"], images["dir_name"]),
            "near_duplicates": copy_counts(near, images["label"], images["dir_name"]),
            "leaks": leaks,
            "leaks_of_the_published_split": asdict(as_published),
        },
    )
    summary.write(output)
    write_companions(output, files, images, labels=names, seed=seed)
    return summary


def _published_split(images: pa.Table, metadata: pa.Table, fraction: float, seed: int) -> list[str]:
    """The split the archive states (`dset`), or one drawn by the same rule."""
    if "dset" not in metadata.column_names:
        return list(assign_splits(images, scheme="published", fraction=fraction, seed=seed))
    stated = metadata["dset"].take(pc.index_in(images["filename"], value_set=metadata["filename"])).to_pylist()
    return [_DSET[value] for value in stated]
