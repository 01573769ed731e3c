"""Features of many images as a folder of shards: interrupted at any moment and started again, the bytes are the same.

A shard's bytes depend on its own images, the model and the method alone; batches never reach across shards. What is
there is not made again. Images that cannot be used are left out and listed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import write_json
from cytoimagenet_hf.models.backbones import Backbone

from .extract import describe, extract_features
from .items import ImageItem
from .runtimes import Runner, make_runner
from .tables import as_matrix, make_table, metadata_of, write_features

PLAN = "extraction.json"
STORAGE = {"float32": np.float32, "float16": np.float16}


@dataclass(frozen=True)
class Refusal:
    """An image that was left out, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class ExtractionSummary:
    """What an extraction left behind: `images == kept + len(refused)`."""

    images: int
    kept: int
    features: int
    shards: int
    shards_made_now: int
    refused: tuple[Refusal, ...]


def extract_to_folder(
    backbone: Backbone,
    items: Sequence[ImageItem],
    output: str | Path,
    *,
    method: str = "concat-norm",
    channels: Sequence[str] | None = None,
    shard_size: int = 1024,
    storage: str = "float32",
    backend: str = "torch",
    device: str | None = None,
    dtype: torch.dtype | None = None,
    batch_size: int = 64,
    workers: int = 0,
) -> ExtractionSummary:
    """Extract features into `output`, continuing what an interrupted run left there.

    Args:
        backbone: the network and its processor.
        items: images with unique ids.
        output: folder of `features-#####-of-#####.parquet`; `read_features` reads it as one table.
        method: one of the four methods.
        channels: stains in channel order.
        shard_size: images per shard.
        storage: `"float32"` or `"float16"`.
        backend: see `features.extract_features`, as the options below.
        device: of torch.
        dtype: of torch.
        batch_size: planes per run.
        workers: threads that read ahead.

    Raises:
        InputError: the folder holds something else or features of other images, models or methods; no image is usable.
    """
    if storage not in STORAGE:
        raise InputError(f"storage {storage!r}: choose one of {', '.join(STORAGE)}")
    output = Path(output)
    run = make_runner(backbone.model, backend, device=device, dtype=dtype)
    made_by = describe(backbone, backbone.processor, run, method=method, channels=channels)
    _claim(output, items, made_by | {"batch_size": batch_size, "shard_size": shard_size, "storage": storage})
    shards = -(-len(items) // shard_size)
    width, made = None, 0
    empty: list[Path] = []
    for number in range(shards):
        file = output / f"features-{number:05d}-of-{shards:05d}.parquet"
        if not file.is_file():
            part = items[number * shard_size : (number + 1) * shard_size]
            options: dict[str, Any] = {"method": method, "channels": channels, "batch_size": batch_size}
            if not _make(file, part, backbone, run, storage, options | {"workers": workers}):
                empty.append(file)
                continue
            made += 1
        width = pq.read_schema(file).field("features").type.list_size
    if width is None:
        reasons = _refusals(output)
        raise InputError(f"none of the {len(items)} images can be used; {reasons[0].id!r}: {reasons[0].reason}")
    for file in empty:  # a shard whose images all failed is a table without rows, of the others' width
        write_features(make_table([], np.empty((0, width), STORAGE[storage]), made_by), file)
        made += 1
    refused = _refusals(output)
    return ExtractionSummary(len(items), len(items) - len(refused), width, shards, made, tuple(refused))


def _make(
    file: Path, items: Sequence[ImageItem], backbone: Backbone, run: Runner, storage: str, options: dict[str, Any]
) -> bool:
    """Write one shard and the list of what it left out; False when nothing in it could be used."""
    refused: list[Refusal] = []
    usable = None
    try:
        usable = extract_features(
            backbone,
            [item.read for item in items],
            ids=[item.id for item in items],
            backend=run,
            on_error=lambda name, error: refused.append(Refusal(name, str(error))),
            **options,
        )
    except InputError:
        if len(refused) < len(items):
            raise
    if refused:  # first: a shard that is there is complete
        refused.sort(key=lambda refusal: refusal.id)
        write_json(file.with_suffix(".refused.json"), [asdict(refusal) for refusal in refused])
    if usable is None:
        return False
    stored = make_table(usable["id"].to_pylist(), as_matrix(usable).astype(STORAGE[storage]), metadata_of(usable))
    write_features(stored, file)
    return True


def _claim(output: Path, items: Sequence[ImageItem], settings: dict[str, Any]) -> None:
    """Start a new folder, or check that the one there is for the same images and settings."""
    digest = hashlib.sha256("\n".join(item.id for item in items).encode()).hexdigest()[:16]
    wanted = settings | {"images": len(items), "ids": digest}
    plan = output / PLAN
    if not plan.is_file():
        if output.is_dir() and any(output.iterdir()):
            raise InputError(f"{output} is not empty and holds no extraction: choose a new or empty folder")
        output.mkdir(parents=True, exist_ok=True)
        write_json(plan, wanted)
        return
    found = json.loads(plan.read_text(encoding="utf-8"))
    differing = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
    if differing:
        raise InputError(
            f"{output} holds another extraction (differs in {', '.join(differing)}): choose another folder"
        )


def _refusals(output: Path) -> list[Refusal]:
    files = sorted(output.glob("features-*.refused.json"))
    return [Refusal(**entry) for file in files for entry in json.loads(file.read_text(encoding="utf-8"))]
