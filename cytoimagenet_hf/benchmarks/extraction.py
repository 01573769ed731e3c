"""Features of a benchmark's images by one model, kept in a cache whose name says what they depend on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features.folder import cached_features
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import OWN_KINDS, Encoder, kind_of, load_encoder
from cytoimagenet_hf.options.extraction import DEFAULTS, Extraction
from cytoimagenet_hf.tables import FeatureTable
from cytoimagenet_hf.tables.columns import short_name

_OF_REPOSITORIES = ("revision", "trust_remote_code")


@dataclass(frozen=True)
class NamedModel:
    """A loaded network under the name it has in tables.

    Attributes:
        name: short, for tables.
        spec: what the caller asked for.
        encoder: the network and what it takes.
    """

    name: str
    spec: str
    encoder: Encoder


def load_model(
    spec: str, *, method: str | None = None, seed: int = 0, options: Mapping[str, Any] | None = None
) -> NamedModel:
    """Load what a caller can name.

    Args:
        spec: whatever `networks.load_encoder` takes (a folder, a Hub or timm name, Keras weights, a registered
            network), or `random` for `random:SEED`; `NAME=…` before any of these names it in tables.
        method: one of `networks.METHODS`; networks that have their own way with channels keep it.
        seed: of `random`.
        options: further options of `networks.load_encoder`, such as `full_scale`, `normalize` or `pooling`; untrained
            networks take those that change pixels or layers, since they have no repository.

    Raises:
        InputError: nothing loads under that name.
    """
    name, target = split_name(spec)
    place = f"random:{seed}" if target == "random" else target
    given = dict(options or {})
    if place.startswith("random:"):
        given = {key: value for key, value in given.items() if key not in _OF_REPOSITORIES}
    kind = kind_of(place, revision=given.get("revision"))
    encoder = load_encoder(place, method=method if kind in OWN_KINDS else None, **given)
    return NamedModel(name or _short(target), target, encoder)


def split_name(spec: str) -> tuple[str, str]:
    """The name in tables that a caller gave, or nothing, and what it names: `NAME=…`.

    A file or folder whose own name has an equals sign is taken as it is.

    Raises:
        InputError: nothing on one side of the equals sign.

    Example:
        >>> split_name("CNN=profiles.csv"), split_name("runs/b0/model")
        (('CNN', 'profiles.csv'), ('', 'runs/b0/model'))
    """
    name, equals, target = spec.partition("=")
    if not equals or Path(spec).exists():
        return "", spec
    if not name.strip() or not target.strip():
        raise InputError(f"{spec!r} names nothing: write NAME=WHAT, such as CNN=profiles.csv, or no equals sign")
    return name.strip(), target


def features_of(
    model: NamedModel, images: Sequence[Image], *, cache: Path, settings: Extraction = DEFAULTS
) -> FeatureTable:
    """Features of all images, from the cache where they are.

    Labels and groups are not part of them: another recipe scores the same features.

    Raises:
        InputError: an image cannot be used; a benchmark is not scored on a part of its images.
    """
    plain = [
        replace(image, metadata={key: image.metadata[key] for key in ("plate",) if key in image.metadata})
        for image in images
    ]
    table, rejected = cached_features(model.encoder, plain, cache=cache, settings=settings)
    if rejected:
        raise InputError(
            f"{len(rejected)} of {len(images)} images cannot be used; image {rejected[0].id!r}: {rejected[0].reason}"
        )
    return table


def _short(target: str) -> str:
    return short_name(str(Path(target).resolve()) if Path(target).exists() else target)
