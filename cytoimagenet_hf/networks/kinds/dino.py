"""DINOv2 and DINOv3 (Meta), by their classes in transformers; the Hub names, folders of them, fine-tuned ones."""

from dataclasses import replace

import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.base import Encoder, Request
from cytoimagenet_hf.networks.build import make_encoder
from cytoimagenet_hf.networks.checkpoints import load_network
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource
from cytoimagenet_hf.networks.records import read_processor, record_from
from cytoimagenet_hf.networks.redraw import redraw
from cytoimagenet_hf.options.networks import EncoderOptions

TAKES = ("cls", "patch-mean")
"""The class token after the last norm, or the mean of the patches, without class and register tokens."""

_V2 = {"small": 384, "base": 768, "large": 1024, "giant": 1536}
_V3 = {
    "vits16": 384,
    "vits16plus": 384,
    "vitb16": 768,
    "vitl16": 1024,
    "vith16plus": 1280,
    "vit7b16": 4096,
    "convnext-tiny": 768,
    "convnext-small": 768,
    "convnext-base": 1024,
    "convnext-large": 1536,
}
_DINO = EncoderFacts(
    name="dino",
    title="DINO",
    channels="each",
    scale="percentile",
    dim=0,
    source=WeightSource("facebook"),
    repeat=3,
    size=(224, 224),
    fit="resize",
    take="cls",
    note="each channel as a gray picture, stretched between its percentiles as this project does for every network; "
    "MorphoHELM feeds 8-bit pictures as they are: normalize='none'",
    mean=(0.485, 0.456, 0.406),  # of ImageNet
    sd=(0.229, 0.224, 0.225),
)

KINDS = (
    *(
        replace(
            _DINO,
            name=f"dinov2-{size}{suffix}",
            title=f"DINOv2 {size}{' with registers' if suffix else ''}",
            dim=dim,
            source=WeightSource(f"facebook/dinov2-{'with-registers-' if suffix else ''}{size}", licence="apache-2.0"),
            interpolation="bicubic",
            multiple=14,
        )
        for suffix in ("", "-registers")
        for size, dim in _V2.items()
    ),
    *(
        replace(
            _DINO,
            name=f"dinov3-{size}",
            title=f"DINOv3 {size}",
            dim=dim,
            source=WeightSource(f"facebook/dinov3-{size}-pretrain-lvd1689m", licence="dinov3-license", gated=True),
            multiple=16,
        )
        for size, dim in _V3.items()
    ),
)
MODEL_TYPES = ("dinov2", "dinov2_with_registers", "dinov3_vit", "dinov3_convnext")
"""What the configurations of these networks call them."""


def load(request: Request) -> Encoder:
    """Load one of them from a folder or the Hub; the classes are transformers' own."""
    options = request.options
    source, facts, take, revision = request.source, request.facts, taken(options), options.revision
    model = load_network(source, revision=revision)
    processor = read_processor(source, revision=revision)
    record = None if processor is None else record_from(processor, source)
    if model.config.model_type not in MODEL_TYPES:
        raise InputError(f"{source} is a {model.config.model_type}, not {facts.title}")
    if record is not None:  # what was trained on other means says so beside its weights
        factor = 255 * record["rescale_factor"]
        facts = replace(facts, factor=factor, mean=tuple(record["image_mean"]), sd=tuple(record["image_std"]))
    commit = getattr(model.config, "_commit_hash", None) or revision
    facts = replace(facts, take=take, source=replace(facts.source, repo=source, revision=commit))
    registers = getattr(model.config, "num_register_tokens", 0)
    if options.redrawn is not None:
        model = redraw(model, options.redrawn)
    sources = None if options.redrawn is None else ()
    network = TakenTokens(model, take, registers=registers)
    return make_encoder(request.name, facts, network, options, training_sources=sources)


def taken(options: EncoderOptions) -> str:
    """What is taken of the tokens, by default `cls`, checked before weights are looked for."""
    take = options.take or "cls"
    if take not in TAKES:
        raise InputError(f"take={take!r}: choose {', '.join(TAKES)}")
    return take


class TakenTokens(nn.Module):
    """A ViT as pixels → its class token or the mean of its patches; registers are tokens between the two."""

    def __init__(self, model: nn.Module, take: str, *, registers: int = 0) -> None:
        super().__init__()
        self.model = model
        self.take = take
        self.skip = 1 + registers

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(N, c, h, w) to (N, D)."""
        output = self.model(pixel_values=pixel_values)
        if self.take == "cls":
            return output.pooler_output.flatten(1)
        hidden = output.last_hidden_state
        return hidden.mean((2, 3)) if hidden.ndim == 4 else hidden[:, self.skip :].mean(1)
