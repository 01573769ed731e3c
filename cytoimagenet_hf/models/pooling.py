"""One feature vector per image from whatever a backbone returns. Copied into saved fusion models: torch only."""

from typing import Any

import torch


def pooled(output: Any) -> torch.Tensor:
    """The pooled output of a backbone, or the mean of its last hidden state over space or tokens.

    Args:
        output: what a transformers backbone returns: `pooler_output` of (B, D) or (B, D, 1, 1), or only
            `last_hidden_state` of (B, D, H, W) or (B, T, D).

    Returns:
        (B, D).
    """
    given = getattr(output, "pooler_output", None)
    if given is not None:
        return given.flatten(1)
    hidden = output.last_hidden_state
    return hidden.mean((2, 3)) if hidden.ndim == 4 else hidden.mean(1)
