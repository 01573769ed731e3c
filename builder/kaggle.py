"""The published archive (Kaggle `stanleyhua/cytoimagenet`) → shards, which the `publish` of every build takes over.

Comes in: one folder of PNG files per label and `metadata.csv` or `metadata.ftr`. Goes out: every row of the metadata
whose image is there and can be decoded, its file taken over byte for byte, with its published name and split (`dset`).
"""

import hashlib
import os
import struct
import time
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256, inside
from cytoimagenet_hf.imaging import ImageReadError, read_image
from cytoimagenet_hf.imaging.png import decode_gray_png
from cytoimagenet_hf.shards.engine import finished_reports, without_locks_after

from .decode import decode_stored
from .kaggle_table import archive_folder, metadata_file, read_metadata
from .publish import publish
from .publish.run import ARCHIVE
from .recipe import RECIPES
from .render.difference_hash import difference_hash
from .render.reader import reason_of
from .render.shard import SHARD_SCHEMA
from .shard_files import Made, Row, ShardReport, ShardTask, write_shard
from .shards import (
    PLAN,
    counts_by_source,
    explain_full_disk,
    list_tasks,
    run_with_progress,
    unfinished_tasks,
    write_or_check_plan,
)
from .sources import SOURCES
from .stage import Rejection, StageSummary, count_reasons, read_summary, require_disk, write_rejections

STAGE = "import"
_SCHEMA = pa.schema([*SHARD_SCHEMA, *((name, pa.string()) for name in ("path", "filename", "dset"))])
_FOUND_OUT = ("image", "image_id", "sha256", "width", "height", "dhash", "png_bytes")
_STATED = pa.schema([field for field in _SCHEMA if field.name not in _FOUND_OUT])
# The images are as the published rules left them; nothing is balanced a second time.
AS_PUBLISHED = replace(
    RECIPES["published"],
    name="as published",
    duplicate_conflict="keep",
    min_images=1,
    max_images=1 << 30,
    split_scheme="field",
)


def import_kaggle(
    archive: Path,
    output: Path,
    *,
    seed: int = 0,
    workers: int | None = None,
    dask: str | None = None,
) -> StageSummary:
    """Turn an unpacked copy of the published archive into a dataset repository; an interrupted import continues.

    Args:
        archive: folder with the metadata and one folder of images per label, or a folder that holds that one.
        output: a claimed folder: new, empty or an earlier import.
        seed: of the leak-free split.
        workers: local processes; all cores by default.
        dask: address of a Dask scheduler instead.

    Returns:
        Counts of rows of the metadata: in = kept + rejected. Its details are those of `publish`, which counts the
        images in turn.
    """
    imported = make_shards(Path(archive), Path(output), workers=workers, dask=dask)
    published = publish(Path(output), recipe=AS_PUBLISHED, seed=seed)
    return replace(imported, details=published.details, seconds=imported.seconds + published.seconds)


def make_shards(archive: Path, output: Path, *, workers: int | None = None, dask: str | None = None) -> StageSummary:
    """Read every image of the archive into `shards/`; see `import_kaggle`.

    While the metadata, the images and the shards are those of an earlier import, its summary is all that is read.
    """
    started = time.perf_counter()
    archive = archive_folder(archive)
    plan = output.resolve() / "shards" / PLAN
    source = {"metadata_sha256": file_sha256(metadata_file(archive))}
    before = read_summary(output, STAGE)
    if before is not None and before.details == source and plan.exists():
        tasks = _tasks(plan, archive)
        reports = finished_reports(tasks)
        if not unfinished_tasks(tasks, reports):
            return replace(before, seconds=time.perf_counter() - started)
    metadata, refused = read_metadata(archive, _STATED)
    if len(metadata) == 0:
        raise _nothing_left(archive, refused)
    with explain_full_disk(output), without_locks_after(output / "shards", None):
        rows = len(metadata)
        write_or_check_plan(plan, metadata, {"made_from": ARCHIVE, "images": rows})
        del metadata  # the largest thing in memory; the shards read their parts of the plan
        tasks = _tasks(plan, archive)
        reports = finished_reports(tasks)
        todo = unfinished_tasks(tasks, reports)
        require_disk(output, sum(task.rows for task in todo) * 63_000)  # 56 GB for 890,737 images
        for report in run_with_progress(_import_shard, todo, unit="image", workers=workers, dask=dask):
            reports[report.number] = report
        rejections = [rejection for report in reports.values() for rejection in report.rejections]
        if len(rejections) == rows:
            raise _nothing_left(archive, [*rejections, *refused])
        by_source = counts_by_source(reports.values(), rejections)
        for rejection in refused:
            counts = by_source.setdefault(rejection.dir_name or "", {"in": 0, "kept": 0})
            counts["in"] += 1
            counts[rejection.reason] = counts.get(rejection.reason, 0) + 1
        rejections += refused
        write_rejections(output, STAGE, rejections)
        summary = StageSummary(
            stage=STAGE,
            rows_in=rows + len(refused),
            kept=sum(report.images for report in reports.values()),
            rejected=count_reasons(rejections),
            by_source=by_source,
            seconds=time.perf_counter() - started,
            details=source,
        )
        summary.write(output)
    return summary


