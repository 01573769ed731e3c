"""Optimiser, learning rate and the running average of the weights."""

import copy
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .config import TrainConfig

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser; weight decay is for matrices and kernels only: decaying a norm's gain or a bias helps nothing."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # One kernel over all tensors: a quarter of the time of the default on CPU. Apple's GPUs came to it later.
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    arguments: dict[str, Any] = {"lr": config.learning_rate, "fused": fused}
    if config.optimizer == "adam":
        arguments["eps"] = 1e-7  # Keras' default, which the published training used
    return OPTIMIZERS[config.optimizer](groups, **arguments)


def learning_rate(config: TrainConfig, step: int, ends: Sequence[int]) -> float:
    """The rate of an optimiser step: linear warm-up, then constant or a cosine to zero; a pure function of the step.

    A run that was extended has several legs. The first is as it was planned, and each further one has a warm-up and a
    cosine of its own over the steps it adds: stretching the first would change the rate of steps already made.

    Args:
        config: of the run.
        step: counted from 0 over the whole run.
        ends: the step at which each leg ends.

    Example:
        >>> config = TrainConfig(schedule="cosine", warmup=0.5, learning_rate=1.0)
        >>> [round(learning_rate(config, step, [4, 6]), 3) for step in range(6)]
        [0.5, 1.0, 1.0, 0.5, 1.0, 1.0]
    """
    leg = bisect_right(ends, step, hi=len(ends) - 1)
    start = ends[leg - 1] if leg else 0
    step, total = step - start, ends[leg] - start
    warm = round(config.warmup * total)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = value


def build_average(model: nn.Module, decay: float) -> nn.Module | None:
    """A copy of the model to hold the running average of its weights; None where `decay` is 0."""
    return copy.deepcopy(model).eval().requires_grad_(False) if decay else None


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, decay: float, step: int) -> None:
    """Move the average towards the weights after optimiser step `step`; buffers are copied.

    Early in a run the decay is (1 + step) / (10 + step), so that the first weights do not hold the average back.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)
    if buffers := list(average.buffers()):
        torch._foreach_copy_(buffers, list(model.buffers()))
