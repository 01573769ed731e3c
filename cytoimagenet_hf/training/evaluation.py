"""Score a split on all processes: each row once, none dropped, in evaluation mode."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import nn
from torch.nn import functional

from cytoimagenet_hf.models import reestimate_batch_norm

from .config import TrainConfig
from .data import Batch
from .metrics import split_metrics
from .network import Preprocessing

RANKED = 7
"""How many predictions are kept per row: the paper tracked top-7 accuracy."""


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    preprocessing: Preprocessing,
    *,
    accelerator: Accelerator,
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """Metrics of a split (see `metrics.split_metrics`), with the mean cross-entropy as `loss`; equal on every process.

    Args:
        model: the bare network, on the accelerator's device.
        batches: the rows of this process.
        preprocessing: from pixels to the network's input.
        accelerator: gathers the rows of all processes.
        classes: names by code.
    """
    model.eval()
    parts, losses = [], []
    ranked = min(RANKED, len(classes))
    for batch in batches:
        if len(batch.ids) == 0:
            continue
        labels = batch.labels.to(accelerator.device, non_blocking=True)
        with accelerator.autocast():
            logits = model(pixel_values=preprocessing(batch.pixels.to(accelerator.device, non_blocking=True))).logits
        logits = logits.float()  # (B, classes)
        losses.append(functional.cross_entropy(logits, labels, reduction="none"))
        categories = batch.categories.to(accelerator.device)
        parts.append(torch.cat([labels[:, None], categories[:, None], logits.topk(ranked).indices], dim=1))
    device = accelerator.device
    table = torch.cat(parts) if parts else torch.empty((0, ranked + 2), dtype=torch.int64, device=device)
    loss = torch.cat(losses) if losses else torch.empty(0, device=device)
    # Processes hold unequal numbers of rows: they are padded for the gathering and the padding taken off again, so
    # that no row is scored twice (what a loader that evens out its last batch would do).
    every = accelerator.gather_for_metrics(accelerator.pad_across_processes(table, pad_index=-2)).cpu().numpy()
    every_loss = accelerator.gather_for_metrics(accelerator.pad_across_processes(loss, pad_index=-2)).cpu().numpy()
    real = every[:, 0] != -2
    every, every_loss = every[real], every_loss[real]
    return {
        "loss": float(np.mean(every_loss, dtype=np.float64)),
        **split_metrics(every[:, 0], every[:, 2:], every[:, 1], classes),
    }


def estimate_batch_norm(
    model: nn.Module, images: Iterator[torch.Tensor], config: TrainConfig, *, accelerator: Accelerator
) -> None:
    """Re-estimate batch-norm statistics on training images, unless `bn_batches` is 0, and give every process the same.

    Each process has seen other images; the statistics of the first are those that are evaluated everywhere, and saved.
    With momentum 0.01 the running statistics trail the weights by hundreds of steps (docs/paper.md).
    """
    if config.bn_batches and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        with accelerator.autocast():
            reestimate_batch_norm(model, islice(images, config.bn_batches))
    if accelerator.num_processes > 1:
        for buffer in model.buffers():
            broadcast(buffer)
