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
from transformers import PreTrainedModel

from cytoimagenet_hf.networks import reestimate_batch_norm
from cytoimagenet_hf.scoring.knn import kneighbors, vote

from .augment import Augmentation, Draws
from .config import TrainConfig
from .data import Batch, RowSource
from .metrics import split_metrics
from .network import Preprocessing
from .stream import StreamSource
from .views import features, gather_rows, simclr

_VALIDATION = -1  # in the place of an epoch, so that no draw is one of the training's
_SAMPLE = 4096
_NEIGHBOURS = 20

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
    every = gather_rows(table, accelerator).cpu().numpy()
    every_loss = gather_rows(loss, accelerator).cpu().numpy()
    return {
        "loss": float(np.mean(every_loss, dtype=np.float64)),
        **split_metrics(every[:, 0], every[:, 2:], every[:, 1], classes),
    }


@torch.inference_mode()
def evaluate_views(
    network: PreTrainedModel,
    projector: nn.Module,
    source: RowSource | StreamSource,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    *,
    config: TrainConfig,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """What views taught, on the validation split; equal on every process.

    Args:
        network: without a head, on the accelerator's device.
        projector: from its features to projections.
        source: both splits.
        preprocessing: from pixels to the network's input.
        augmentation: what views are drawn from; each image's are the same at every evaluation.
        config: of the run.
        accelerator: gathers the rows of all processes.

    Returns:
        `view_loss`, mean over batches of the training's size; `rows`; and `knn_accuracy`: top-1 of the labelled rows
        by the vote of their 20 nearest training images, cosine, among the first 4,096 of the first epoch (None
        without labels), with `knn_images`, how many these were.
    """
    network.eval()
    projector.eval()
    device = accelerator.device

    def embed(pixels: torch.Tensor, draws: Draws | None = None) -> torch.Tensor:
        with accelerator.autocast():
            return features(network, preprocessing(pixels, draws)).float()  # (B, D)

    matrices = [part for part in projector.parameters() if part.ndim == 2]
    width, projections = matrices[0].shape[1], matrices[-1].shape[0]
    # A process may have no row at all.
    seen = [torch.empty((0, width), device=device)]
    projected = [torch.empty((0, 2, projections), device=device)]
    labels = [torch.empty(0, dtype=torch.int64, device=device)]
    for number, batch in enumerate(source.validation(max(64, config.batch_size // accelerator.num_processes))):
        if len(batch.ids) == 0:
            continue
        pixels = batch.pixels.to(device, non_blocking=True)
        place = number * accelerator.num_processes + accelerator.process_index
        both = []
        for view in (0, 1):
            drawn = augmentation.draw(len(pixels), seed=config.seed, epoch=_VALIDATION, step=place, view=view)
            both.append(projector(embed(pixels, drawn)))
        projected.append(torch.stack(both, dim=1))  # (B, 2, P)
        seen.append(embed(pixels))
        labels.append(batch.labels.to(device))
    pairs = gather_rows(torch.cat(projected), accelerator)
    parts = pairs.tensor_split(max(1, len(pairs) // config.batch_size))
    losses = [float(simclr(part[:, 0], part[:, 1])) * len(part) for part in parts]
    query, truth = gather_rows(torch.cat(seen), accelerator), gather_rows(torch.cat(labels), accelerator)

    steps = min(source.steps, -(-_SAMPLE // config.batch_size))
    sample = [batch for batch in islice(source.training(0), steps * config.passes) if len(batch.ids)]
    train_features = gather_rows(torch.cat([embed(batch.pixels.to(device)) for batch in sample]), accelerator)
    codes = gather_rows(torch.cat([batch.labels.to(device) for batch in sample]), accelerator)
    return {
        "rows": len(pairs),
        "view_loss": sum(losses) / len(pairs),
        **_knn_accuracy(train_features[codes >= 0], codes[codes >= 0], query[truth >= 0], truth[truth >= 0]),
    }


def _knn_accuracy(
    known: torch.Tensor, codes: torch.Tensor, query: torch.Tensor, truth: torch.Tensor
) -> dict[str, Any]:
    """Top-1 by neighbours; nothing of a single class. Equal directions of zero length are as far from all."""
    if len(query) == 0 or len(set(codes.tolist())) < 2:
        return {"knn_accuracy": None, "knn_images": None}
    train, rows = (functional.normalize(part, dim=1).cpu().numpy() for part in (known, query))
    distances, near = kneighbors(train, rows, min(_NEIGHBOURS, len(train)))
    voted = vote(codes.cpu().numpy()[near], distances)
    return {"knn_accuracy": float((voted == truth.cpu().numpy()).mean()), "knn_images": len(train)}


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
