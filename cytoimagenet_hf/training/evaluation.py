"""Score a split on all processes: each row once, none dropped, in evaluation mode."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from cytoimagenet_hf.dataset.schema import CATEGORIES
from cytoimagenet_hf.networks import reestimate_batch_norm
from cytoimagenet_hf.scoring.knn import kneighbors, vote

from .augment import Augmentation, Draws
from .config import TrainConfig
from .data import Batch, RowSource
from .network import Preprocessing
from .stream import StreamSource
from .views import features, gather_rows, simclr

Codes = NDArray[np.int64]

_VALIDATION = -1  # in the place of an epoch, so that no draw is one of the training's
_SAMPLE = 4096
_NEIGHBOURS = 20

_RANKED = 7  # predictions kept per row: the paper tracked top-7 accuracy


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    preprocessing: Preprocessing,
    *,
    accelerator: Accelerator,
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """`split_metrics` over all processes, with the mean cross-entropy as `loss`; equal on every process."""
    model.eval()
    parts, losses = [], []
    ranked = min(_RANKED, len(classes))
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


def split_metrics(labels: Codes, ranked: Codes, categories: Codes, classes: Sequence[str]) -> dict[str, Any]:
    """Everything that is reported about a scored split.

    `never_right` lists classes with rows but no right one (402 in the paper); `category_confusion` has a row for each
    true category and a column for the category of the predicted class.

    Args:
        labels: int (N,), class codes.
        ranked: int (N, K), the K most probable classes.
        categories: int (N,), position in `schema.CATEGORIES` of each row's label, or -1.
        classes: names by code.
    """
    predicted = ranked[:, 0]
    right = predicted == labels
    names = [*CATEGORIES, "unknown"]
    owner = np.full(len(classes), -1, dtype=np.int64)  # category of each class; -1 where it has no rows
    owner[labels] = categories
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (categories, owner[predicted]), 1)  # -1 is the last row and column
    present = [code for code in (*range(len(CATEGORIES)), -1) if (categories == code).any()]
    return {
        "rows": len(labels),
        "accuracy": float(right.mean()),
        "top_7_accuracy": float((ranked[:, :7] == labels[:, None]).any(axis=1).mean()),
        "f1_macro": float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)),
        "per_category": {
            names[code]: {
                "accuracy": float(right[categories == code].mean()),
                "rows": int((categories == code).sum()),
                "classes": len(np.unique(labels[categories == code])),
            }
            for code in present
        },
        "per_class": {
            classes[code]: {
                "accuracy": float(right[labels == code].mean()),
                "rows": int((labels == code).sum()),
                "category": names[owner[code]],
            }
            for code in np.unique(labels)
        },
        "never_right": [classes[code] for code in np.unique(labels) if not right[labels == code].any()],
        "category_confusion": {
            names[row]: {name: int(confusion[row, column]) for column, name in enumerate(names)} for row in present
        },
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
    """What views taught, on the validation split; equal on every process. An image's views are the same each time.

    `view_loss` is the mean over batches of the training's size. `knn_accuracy` is top-1 of the labelled rows by the
    vote of their 20 nearest training images, cosine, among the first 4,096 of the first epoch (None without labels);
    `knn_images` says how many these were.
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
    train_features: torch.Tensor, codes: torch.Tensor, query: torch.Tensor, truth: torch.Tensor
) -> dict[str, Any]:
    """Top-1 by neighbours; nothing of a single class. Equal directions of zero length are as far from all."""
    if len(query) == 0 or len(set(codes.tolist())) < 2:
        return {"knn_accuracy": None, "knn_images": None}
    train, rows = (functional.normalize(part, dim=1).cpu().numpy() for part in (train_features, query))
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
