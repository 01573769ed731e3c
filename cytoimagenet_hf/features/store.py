"""Features of many images as a folder of shards: interrupted at any moment and started again, the bytes are the same.

    features-00000-of-00004.parquet   id, Metadata_*, features: pandas.read_parquet(folder) reads all of them
    _extraction.json                  what the shards depend on: model, preprocessing, ids, backend and why
    _ranges.json                      under normalisation over plates: the pixel ranges and the fields they come from
    _shard-00000-of-00004.json        of one shard: stamp of its images, hash of its file, what was rejected
    _rejected.json                    every image that was left out, and why
    _locks/                           while shards are being made: one lock each

A shard's bytes depend on its own images, the model and the settings alone; batches never reach across shards. What is
there is not made again unless one of its images has changed.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import (
    absent_folders,
    atomic_path,
    file_sha256,
    held_folder,
    read_json_object,
    take_back,
    write_json,
)
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.core.settings import build, check_fields
from cytoimagenet_hf.images import Image, Rejection
from cytoimagenet_hf.images.remote import concurrently
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.shards.engine import without_locks_after
from cytoimagenet_hf.shards.shard import LOCKS, Part, Shard

from .ranges import PlateRanges, plate_of

if TYPE_CHECKING:  # torch is a second's work, and a finished folder needs none
    from cytoimagenet_hf.networks import Encoder

PLAN, RANGES, REJECTED = "_extraction.json", "_ranges.json", "_rejected.json"
REQUEST, LOCK = "_request.json", "_lock"


@dataclass(frozen=True)
class ExtractionSummary:
    """What an extraction left behind; construction fails unless `images == kept + len(rejected)`.

    Of one part (`part`, such as `2/64`) everything is counted over the shards of that part. `flat` names images with
    channels whose pixels are all equal.
    """

    images: int
    kept: int
    features: int
    shards: int
    shards_made_now: int
    shards_changed: int
    rejected: tuple[Rejection, ...]
    part: str | None = None
    flat: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def flat_note(self) -> str:
        """A line about planes without any difference; empty where there is none."""
        if not self.flat:
            return ""
        name, channels = next(iter(self.flat.items()))
        count = f"{len(self.flat):,} image{'s have' if len(self.flat) > 1 else ' has'}"
        return f"{count} a plane whose pixels are all equal, such as channel {', '.join(channels)} of {name}"

    def __post_init__(self) -> None:
        if self.images != self.kept + len(self.rejected):
            raise RuntimeError(f"{self.images} images, but {self.kept} kept + {len(self.rejected)} rejected")


@dataclass(frozen=True)
class ShardRecord:
    """What stands beside a shard, in `_shard-#####-of-#####.json`."""

    stamp: str  # of its images
    sha256: str  # of its file; empty where no image was kept
    kept: int
    rejected: tuple[Rejection, ...]
    unreached: int = 0  # rejections for a reason that may pass, such as the network: the shard is made again
    flat: dict[str, tuple[str, ...]] = field(default_factory=dict)  # id of a kept image → channels of equal pixels

    def __post_init__(self) -> None:
        check_fields(self, name="record of a shard")


@dataclass(frozen=True)
class FeatureShard(Shard):
    """One shard of features to make."""

    folder: Path
    count: int  # of all shards
    images: tuple[Image, ...]
    stains: tuple[str, ...]  # of every image
    kinds: Mapping[str, str]  # fact → `int64`, `double` or `string`, the same in every shard
    stamp: str  # of the images
    settings: Extraction
    fingerprint: str  # of the encoder; another process checks that it has loaded the same
    ranges: Mapping[str, PlateRanges] | None = None  # of the plates of these images
    load: Callable[[], "Encoder | Sequence[Encoder]"] | None = None  # makes the encoder in another process

    @property
    def path(self) -> Path:
        """Its table."""
        return self.folder / f"features-{self.number:05d}-of-{self.count:05d}.parquet"

    @property
    def record(self) -> Path:
        """Its record."""
        return self.folder / f"_shard-{self.number:05d}-of-{self.count:05d}.json"

    def finished(self) -> ShardRecord | None:
        """Its record, if the table is undamaged and made from these very images."""
        record = read_record(self.record)
        if record is None or record.stamp != self.stamp or record.unreached:
            return None
        return record if not record.kept or is_intact(self.path, record) else None


@contextmanager
def locked(output: Path, part: Part | None = None, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder alone, after or without a `wait` for another process; or share it as one of several parts.

    A folder that was made for an extraction that is refused at once is removed again.
    """
    if part is None:
        refusal = f"another process extracts into {output}: wait for it, or choose another folder"
        with (
            held_folder(output, lock=LOCK, begun=(PLAN, RANGES), refusal=refusal, wait=wait),
            without_locks_after(output, part),
        ):
            yield
        return
    made = absent_folders(output)
    output.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except InputError:
        take_back(output, files=(), made=made)  # what other parts began stays
        raise


def stamp_of(images: Sequence[Image], ranges: Mapping[str, PlateRanges] | None = None) -> str:
    """Hash of all that the rows of these images depend on: ids, pixels, facts, and the ranges of their plates."""
    digest = hashlib.sha256()
    remote = any(image.is_remote for image in images)
    stamps = concurrently(lambda image: image.stamp, images, remote=remote)
    for image, stamp in zip(images, stamps, strict=True):
        facts = sorted((str(name), str(value)) for name, value in image.metadata.items())
        plate = None if ranges is None else ranges.get(plate_of(image))
        ends = None if plate is None else sorted(plate.ranges.items())
        digest.update(repr((image.id, stamp, facts, ends)).encode())
    return digest.hexdigest()[:16]


