"""One feature vector per image from whatever a backbone returns. Copied into saved fusion models: torch only."""

from typing import Any

import torch

POOLINGS = ("last", "gem", "blocks", "early")
"""`last`: what the network itself pools; `gem`: generalised mean (p = 3) of the last feature map; `blocks`: mean and
deviation of the last feature map of each stage; `early`: the same of the first stage alone, few numbers on texture."""

MAPS = ("blocks", "early")
"""Those that need the feature maps on the way, not only the last one."""

EXTRACTION = {"pooling": "early", "pixels": True, "normalize": "gain"}
"""How features of networks trained here are taken by default: what held up on real cells, see docs/study.md."""

_POWER, _FLOOR = 3.0, 1e-6


def pooled(output: Any) -> torch.Tensor:
    """The pooled output of a backbone, or the mean of its last hidden state over space or tokens.

    Args:
        output: what a transformers backbone returns: `pooler_output` of (B, D) or (B, D, 1, 1), or only
            `last_hidden_state` of (B, D, H, W) or (B, T, D).

    Returns:
        (B, D).

    Example:
        >>> from transformers.modeling_outputs import BaseModelOutput
        >>> pooled(BaseModelOutput(last_hidden_state=torch.ones(2, 5, 8))).shape
        torch.Size([2, 8])
    """
    given = getattr(output, "pooler_output", None)
    if given is not None:
        return given.flatten(1)
    hidden = output.last_hidden_state
    return hidden.mean((2, 3)) if hidden.ndim == 4 else hidden.mean(1)


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
