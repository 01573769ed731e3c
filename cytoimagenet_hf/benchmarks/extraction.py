"""Features of a benchmark's items by one model, kept in a cache whose name says what they depend on.

A cache entry is a folder of parts; a part that is there is not made again, so an interrupted run continues, and equal
weights, method and files never cost twice.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.tables import read_features, write_features
from cytoimagenet_hf.models.backbones import Backbone, fingerprint, load_backbone

from .base import Item, Plane
from .inputs import FeatureTable, from_arrow

PART = 2048  # items per part: a few minutes of work at most is lost with an interrupted run


@dataclass(frozen=True)
class Model:
    """A loaded network and what identifies it.

    Attributes:
        name: short, for tables.
        spec: what the caller asked for.
        backbone: the network and the processor that feeds it.
        fingerprint: hash of its weights and of how it is fed.
        training_sources: as its configuration declares them, or None.
    """

    name: str
    spec: str
    backbone: Backbone
    fingerprint: str
    training_sources: tuple[str, ...] | None = None


def load_model(spec: str, *, seed: int = 0) -> Model:
    """Load what a caller can name.

    Args:
        spec: whatever `models.backbones.load_backbone` takes (a folder, a Hub or timm name, Keras weights), or
            `random` for `random:SEED`; `NAME=…` before any of these names it in tables.
        seed: of `random`.

    Raises:
        InputError: nothing loads under that name.
    """
    name, _, target = spec.rpartition("=")
    backbone = load_backbone(f"random:{seed}" if target == "random" else target)
    declared = getattr(backbone.model.config, "training_sources", None)
    fed = hashlib.sha256(json.dumps(backbone.processor.to_dict(), sort_keys=True, default=str).encode()).hexdigest()
    return Model(
        name or _short(target),
        target,
        backbone,
        f"{fingerprint(backbone.model)}-{fed[:8]}",
        None if declared is None else tuple(declared),
    )


def fingerprint_items(items: Sequence[Item]) -> str:
    """Hash of ids, and of names, sizes and times of the files: changed or added files give another fingerprint."""
    digest = hashlib.sha256()
    stated: dict[Path, str] = {}
    for item in items:
        digest.update(f"\n{item.id}".encode())
        for channel in item.channels:
            file = channel.path if isinstance(channel, Plane) else channel
            if file not in stated:
                stat = file.stat()
                stated[file] = f"{file.name}:{stat.st_size}:{stat.st_mtime_ns}"
            digest.update(f"|{stated[file]}:{channel.index if isinstance(channel, Plane) else ''}".encode())
    return digest.hexdigest()[:16]


def cached_features(
    model: Model,
    items: Sequence[Item],
    *,
    method: str,
    items_fingerprint: str,
    cache: Path,
    batch_size: int = 64,
) -> FeatureTable:
    """Features of all items, from the cache where they are.

    Args:
        model: the network.
        items: in any order.
        method: one of `models.METHODS`.
        items_fingerprint: of these items (`fingerprint_items`).
        cache: folder of all entries.
        batch_size: planes per step.
    """
    folder = cache / f"{model.fingerprint}-{method}-{items_fingerprint}"
    parts = []
    for start in range(0, len(items), PART):
        file = folder / f"part-{start // PART:05d}.parquet"
        if not file.is_file():
            chosen = items[start : start + PART]
            ids = [item.id for item in chosen]
            images = [item.read for item in chosen]
            part = extract_features(model.backbone, images, ids=ids, method=method, batch_size=batch_size)
            write_features(part, file)
        parts.append(read_features(file))
    about = {"model": model.spec, "weights": model.fingerprint, "method": method, "items": items_fingerprint}
    return from_arrow(pa.concat_tables(parts), name=model.name, about=about)


def _short(target: str) -> str:
    if Path(target).exists():
        path = Path(target).resolve()
        # runs/b0/model says more than model.
        return f"{path.parent.name}/{path.name}" if path.name in ("model", "best", "last") else path.stem
    return target.rsplit("/", 1)[-1]