def stamp_of_model(name: str, revision: str | None = None) -> str | None:
    """Id of the weights under a name, without loading them; None where only loading tells.

    Example:
        >>> stamp_of_model("random:3"), stamp_of_model("me/some-model") is None
        ('random:3', True)
    """
    path = Path(name)
    if path.exists():
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]
    return name if name.startswith("random:") else f"{name}@{revision}" if revision else None


def finished(output: Path, request: Mapping[str, Any]) -> ExtractionSummary | None:
    """What a folder holds that was made by this very request and is complete and undamaged; None if there is a doubt.

    The answer takes no network: a second run over a finished plate is done in a moment.

    Args:
        output: folder of an extraction.
        request: what was asked for, as `_request.json` keeps it: model, options, stamp of the images.
    """
    if read_json(output / REQUEST) != json.loads(json.dumps(request)):
        return None
    files = sorted(output.glob("_shard-*-of-*.json"))
    records = [record for file in files if (record := read_record(file)) is not None]
    shards = [file.with_name(f"{file.stem.removeprefix('_').replace('shard', 'features')}.parquet") for file in files]
    if not files or len(records) != int(files[0].stem.rpartition("-")[2]):
        return None
    if any(record.unreached for record in records):
        return None
    if not all(is_intact(shard, record) for shard, record in zip(shards, records, strict=True)):
        return None
    summary = _summary(records, _width(shards[0]))
    if (read_json(output / PLAN) or {}).get("images") != summary.images or _listed(output) != summary.rejected:
        return None
    return summary


def _summary(
    records: Sequence[ShardRecord], width: int, *, made: int = 0, changed: int = 0, part: str | None = None
) -> ExtractionSummary:
    """The sum over the records of shards."""
    rejected = tuple(rejection for record in records for rejection in record.rejected)
    kept = sum(record.kept for record in records)
    flat = {name: channels for record in records for name, channels in record.flat.items()}
    return ExtractionSummary(kept + len(rejected), kept, width, len(records), made, changed, rejected, part, flat)


def _width(shard: Path) -> int:
    """Features an image in a shard."""
    return int(pq.read_schema(shard).field("features").type.list_size)


def _listed(output: Path) -> tuple[Rejection, ...] | None:
    """What `_rejected.json` lists; None where it is absent or damaged."""
    try:
        return tuple(Rejection(**entry) for entry in read_json_file(output / REJECTED))
    except (OSError, ValueError, TypeError):
        return None


def is_intact(shard: Path, record: ShardRecord) -> bool:
    """Whether a shard holds what its record says."""
    return shard.is_file() and (not record.kept or file_sha256(shard) == record.sha256)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object; None if it cannot be read."""
    try:
        return read_json_object(path)
    except InputError:
        return None


def read_record(path: Path) -> ShardRecord | None:
    """What stands beside a shard; None where it is absent or damaged: such a shard counts as not made."""
    try:
        content = read_json_object(path)
        rejected = tuple(Rejection(**entry) for entry in content["rejected"])
        flat = {name: tuple(channels) for name, channels in content.get("flat", {}).items()}
        return build(ShardRecord, content | {"rejected": rejected, "flat": flat}, name=path.name)
    except (InputError, KeyError, TypeError, AttributeError):
        return None


def require_claimable(output: Path, wanted: dict[str, Any]) -> None:
    """A new or empty folder, or one of the same extraction; nothing is changed in any other."""
    plan = output / PLAN
    if not plan.is_file():
        if output.is_dir() and any(entry.name not in (LOCK, LOCKS) for entry in output.iterdir()):
            raise InputError(f"{output} is not empty and holds no extraction: choose a new or empty folder")
        return
    begun = read_json_object(plan, remedy=f"delete {output}, or choose another folder")
    differing = sorted(key for key in wanted.keys() | begun.keys() if wanted.get(key) != begun.get(key))
    if differing:
        raise InputError(
            f"{output} holds another extraction (differs in {', '.join(differing)}): choose another folder"
        )


def summarise_shards(
    output: Path, tasks: Sequence[FeatureShard], plan: dict[str, Any], made: int, changed: int
) -> ExtractionSummary:
    """Write the list of what was left out and complete the folder; `made` shards are new, `changed` of them again."""
    records = [record for task in tasks if (record := read_record(task.record)) is not None]
    if len(records) != len(tasks):
        raise InputError(
            f"{output}: {len(tasks) - len(records)} of {len(tasks)} shards are gone or damaged since they were made: "
            "run the same extraction again"
        )
    rejected = tuple(rejection for record in records for rejection in record.rejected)
    write_json(output / REJECTED, [asdict(rejection) for rejection in rejected])
    full = [task for task, record in zip(tasks, records, strict=True) if record.kept]
    if not full:
        raise InputError(f"none of the {plan['images']} images can be used; {rejected[0].id!r}: {rejected[0].reason}")
    width = _width(full[0].path)
    for task in full[1:]:
        if (other := _width(task.path)) != width:
            raise InputError(f"{task.path} holds {other} features an image and {full[0].path.name} {width}: delete it")
    empty = pq.read_schema(full[0].path).empty_table()
    for task, record in zip(tasks, records, strict=True):
        if not record.kept:  # a table without rows, so that the folder is complete
            with atomic_path(task.path) as temporary:
                pq.write_table(empty, temporary, use_dictionary=False, compression="none")
    return replace(_summary(records, width, made=made, changed=changed), images=plan["images"])  # refuses another sum


def summarise_part(part: Part, shards: Sequence[FeatureShard], *, made: int) -> ExtractionSummary:
    """What one part made, some of its shards now; a call without a part completes the folder."""
    records = [record for shard in shards if (record := read_record(shard.record)) is not None]
    full = [shard for shard in shards if shard.path.is_file()]
    return _summary(records, _width(full[0].path) if full else 0, made=made, part=str(part))
