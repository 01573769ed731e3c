"""Microscopy ViTs of the DINO family that come as one file: blocks of DINOv2, so transformers' class runs them.

Cell-DINO, its channel-adaptive sister (DINOv2 code), DINO4Cells and uniDINO (DINO v1, which has no layer scale).
Depth and width are read off the weights. Heads have 64 numbers each in all of them.
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn
from transformers import Dinov2Config, Dinov2Model

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.base import Encoder, Request
from cytoimagenet_hf.networks.build import load_file_encoder
from cytoimagenet_hf.networks.checkpoints import State, fill, read_tensors, strip
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource

from .dino import TakenTokens, taken

_ON_REQUEST = "FAIR non-commercial, on request (https://github.com/facebookresearch/dinov2, Cell-DINO)"
_ORDER = "the order of its channels is not published with the weights: pass roles='name,name,…'"


_CELL_DINO = WeightSource("https://github.com/facebookresearch/dinov2", licence=_ON_REQUEST, gated=True)
_HPA = EncoderFacts(
    name="cell-dino-hpa-vitl16",
    title="Cell-DINO, HPA, ViT-L/16",
    channels="joint",
    scale="zscore",
    dim=1024,
    source=_CELL_DINO,
    size=(224, 224),
    fit="resize",
    multiple=16,
    take="cls",
    verified=False,
    note=f"four channels; {_ORDER}",
)

KINDS = (
    _HPA,
    replace(_HPA, name="cell-dino-hpa-vitl14", title="Cell-DINO, HPA, ViT-L/14", size=(518, 518), multiple=14),
    replace(
        _HPA,
        name="cell-dino-cp-vits8",
        title="Cell-DINO, Cell Painting, ViT-S/8",
        dim=384,
        size=(128, 128),
        multiple=8,
        note=f"five channels; {_ORDER}",
    ),
    replace(
        _HPA,
        name="channel-adaptive-dino-vitl16",
        title="Channel-adaptive DINO, ViT-L/16",
        channels="each",
        note="trained on the images of CHAMMI",
    ),
    replace(
        _HPA,
        name="dino4cells",
        title="DINO4Cells",
        source=WeightSource("https://zenodo.org/records/8061392", licence="unknown"),
        dim=0,
        note=f"four channels (HPA) or five (Cell Painting); {_ORDER}",
    ),
    replace(
        _HPA,
        name="unidino",
        title="uniDINO, ViT-S/16",
        source=WeightSource("https://zenodo.org/records/14988837", licence="cc-by-nc-4.0"),
        dim=384,
        channels="each",
        scale="percentile",
        fit="tiles",
        note="its crops without foreground (Otsu, below 1 %) are not left out here",
    ),
)


def load(request: Request) -> Encoder:
    """Load one from its file; where the order of the channels is not known, `roles` must say it."""
    take = taken(request.options)
    if request.facts.channels == "joint" and not request.options.roles:
        raise InputError(f"{request.facts.name}: {request.facts.note}")
    return load_file_encoder(partial(_build, take), request)


def _build(take: str, file: Path, name: str) -> nn.Module:
    """The ViT of weights under Meta's names: `cls_token`, `patch_embed.proj.…`, `blocks.N.…` or `blocks.CHUNK.N.…`."""
    state = strip(read_tensors(file), "module.", "backbone.", "teacher.")
    try:
        width, channels, patch, _ = state["patch_embed.proj.weight"].shape
        positions = state["pos_embed"].shape[1] - 1
        hidden = state[next(key for key in state if key.endswith("mlp.fc1.weight"))].shape[0]
    except (KeyError, StopIteration, ValueError):
        raise InputError(f"{name}: no weights of a ViT under DINO's names (patch_embed, pos_embed, blocks)") from None
    side = round(positions**0.5)
    if side * side != positions or width % 64:
        raise InputError(f"{name}: {positions} positions and {width} features are not a ViT of this family")
    renamed: State = {}
    for key, value in state.items():
        renamed |= _renamed(key, value)
    blocks = {int(match[1]) for key in renamed if (match := re.match(r"encoder\.layer\.(\d+)\.", key))}
    config = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=len(blocks),
        num_attention_heads=width // 64,
        mlp_ratio=hidden // width,
        patch_size=patch,
        image_size=side * patch,
        num_channels=channels,
        layer_norm_eps=1e-6,
    )
    model = Dinov2Model(config).eval()
    for block in sorted(blocks):  # DINO v1 has no layer scale
        for number in (1, 2):
            renamed.setdefault(f"encoder.layer.{block}.layer_scale{number}.lambda1", torch.ones(width))
    renamed.setdefault("embeddings.mask_token", torch.zeros(1, width))  # used in training only
    fill(model, renamed, name=name, ignore=("head.", "dino_head.", "ibot_head."))
    return TakenTokens(model, take)


_OUTSIDE = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "mask_token": "embeddings.mask_token",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
_IN_BLOCK = {
    "attn.proj": "attention.o_proj",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
}


def _renamed(key: str, value: torch.Tensor) -> State:
    """One weight under transformers' names; queries, keys and values lie in one matrix in Meta's files."""
    if key in _OUTSIDE:
        return {_OUTSIDE[key]: value}
    match = re.match(r"blocks\.(?:\d+\.)?(\d+)\.(\D.*)", key)
    if not match:
        return {key: value}
    stem, rest = f"encoder.layer.{match[1]}", match[2]
    if rest.startswith("attn.qkv."):
        kind = rest.rsplit(".", 1)[1]
        parts = value.chunk(3)
        return {f"{stem}.attention.{letter}_proj.{kind}": part for letter, part in zip("qkv", parts, strict=True)}
    for old, new in _IN_BLOCK.items():
        if rest.startswith(old):
            return {f"{stem}.{new}{rest.removeprefix(old)}": value}
    return {f"{stem}.{rest}": value}
