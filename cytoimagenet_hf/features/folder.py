"""Extraction into a folder of shards: which are to be made, where they run, and one shard made.

An image on its way to its row passes `make_shard`, `vectors.extract_rows`, `prepare.make_units`, `vectors.Batches` and
`runtimes.Runner`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from huggingface_hub import cached_assets_path
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path, file_sha256, require_still_there, write_json
from cytoimagenet_hf.images import Image, Rejection
from cytoimagenet_hf.images.objects import UnreachableError
from cytoimagenet_hf.networks import Encoder
from cytoimagenet_hf.options.extraction import DEFAULTS, Extraction
from cytoimagenet_hf.shards.engine import finished_reports, planning, run_shards
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.reading import read_features

from .about import describe, names_of_all, simulated_fact
from .choosing import TRIED, auto_runner, runner_of
from .ranges import PlateRanges, measure_plates, plate_of
from .runtimes import Runner
from .store import (
    PLAN,
    RANGES,
    ExtractionSummary,
    FeatureShard,
    ShardRecord,
    locked,
    read_json,
    require_claimable,
    stamp_of,
    summarise_part,
    summarise_shards,
)
from .vectors import ImageToRead, extract_rows


def extract_to_folder(
    encoder: Encoder | Sequence[Encoder],
    images: Sequence[Image],
    output: str | Path,
    *,
    settings: Extraction = DEFAULTS,
    load: Callable[[], Encoder | Sequence[Encoder]] | None = None,
    advance: Callable[[int], Any] = lambda images: None,
    wait: bool = False,
) -> ExtractionSummary:
    """Extract features into `output`, continuing what an interrupted run left there.

    Several calls may work in one folder at a time, each on a part of the shards. A call without `part` makes what is
    missing then, checks all shards and completes the folder.

    Args:
        encoder: the network and what it takes; of several, each image is read once and its row holds the features of
            all, one after the other.
        images: with unique ids.
        output: a new or empty folder, or one of the same extraction.
        settings: where and how it runs.
        load: makes the same encoder in another process (importable by name); needed for Dask and several devices.
        advance: called with how many images more are done; those that an earlier run left there come first.
        wait: for another process that writes there, instead of refusing; what it made is not made again.

    Raises:
        InputError: the folder holds something else or features of other images, models or settings; another process
            writes there; no image is usable.
    """
    output, part = Path(output), settings.part
    encoders = _several(encoder)
    devices = settings.devices if len(settings.devices) > 1 else []
    if devices:  # ranges and the choice of a backend are made on the first
        settings = replace(settings, device=devices[0])
    _require_unique(images)
    if not (output / PLAN).is_file():
        require_claimable(output, {})  # before anything is written or exported
    with locked(output, part, wait=wait):
        # Parts agree on the backend and on the ranges of plates: the first one chooses.
        with planning(output, PLAN, RANGES):
            runs = _runners(encoders, images, output, settings)
            plan, stains = _planned(encoders, images, settings, runs)
            # What other processes get: the one name of all runners, else each is chosen anew, which gives the same.
            backends = {run.name for run in runs}
            settings = replace(settings, backend=backends.pop() if len(backends) == 1 else "auto")
            require_claimable(output, plan)
            write_json(output / PLAN, plan)
            ranges = _ranges(encoders, images, output, settings)
        shards = list(_shards(encoders, images, output, stains, settings, ranges, load))
        wanted = shards if part is None else part.of(shards)
        finished = finished_reports(wanted)
        todo = [shard for shard in wanted if shard.number not in finished]
        changed = sum(shard.record.is_file() for shard in todo)
        left = sum(shard.rows for shard in todo)
        advance(sum(shard.rows for shard in wanted) - left)
        elsewhere = bool(todo and (settings.dask or devices))
        if elsewhere and load is None:
            raise InputError("shards in other processes need load=, a function that makes the encoder there")
        with tqdm(total=left, unit="image", disable=None) as bar:

            def step(images_done: int) -> None:
                bar.update(images_done)
                advance(images_done)

            here = partial(make_shard, models=list(zip(encoders, runs, strict=True)), advance=step)
            make = make_shard if elsewhere else here
            for record in run_shards(make, todo, workers=1, dask=settings.dask, devices=devices):
                if elsewhere:
                    step(record.kept + len(record.rejected))
        require_still_there(output, PLAN)
        if part is not None:
            return summarise_part(part, wanted, made=len(todo))
        return summarise_shards(output, shards, plan, len(todo), changed)


Models = Sequence[tuple[Encoder, Runner]]


def _several(encoder: Encoder | Sequence[Encoder]) -> tuple[Encoder, ...]:
    encoders = tuple(encoder) if isinstance(encoder, Sequence) else (encoder,)
    twice = [name for name, count in Counter(encoder.name for encoder in encoders).items() if count > 1]
    if twice or not encoders:
        raise InputError(f"model {twice[0]} is named twice: name each once" if twice else "no model to extract with")
    return encoders


def _runners(encoders: Sequence[Encoder], images: Sequence[Image], output: Path, settings: Extraction) -> list[Runner]:
    """What runs each network: under `auto` what the folder's record names, so that a table comes from one backend."""
    recorded = read_json(output / PLAN)
    described = [recorded] if len(encoders) == 1 else (recorded or {}).get("joined", [None] * len(encoders))
    pairs = zip(encoders, described, strict=False)
    return [_runner(encoder, images, record, settings) for encoder, record in pairs]


