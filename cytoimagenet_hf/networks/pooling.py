"""One feature vector per image from whatever a backbone returns."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError

from .modeling_cyto_fusion import pooled

POOLINGS = ("last", "blocks", "early", "stage:N")
"""`last`: what the network itself pools; `blocks`: mean and deviation of the last feature map of each stage; `early`:
the same of the first stage alone, few numbers on texture; `stage:N`: the same of stage N alone, `stage:0` being the
stem and `stage:1` the same as `early`."""

EXTRACTION = {"pooling": "early", "pixels": True, "normalize": "gain"}
"""How features of networks trained here are taken by default; docs/study.md has what that gives over pixels alone."""


def image_features(model: nn.Module, pixel_values: torch.Tensor) -> torch.Tensor:
    """What a network pools from each image, the vectors of its channels side by side.

    Args:
        model: of transformers, with or without a head, which is left out.
        pixel_values: (B, 3, H, W), or (B, C, 3, H, W) for images of C channels, as `MicroscopyImageProcessor` and any
            stack of its entries (`DataLoader`, `map`) give them.

    Returns:
        (B, D) or (B, C * D), in the order of the channels; with gradients unless the caller turns them off.

    Raises:
        InputError: `pixel_values` of another number of axes.

    Example:
        >>> from cytoimagenet_hf.networks import build_efficientnet
        >>> net = build_efficientnet(0, seed=0, width_coefficient=0.25).eval()
        >>> image_features(net, torch.zeros(4, 2, 3, 64, 64)).shape  # four images of two channels
        torch.Size([4, 640])
    """
    if pixel_values.ndim not in (4, 5):
        shape = tuple(pixel_values.shape)
        raise InputError(f"pixel_values of shape {shape}: (images, 3, H, W) or (images, channels, 3, H, W)")
    vectors = pooled(without_head(model)(pixel_values=pixel_values.flatten(0, -4)))  # (B * C, D)
    return vectors.reshape(len(pixel_values), -1)


def without_head(model: nn.Module) -> nn.Module:
    """The network that returns features; a classification head is left out."""
    if getattr(getattr(model, "config", None), "model_type", "") == "timm_wrapper":
        return model  # its base model is timm's own, which takes other arguments
    network: nn.Module = getattr(model, "base_model", model)
    return network


def pool(output: Any, how: str) -> torch.Tensor:
    """Pool what a backbone returns, (B, D), by one of `POOLINGS`.

    All but `last` need the `hidden_states` of a network with feature maps, which a ViT is not.
    """
    if how == "last":
        return pooled(output)
    stage, maps = stage_of(how), output.hidden_states
    if not all(feature_map.ndim == 4 for feature_map in maps):
        raise InputError("this pooling needs a network with feature maps: use pooling='last'")
    widths = [feature_map.shape[1] for feature_map in maps]
    ends = stage_ends(widths)
    if stage is not None:
        require_stage(stage, len(ends) - 1)
        ends = [ends[stage]]
    elif widths[0] == widths[min(1, len(widths) - 1)] and len(ends) > 1:  # a stem as wide as the first stage is of it
        ends = ends[1:]
    parts = [torch.cat([maps[end].mean((2, 3)), maps[end].std((2, 3), correction=0)], dim=1) for end in ends]
    return torch.cat(parts, dim=1)


def stage_of(how: str) -> int | None:
    """The one stage that a pooling is of; None for those of the last map, or of all. Others are refused.

    Example:
        >>> stage_of("stage:3"), stage_of("early"), stage_of("blocks")
        (3, 1, None)
    """
    if how == "early":
        return 1
    numbered = re.fullmatch(r"stage:(\d{1,3})", how)
    if numbered is None and how not in POOLINGS[:-1]:
        raise InputError(f"pooling {how!r}: choose {', '.join(POOLINGS)}, such as stage:3")
    return None if numbered is None else int(numbered[1])


def stage_ends(widths: Sequence[int]) -> list[int]:
    """Places of the last feature map of the stem and of each stage: a stage ends where the number of channels changes.

    Example:
        >>> stage_ends([32, 16, 24, 24, 40])  # channels of the stem's map and of that of each block
        [0, 1, 3, 4]
    """
    last = len(widths) - 1
    return [0, *(place for place in range(1, last + 1) if place == last or widths[place] != widths[place + 1])]


def require_stage(stage: int, stages: int) -> None:
    """Refuse a stage that a network lacks."""
    if stage > stages:
        raise InputError(f"there is no stage {stage}: the network has stage:0, its stem, to stage:{stages}")
