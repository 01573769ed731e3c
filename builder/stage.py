"""What every stage of the builder shares: the claimed output folder, recorded rejections and the summary.

A stage reads the file of the one before, writes its own under a temporary name, and ends with `<stage>.summary.json`
in which kept + rejected = in, and `<stage>.rejected.parquet` with one row per rejection.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import atomic_path, held_folder, read_json_object, write_json
from cytoimagenet_hf.core.versions import installed_versions
from cytoimagenet_hf.dataset.schema import REJECTION_SCHEMA
from cytoimagenet_hf.shards.shard import Part

MARKER, LOCK = ".cytoimagenet-build.json", ".cytoimagenet-build.lock"
VERSIONED = ("numpy", "pandas", "pyarrow", "pillow", "tifffile", "opencv-python-headless")


@dataclass(frozen=True)
class Rejection:
    """A field (or an image made from it) that was left out, and why."""

    idx: str
    stage: str
    reason: str
    detail: str = ""
    image_id: str | None = None
    dir_name: str | None = None


@dataclass(frozen=True)
class StageSummary:
    """Counts of one stage; `rows_in == kept + sum(rejected.values())` or construction fails."""

    stage: str
    rows_in: int
    kept: int
    rejected: dict[str, int]
    by_source: dict[str, dict[str, int]] = field(default_factory=dict)
    recipe: dict[str, Any] | None = None
    seed: int | None = None
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rows_in != self.kept + sum(self.rejected.values()):
            raise RuntimeError(
                f"{self.stage}: {self.rows_in} in, but {self.kept} kept + {sum(self.rejected.values())} rejected"
            )

    def write(self, output: Path) -> None:
        """Write `<stage>.summary.json` into the output folder, with the versions that made it."""
        write_json(output / f"{self.stage}.summary.json", asdict(self) | {"versions": installed_versions(VERSIONED)})


def read_summary(output: Path, stage: str) -> StageSummary | None:
    """The summary that an earlier run of a stage left; None if there is none that can be read."""
    try:
        return require_summary(output, stage)
    except InputError:
        return None


def require_summary(output: Path, stage: str) -> StageSummary:
    """The summary that an earlier run of a stage left; refused where it is not what a stage writes."""
    path, remedy = output / f"{stage}.summary.json", f"run `python -m builder {stage}` again"
    content = read_json_object(path, remedy=remedy)
    try:
        summary = StageSummary(**{name: value for name, value in content.items() if name != "versions"})
        kinds: dict[str, tuple[type, ...]] = {"recipe": (dict, type(None)), "seconds": (int, float)}
        kinds |= dict.fromkeys(("details", "by_source", "rejected"), (dict,))
        if wrong := [name for name, kind in kinds.items() if not isinstance(getattr(summary, name), kind)]:
            raise TypeError(f"{wrong[0]} is {getattr(summary, wrong[0])!r}")
    except (TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path} is not a summary of that stage ({one_line(error)}): {remedy}") from error
    return summary


def count_reasons(rejections: Iterable[Rejection]) -> dict[str, int]:
    """How many rejections there are of each reason."""
    return dict(sorted(Counter(rejection.reason for rejection in rejections).items()))


def write_rejections(output: Path, stage: str, rejections: Iterable[Rejection]) -> None:
    """Write `<stage>.rejected.parquet`, ordered by id."""
    rows = sorted((asdict(r) for r in rejections), key=lambda row: (row["idx"], row["image_id"] or "", row["reason"]))
    write_rejection_batches(output, stage, [pa.Table.from_pylist(rows, schema=REJECTION_SCHEMA)])


def write_rejection_batches(output: Path, stage: str, batches: Iterable[pa.Table]) -> None:
    """Write `<stage>.rejected.parquet` from tables of `REJECTION_SCHEMA` in order: for stages that reject millions."""
    repeated = [name for name in REJECTION_SCHEMA.names if name not in {"idx", "image_id"}]
    with (
        atomic_path(output / f"{stage}.rejected.parquet") as temporary,
        pq.ParquetWriter(temporary, REJECTION_SCHEMA, use_dictionary=repeated) as writer,
    ):
        for batch in batches:
            writer.write_table(batch)


@contextmanager
def claimed(output: Path) -> Iterator[Path]:
    """Claim an output folder for one build. A folder made for a build that is refused at once is removed again.

    A folder is refused if it holds something else, cannot be written to, or another build is running in it.
    """
    marker = output / MARKER
    refusal = f"another build is writing to {output}: wait for it, or choose another --output"
    with ExitStack() as stack:
        try:
            if output.is_dir() and not marker.exists() and any(path.name != LOCK for path in output.iterdir()):
                raise InputError(
                    f"{output} is not empty and holds no dataset build: choose a new or empty --output folder"
                )
            stack.enter_context(held_folder(output, lock=LOCK, begun=(MARKER,), refusal=refusal))
        except OSError as error:
            raise InputError(
                f"{output} cannot be built into: {error.strerror or error}. Choose another --output"
            ) from error
        if not marker.exists():
            write_json(marker, {"made_by": "cytoimagenet-hf builder"})
        yield output


@contextmanager
def claimed_or_shared(output: Path, part: Part | None) -> Iterator[Path]:
    """Claim the folder of a build, or share it with other commands that each make a part of its shards."""
    if part is not None and not (output / MARKER).is_file():
        raise InputError(f"{output} holds no build: run `python -m builder select` there first, then the parts")
    with claimed(output) if part is None else nullcontext(output):
        yield output


@contextmanager
def tables_aside(output: Path) -> Iterator[Path]:
    """A folder for files of the first stages, which are put into `output` when the block ends without an error."""
    aside = output / ".tables.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        for path in sorted(aside.iterdir()):
            os.replace(path, output / path.name)
    except InputError as error:  # the caller knows the folder by the name it gave
        raise InputError(str(error).replace(str(aside), str(output))) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def require_disk(folder: Path, needed: int) -> None:
    """Refuse to start when the disk cannot hold `needed` bytes more."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder} has {free / 1e9:.1f} GB free, about {needed / 1e9:.1f} GB are needed: "
            "free some space, choose another --output, or build fewer --sources"
        )