def _runner(encoder: Encoder, images: Sequence[Image], recorded: Any, settings: Extraction) -> Runner:
    backend = settings.backend
    if backend == "auto" and recorded is None:
        first = [ImageToRead.of(image) for image in images[:TRIED]]
        return auto_runner(encoder, first, images=len(images), device=settings.device, dtype=_precision(settings))
    earlier = recorded or {}
    if backend == "auto":
        backend = str(earlier.get("backend", "torch"))
    run = runner_of(encoder, backend, device=settings.device, dtype=_precision(settings))
    return replace(run, choice=earlier.get("backend_choice") if earlier.get("backend") == backend else None)


def _planned(
    encoders: Sequence[Encoder], images: Sequence[Image], settings: Extraction, runs: Sequence[Runner]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the shards depend on, beside the pixels; and the stains of the images."""
    stains = Counter(image.channels for image in images).most_common(1)[0][0]
    described = [
        describe(encoder, run, stains=stains) | ({} if run.choice is None else {"backend_choice": dict(run.choice)})
        for encoder, run in zip(encoders, runs, strict=True)
    ]
    plan = (described[0] if len(described) == 1 else {"joined": described}) | {
        "batch_size": settings.batch_size,
        "shard_size": settings.shard_size,
        "storage": settings.storage,
        "images": len(images),
        "ids": hashlib.sha256("\n".join(image.id for image in images).encode()).hexdigest()[:16],
    }
    return plan, stains


def cached_features(
    encoder: Encoder,
    images: Sequence[Image],
    *,
    cache: str | Path | None = None,
    settings: Extraction = DEFAULTS,
    advance: Callable[[int], Any] = lambda images: None,
) -> tuple[FeatureTable, tuple[Rejection, ...]]:
    """Features of images from a cache folder, extracted and kept there if they are not.

    An entry is a folder named by the weights, by ids and pixels of the images, and by all else that an extraction
    depends on: neither two sets with equal ids and other pixels share one, nor the same weights under two names, nor
    two versions of this package that describe a network differently. An interrupted extraction continues.

    Args:
        encoder: the network and what it takes.
        images: with unique ids.
        cache: folder of all entries; by default beside what the Hub's libraries keep (`HF_HOME`).
        settings: how it runs.
        advance: as `extract_to_folder`.

    Returns:
        The features, and the images that were left out.

    Raises:
        InputError: as `extract_to_folder`.
    """
    folder = Path(cache or cached_assets_path("cytoimagenet-hf", namespace="features"))
    _require_unique(images)
    # An entry is found again by what was asked for: `auto` may have taken another runtime by then.
    by_torch = runner_of(encoder, device=settings.device, dtype=_precision(settings))
    plan, _ = _planned([encoder], images, settings, [replace(by_torch, name=settings.backend)])
    rest = hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()[:16]
    folder /= f"{encoder.fingerprint}-{stamp_of(images)}-{rest}"
    summary = extract_to_folder(encoder, images, folder, settings=settings, advance=advance, wait=True)
    return read_features(folder), summary.rejected


def make_shard(
    task: FeatureShard,
    device: str | None = None,
    *,
    models: Models | None = None,
    advance: Callable[[int], Any] = lambda images: None,
) -> ShardRecord:
    """Write one shard and its record; in another process the task loads its encoders itself, once (`models` None)."""
    if models is None:
        models = _loaded(task, device)
    rejected: list[Rejection] = []
    rows = extract_rows(
        models,
        [ImageToRead.of(image) for image in task.images],
        batch_size=task.settings.batch_size,
        workers=task.settings.workers,
        ranges=task.ranges,
        on_error=lambda name, error: rejected.append(Rejection(name, str(error))),
        stains=task.stains,
        advance=advance,
    )
    kept = [image for image in task.images if image.id in rows.vectors]
    require_still_there(task.folder, PLAN)
    task.record.unlink(missing_ok=True)
    if kept:
        values = np.stack([rows.vectors[image.id] for image in kept])
        about = [describe(encoder, run, stains=task.stains) for encoder, run in models]
        names = names_of_all([encoder for encoder, _ in models], task.stains, rows.widths, rows.kinds)
        made_by = about[0] if len(about) == 1 else {"joined": about}
        _write(task, kept, values, made_by | simulated_fact(kept), names)
    else:
        task.path.unlink(missing_ok=True)  # written by `summarise_shards`, which knows the width of the others
    rejected.sort(key=lambda rejection: rejection.id)
    digest = file_sha256(task.path) if kept else ""
    unreached = sum(isinstance(error, UnreachableError) for error in rows.rejected.values())
    flat = {name: rows.flat[name] for name in sorted(rows.flat.keys() & rows.vectors.keys())}
    record = ShardRecord(task.stamp, digest, len(kept), tuple(rejected), unreached, flat)
    write_json(task.record, asdict(record))
    return record


def _shards(
    encoders: Sequence[Encoder],
    images: Sequence[Image],
    output: Path,
    stains: tuple[str, ...],
    settings: Extraction,
    ranges: Mapping[str, PlateRanges] | None,
    load: Callable[[], Encoder | Sequence[Encoder]] | None,
) -> Iterator[FeatureShard]:
    count = -(-len(images) // settings.shard_size)
    kinds = _kinds(images)
    for number in range(count):
        in_shard = tuple(images[number * settings.shard_size : (number + 1) * settings.shard_size])
        plates = {plate_of(image) for image in in_shard}
        yield FeatureShard(
            number,
            len(in_shard),
            output,
            count,
            in_shard,
            stains,
            kinds,
            stamp_of(in_shard, ranges),
            settings,
            _fingerprint(encoders),
            None if ranges is None else {plate: ranges[plate] for plate in plates & ranges.keys()},
            load,
        )


def _kinds(images: Sequence[Image]) -> dict[str, str]:
    """How each fact is stored, decided over all images: a shard of empty cells must not differ from the rest."""
    types_of: dict[str, set[type]] = {}
    for image in images:
        for name, value in image.metadata.items():
            types = types_of.setdefault(name, set())
            if value is not None and value == value:  # NaN is nothing known
                types.add(type(value) if isinstance(value, int | float) and not isinstance(value, bool) else str)
    return {
        name: "int64" if types == {int} else "double" if types and types <= {int, float} else "string"
        for name, types in types_of.items()
    }


def _write(
    task: FeatureShard, kept: Sequence[Image], values: Any, about: dict[str, Any], names: tuple[str, ...]
) -> None:
    facts = pd.DataFrame(
        {name: [image.metadata.get(name) for image in kept] for name in task.kinds},
        index=range(len(kept)),
        dtype=object,
    )
    table = FeatureTable(np.array([image.id for image in kept], dtype=object), values, facts, names, about)
    stored = table.to_arrow(packed=True, dtype=np.dtype(task.settings.storage), kinds=task.kinds)
    with atomic_path(task.path) as temporary:
        # Dictionaries and compression do not shrink floats.
        pq.write_table(stored, temporary, use_dictionary=False, compression="none")


def _require_unique(images: Sequence[Image]) -> None:
    if not images:
        raise InputError("no images to extract features from")
    name, count = Counter(image.id for image in images).most_common(1)[0]
    if count > 1:
        raise InputError(f"id {name!r} occurs {count} times: ids must be unique")


def _ranges(
    encoders: Sequence[Encoder], images: Sequence[Image], output: Path, settings: Extraction
) -> dict[str, PlateRanges] | None:
    ends = {(encoder.facts.low, encoder.facts.high) for encoder in encoders if encoder.facts.per == "plate"}
    if not ends:
        return None
    if len(ends) > 1:
        raise InputError("these models take different percentiles of a plate: extract with one after the other")
    ((low, high),) = ends
    file = output / RANGES
    earlier = {plate: PlateRanges.from_json(record) for plate, record in (read_json(file) or {}).items()}
    measured = measure_plates(
        images, low=low, high=high, seed=settings.seed, workers=settings.workers, earlier=earlier
    )
    write_json(file, {plate: asdict(ranges) for plate, ranges in measured.items()})
    return measured


def _fingerprint(encoders: Sequence[Encoder]) -> str:
    return "+".join(encoder.fingerprint for encoder in encoders)


def _precision(settings: Extraction) -> torch.dtype | None:
    return None if settings.dtype is None else getattr(torch, settings.dtype)


_IN_THIS_PROCESS: dict[tuple[str, str | None], Models] = {}


def _loaded(task: FeatureShard, device: str | None) -> Models:
    """The encoders of a task in a process that makes many: loaded once."""
    key = (task.fingerprint, device)
    if key not in _IN_THIS_PROCESS:
        if task.load is None:
            raise InputError("a shard in another process needs load=, a function that makes the encoder there")
        encoders = _several(task.load())
        if _fingerprint(encoders) != task.fingerprint:
            raise InputError(
                f"{encoders[0].name} has other weights or settings here than where the extraction was started: "
                "give every worker the same model folder and the same version of this package"
            )
        recorded = replace(task.settings, device=device or task.settings.device)
        runs = _runners(encoders, task.images, task.folder, recorded)
        _IN_THIS_PROCESS.clear()
        _IN_THIS_PROCESS[key] = list(zip(encoders, runs, strict=True))
    return _IN_THIS_PROCESS[key]
