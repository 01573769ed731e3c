"""Features of a benchmark's images by one model, kept in a cache whose name says what they depend on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features.folder import cached_features
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import OWN_KINDS, Encoder, kind_of, load_encoder
from cytoimagenet_hf.options.extraction import DEFAULTS, Extraction
from cytoimagenet_hf.options.networks import DEFAULTS as AS_TRAINED
from cytoimagenet_hf.options.networks import EncoderOptions
from cytoimagenet_hf.tables import FeatureTable
from cytoimagenet_hf.tables.columns import short_name


@dataclass(frozen=True)
class NamedModel:
    """A loaded network, what the caller asked for, and the short name it has in tables."""

    name: str
    spec: str
    encoder: Encoder


@dataclass(frozen=True, kw_only=True)
class ModelRun:
    """How the networks of a suite are loaded and where their features are kept.

    Seed and methods are of untrained and of our own networks. What is `loaded` once serves all tasks: networks by what
    was asked for and their method.
    """

    cache: Path
    seed: int
    methods: tuple[str, ...]
    settings: Extraction = DEFAULTS
    options: EncoderOptions = AS_TRAINED
    loaded: dict[tuple[str, str], NamedModel] = field(default_factory=dict)

    def load(self, spec: str, method: str | None = None, **changes: Any) -> NamedModel:
        """A network; `method` is the first by default, `changes` are other options than those of all."""
        options = replace(self.options, method=method or self.methods[0], **changes)
        if changes:
            return load_model(spec, options, seed=self.seed)
        key = (spec, str(options.method))
        if key not in self.loaded:
            self.loaded[key] = load_model(spec, options, seed=self.seed)
        return self.loaded[key]


def load_model(spec: str, options: EncoderOptions = AS_TRAINED, *, seed: int = 0) -> NamedModel:
    """Load what a caller can name.

    Args:
        spec: whatever `networks.load_encoder` takes (a folder, a Hub or timm name, Keras weights, a registered
            network), or `random` for `random:SEED`; `NAME=…` before any of these names it in tables.
        options: of `networks.load_encoder`; networks that have their own way with channels keep it whatever `method`
            says, and untrained networks have no repository.
        seed: of `random`.
    """
    name, target = split_name(spec)
    place = f"random:{seed}" if target == "random" else target
    if place.startswith("random:"):
        options = replace(options, revision=None, trust_remote_code=False)
    if kind_of(place, revision=options.revision) not in OWN_KINDS:
        options = replace(options, method=None)
    short = short_name(str(Path(target).resolve()) if Path(target).exists() else target)
    return NamedModel(name or short, target, load_encoder(place, options))


def split_name(spec: str) -> tuple[str, str]:
    """The name in tables that a caller gave, or nothing, and what it names: `NAME=…`.

    A file or folder whose own name has an equals sign is taken as it is.

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
    """Features of all images, from the cache where they are; a benchmark is not scored on a part of its images.

    Labels and groups are not part of them: another recipe scores the same features.
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