def _tasks(plan: Path, archive: Path) -> list["_ImportTask"]:
    return [_ImportTask(**vars(task), archive=archive.resolve()) for task in list_tasks(plan)]


def _nothing_left(archive: Path, rejections: list[Rejection]) -> InputError:
    """The reasons with an example of each, and what to do about the commonest."""
    examples = {rejection.reason: rejection.detail for rejection in rejections}
    reasons = "; ".join(
        f"{reason} {count}, for example {examples[reason]}" for reason, count in count_reasons(rejections).items()
    )
    hint = "; are the label folders beside the metadata?" if "missing_file" in examples else ""
    return InputError(
        f"none of the {len(rejections)} images that the metadata of {archive} names can be taken over: {reasons}{hint}"
    )


@dataclass(frozen=True, kw_only=True)
class _ImportTask(ShardTask):
    archive: Path

    columns_of_files = ("path", "filename")

    def key(self, row: Row) -> str:
        return _image_id(row)

    def key_of_rejection(self, rejection: Rejection) -> str:
        return rejection.image_id or ""

    def files_of(self, row: Row) -> list[str]:
        return [f"{self.archive}/{_file(row)}"]


def _image_id(row: Row) -> str:
    return PurePosixPath(row["filename"]).stem


def _file(row: Row) -> str:
    return f"{row['path'].replace(chr(92), '/').rstrip('/').rpartition('/')[2]}/{row['filename']}"


def _import_shard(task: _ImportTask) -> ShardReport:
    return write_shard(task, partial(_import_image, archive=task.archive), _SCHEMA)


def _import_image(row: Row, *, archive: Path) -> Made:
    image_id, file = _image_id(row), _file(row)

    def rejected(reason: str, detail: str) -> Made:
        return [], [Rejection(row["idx"], STAGE, reason, detail, image_id=image_id, dir_name=row["dir_name"])]

    path = f"{archive}/{file}"
    if not _stays_inside(path, file, archive):
        return rejected("outside_root", f"{file!r} leaves the archive")
    try:
        with open(path, "rb") as handle:
            content = handle.read()
    except (OSError, ValueError) as error:
        is_absent = isinstance(error, (FileNotFoundError, NotADirectoryError, ValueError))
        return rejected("missing_file" if is_absent else "unreadable", file)
    try:
        pixels = _published_pixels(content, path)
    except ImageReadError as error:
        return rejected(reason_of(error), str(error).replace(f"{archive}/", ""))
    except MemoryError:
        return rejected("out_of_memory", file)
    source = SOURCES.get(row["dir_name"])
    made = {
        "image": {"bytes": content, "path": row["filename"]},
        "image_id": image_id,
        "licence": row.get("licence") or (source.licence if source else None),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "dhash": difference_hash(pixels),
        "png_bytes": len(content),
    }
    return [row | made], []


def _stays_inside(path: str, file: str, archive: Path) -> bool:
    """Does a file lie below the archive? Links are followed; where there are none, nothing needs to be looked up."""
    if ".." in file.split("/") or "\0" in file:
        return False
    if not os.path.islink(path) and file.count("/") == 1 and not _is_link(os.path.dirname(path)):
        return True
    try:
        inside(archive, file)
    except InputError:
        return False
    return True


@lru_cache(maxsize=1 << 12)
def _is_link(folder: str) -> bool:
    return os.path.islink(folder)


def _published_pixels(content: bytes, path: str) -> npt.NDArray[np.uint8]:
    """What `Image(mode="L")` of the dataset decodes: gray bytes."""
    if _is_plain_gray(content):
        try:
            pixels = decode_gray_png(content)
        except ValueError as error:
            raise ImageReadError(f"cannot decode {path}: {error}") from error
        if pixels is not None:
            return pixels
    read_image(path)  # decodes to the end, or says what is wrong with the file
    return decode_stored(content)


def _is_plain_gray(content: bytes) -> bool:
    """An 8-bit gray PNG of a size that every published image has by far: no other reader needs to look at it."""
    if len(content) < 33 or content[24:26] != b"\x08\x00":
        return False
    width, height = struct.unpack(">II", content[16:24])
    return bool(width * height <= 1 << 24)
