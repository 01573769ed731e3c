"""Features of a benchmark's images by one model, kept in a cache whose name says what they depend on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cytoimagenet_hf.encoders import OWN_KINDS, Encoder, kind_of, load_encoder
from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features import FeatureTable
from cytoimagenet_hf.features.columns import short_name
from cytoimagenet_hf.features.folder import cached_features
from cytoimagenet_hf.features.store import Settings
from cytoimagenet_hf.images import Image


@dataclass(frozen=True)
class Model:
    """A loaded network under the name it has in tables.

    Attributes:
        name: short, for tables.
        spec: what the caller asked for.
        encoder: the network and what it eats.
    """

    name: str
    spec: str
    encoder: Encoder


def load_model(spec: str, *, method: str | None = None, seed: int = 0) -> Model:
    """Load what a caller can name.

    Args:
        spec: whatever `encoders.load_encoder` takes (a folder, a Hub or timm name, Keras weights, a registered
            network), or `random` for `random:SEED`; `NAME=…` before any of these names it in tables.
        method: one of `models.METHODS`; networks that have their own way with channels keep it.
        seed: of `random`.

    Raises:
        InputError: nothing loads under that name.
    """
    name, _, target = spec.rpartition("=")
    place = f"random:{seed}" if target == "random" else target
    encoder = load_encoder(place, method=method if kind_of(place) in OWN_KINDS else None)
    return Model(name or _short(target), target, encoder)


def features_of(model: Model, images: Sequence[Image], *, cache: Path, batch_size: int = 64) -> FeatureTable:
    """Features of all images, from the cache where they are.

    Labels and groups are no part of them: another recipe scores the same features.

    Raises:
        InputError: an image cannot be used; a benchmark is not scored on a part of its images.
    """
    plain = [
        replace(image, metadata={key: image.metadata[key] for key in ("plate",) if key in image.metadata})
        for image in images
    ]
    table, refused = cached_features(model.encoder, plain, cache=cache, settings=Settings(batch_size=batch_size))
    if refused:
        raise InputError(
            f"{len(refused)} of {len(images)} images cannot be used; image {refused[0].id!r}: {refused[0].reason}"
        )
    return table


def _short(target: str) -> str:
    return short_name(str(Path(target).resolve()) if Path(target).exists() else target)
