"""EfficientNets that train: the stock transformers class, set right on the instance (docs/paper.md).

From scratch the stock class is dead: it draws batch-norm gammas from N(0, 0.02), reads Keras' momentum 0.99 with
torch's opposite meaning, leaves the expansion batch-norms out of the configuration, and drops single elements where
EfficientNet drops whole residual branches. Everything here changes values or parameter-free modules of an instance, so
checkpoints stay stock: `AutoModel.from_pretrained` loads them without this package and gives the same outputs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import (
    EfficientNetConfig,
    EfficientNetForImageClassification,
    EfficientNetModel,
    PreTrainedModel,
)

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng

BATCH_NORM_MOMENTUM = 0.01
"""Keras' 0.99 in torch's convention, where the momentum is the share of the new batch."""


MAX_COEFFICIENT = 16
"""Of width and depth: three times those of EfficientNet-L2. Far above, building the layers takes hours."""


def build_efficientnet(
    num_labels: int, *, seed: int, labels: Sequence[str] | None = None, **config: Any
) -> EfficientNetForImageClassification | EfficientNetModel:
    """A stock EfficientNet (B0 unless `config` says otherwise) that is ready to train.

    Args:
        num_labels: number of classes; 0 gives an `EfficientNetModel` without a head (features only).
        seed: seed of the initialisation; the backbone's weights do not depend on `num_labels`.
        labels: class names in the order of their codes, stored as the label map of the configuration.
        **config: fields of `EfficientNetConfig`: `width_coefficient` and `depth_coefficient` for other sizes,
            `image_size`, `dropout_rate`, `drop_connect_rate`, ….

    Returns:
        The model in training mode; input `pixel_values` is float32 (B, 3, H, W).

    Raises:
        InputError: `num_labels` is negative, `labels` are not `num_labels` different names, an unknown field, or a
            coefficient that is not a number above 0 and up to `MAX_COEFFICIENT`.

    Example:
        >>> model = build_efficientnet(2, seed=0, labels=["actin", "yeast"], width_coefficient=0.25)
        >>> model.config.id2label
        {0: 'actin', 1: 'yeast'}
    """
    if num_labels < 0:
        raise InputError(f"num_labels is {num_labels}: pass the number of classes, or 0 for a net without a head")
    settings: dict[str, Any] = {
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "image_size": 224,
        "dropout_rate": 0.2,
        "batch_norm_momentum": BATCH_NORM_MOMENTUM,
        **config,
    }
    unknown = sorted(settings.keys() - EfficientNetConfig().to_dict().keys())
    if unknown:
        raise InputError(f"EfficientNetConfig has no field {', '.join(unknown)}: see its documentation")
    for name in ("width_coefficient", "depth_coefficient"):
        value = settings[name]
        if not (isinstance(value, int | float) and 0 < value <= MAX_COEFFICIENT):
            raise InputError(f"{name} is {value!r}: a number above 0 and up to {MAX_COEFFICIENT}; B7 has 2.0 and 3.1")
    settings.setdefault("hidden_dim", _top_width(settings["width_coefficient"], settings.get("depth_divisor", 8)))
    settings |= label_maps(labels, num_labels) if labels is not None else {"num_labels": num_labels}
    with torch.random.fork_rng(devices=[]):  # the stock constructors draw from the global generator
        network = EfficientNetForImageClassification if num_labels else EfficientNetModel
        model = network(EfficientNetConfig(**settings))
    initialise(model, seed)
    prepare_for_training(model)
    return model.train()


def prepare_for_training(model: PreTrainedModel) -> None:
    """Give an EfficientNet, built or loaded, the training behaviour of the paper's Keras network, in place.

    Every batch-norm gets Keras' momentum, the expansion ones that ignore the configuration too, and residual branches
    are dropped per image instead of per element. Other architectures stay as they are; calling it twice changes
    nothing.
    """
    if model.config.model_type != "efficientnet":
        return
    model.config.batch_norm_momentum = BATCH_NORM_MOMENTUM
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = BATCH_NORM_MOMENTUM
    base = model.base_model
    for block in base.encoder.blocks:
        if isinstance(block.projection.dropout, nn.Dropout):
            block.projection.dropout = StochasticDepth(block.projection.dropout.p)


class StochasticDepth(nn.Module):
    """Drop whole images of a residual branch with probability `p` and scale the others by 1 / (1 - p).

    Input and output are (B, C, H, W). It holds no weights, so a checkpoint does not show it.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        """Apply to a residual branch; the identity in evaluation mode."""
        if not self.training or self.p == 0.0:
            return branch
        keep = 1.0 - self.p
        mask = branch.new_empty((branch.shape[0], 1, 1, 1)).bernoulli_(keep)  # (B, 1, 1, 1)
        return branch * (mask / keep)  # the small one is divided: a pass over the branch less, forward and backward


