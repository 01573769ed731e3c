"""One feature vector per image from whatever a backbone returns."""

from typing import Any

import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError

from .modeling_cyto_fusion import pooled

POOLINGS = ("last", "gem", "blocks", "early")
"""`last`: what the network itself pools; `gem`: generalised mean (p = 3) of the last feature map; `blocks`: mean and
deviation of the last feature map of each stage; `early`: the same of the first stage alone, few numbers on texture."""

MAPS = ("blocks", "early")
"""Those that need the feature maps on the way, not only the last one."""

EXTRACTION = {"pooling": "early", "pixels": True, "normalize": "gain"}
"""How features of networks trained here are taken by default: what held up on real cells, see docs/study.md."""

_POWER, _FLOOR = 3.0, 1e-6


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
    network = getattr(model, "base_model", model)
    if getattr(getattr(model, "config", None), "model_type", "") == "timm_wrapper":
        network = model  # its base model is timm's own, which takes other arguments
    images = pixel_values.shape[0]
    vectors = pooled(network(pixel_values=pixel_values.flatten(0, -4)))  # (B * C, D)
    return vectors.reshape(images, -1)


def pool(output: Any, how: str) -> torch.Tensor:
    """Pool what a backbone returns.

    Args:
        output: as for `pooled`; with `hidden_states` for `blocks` and `early`.
        how: one of `POOLINGS`.

    Returns:
        (B, D).

    Raises:
        ValueError: an unknown name, or a network without feature maps, such as a ViT.

    Example:
        >>> from types import SimpleNamespace
        >>> maps = (torch.ones(1, 2, 4, 4), torch.ones(1, 3, 2, 2))
        >>> pool(SimpleNamespace(hidden_states=maps), "blocks").tolist()
        [[1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]
        >>> pool(SimpleNamespace(hidden_states=maps), "early").tolist()
        [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]
    """
    if how == "last":
        return pooled(output)
    if how == "gem":
        return _maps([output.last_hidden_state])[0].clamp(min=_FLOOR).pow(_POWER).mean((2, 3)).pow(1 / _POWER)
    if how not in MAPS:
        raise ValueError(f"pooling {how!r}: choose {', '.join(POOLINGS)}")
    maps = _maps(list(output.hidden_states))
    # The last map of each stage: a stage ends where the number of channels changes.
    ends = [place for place, one in enumerate(maps) if _width(one) != _width((*maps, None)[place + 1])]
    if how == "early":  # the first map of all is the stem's, which is no stage
        ends = [place for place in ends if place > 0][:1]
    chosen = [maps[place] for place in ends]
    parts = [torch.cat([one.mean((2, 3)), one.std((2, 3), correction=0)], dim=1) for one in chosen]
    return torch.cat(parts, dim=1)


def _maps(found: list[torch.Tensor]) -> list[torch.Tensor]:
    if not all(one.ndim == 4 for one in found):
        raise ValueError("this pooling needs a network with feature maps: use pooling='last'")
    return found


def _width(one: torch.Tensor | None) -> int:
    return -1 if one is None else one.shape[1]