@torch.no_grad()
def initialise(model: PreTrainedModel, seed: int) -> None:
    """Draw the weights of a convolutional network as Keras' EfficientNet does, in place.

    Convolutions: normal truncated at two standard deviations, variance 2 / fan_out. Dense: uniform, variance
    1 / (3 fan_out). Batch-norm: gamma 1, beta 0, fresh statistics. Biases 0. Each layer has its own generator, derived
    from `seed` and its name inside the backbone, so a net with a head and one without share their backbone.

    Raises:
        InputError: a layer with weights is none of these, so the rule does not cover the architecture.
    """
    prefix = f"{model.base_model_prefix}."
    for name, module in model.named_modules():
        if not list(module.parameters(recurse=False)):
            continue
        generator = torch.Generator().manual_seed(
            int(derive_rng(seed, "initialise", name.removeprefix(prefix)).integers(2**63))
        )
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
            # 0.8796…: standard deviation of a unit normal cut at ±2, so that the variance after cutting is 2 / fan_out
            std = math.sqrt(2.0 / fan_out) / 0.87962566103423978
            drawn = torch.empty(module.weight.shape)
            nn.init.trunc_normal_(drawn, std=std, a=-2 * std, b=2 * std, generator=generator)
        elif isinstance(module, nn.Linear):
            bound = math.sqrt(1.0 / module.out_features)
            drawn = torch.empty(module.weight.shape).uniform_(-bound, bound, generator=generator)
        elif isinstance(module, _BatchNorm):
            drawn = torch.ones(module.weight.shape)
            module.reset_running_stats()
        else:
            raise InputError(
                f"layer {name!r} ({type(module).__name__}) has weights that the Keras initialisation does not cover: "
                "use the architecture's own from_config instead"
            )
        module.weight.copy_(drawn)
        if module.bias is not None:
            module.bias.zero_()


@torch.no_grad()
def reestimate_batch_norm(model: PreTrainedModel, batches: Iterable[torch.Tensor | Mapping[str, torch.Tensor]]) -> int:
    """Replace the running statistics of every batch-norm by the average over `batches`, in place.

    With momentum 0.01 running statistics need some 500 steps; shorter runs are at chance in evaluation mode until
    this is called (docs/paper.md). Only batch-norms run in training mode meanwhile: dropout and stochastic depth are
    off, as they are when the statistics are used.

    Args:
        model: any model whose batch-norms are torch's; its modes and momenta are as before afterwards.
        batches: float tensors (B, 3, H, W), or mappings with `pixel_values`; some ten to fifty batches suffice.

    Returns:
        The number of batches seen.

    Raises:
        InputError: there was no batch.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    modes = {module: module.training for module in model.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    model.eval()
    saved = [{key: value.clone() for key, value in norm.named_buffers()} for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # None: cumulative average
        norm.train()
    seen = 0
    try:
        for batch in batches:
            pixels = batch["pixel_values"] if isinstance(batch, Mapping) else batch
            model(pixel_values=pixels.to(model.device))
            seen += 1
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, before in zip(norms, saved, strict=True):
            norm.momentum = momenta[norm]
            if seen == 0:
                for key, value in before.items():
                    getattr(norm, key).copy_(value)
    if seen == 0:
        raise InputError("no batch to re-estimate batch-norm statistics from: pass at least one batch of images")
    return seen


def _top_width(width_coefficient: float, divisor: int) -> int:
    """Channels of the last convolution: 1280 scaled and rounded as EfficientNet rounds, never down by over 10 %."""
    scaled = 1280 * width_coefficient
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * scaled else rounded


def label_maps(labels: Sequence[str], num_labels: int) -> dict[str, Any]:
    """What a configuration of transformers takes as the names of its classes, in the order of their codes."""
    if len(labels) != num_labels or len(set(labels)) != num_labels:
        raise InputError(
            f"{len(labels)} labels ({len(set(labels))} different) for {num_labels} classes: "
            "pass one name per class, each once, in the order of the class codes"
        )
    return {"id2label": dict(enumerate(labels)), "label2id": {label: code for code, label in enumerate(labels)}}
