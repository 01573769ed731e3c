"""The network of a run and how pixels reach it: built or loaded, with one record of the preprocessing.

The record (`Preprocessing`) is what the device applies during training and what is saved beside the weights as a stock
image processor, so a checkpoint is always used the way it was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
)
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.models import build_efficientnet, prepare_for_training

from .augment import warp
from .config import TrainConfig


@dataclass(frozen=True)
class Preprocessing:
    """From uint8 grayscale to what the network takes: x / 255, then (x - mean) / std per channel.

    Mean 0 and std 1 are the network of the paper, which only rescales (FACTS §6).
    """

    size: int
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __call__(self, pixels: torch.Tensor, matrices: torch.Tensor | None = None) -> torch.Tensor:
        """Pixels uint8 (B, S, S) to float32 (B, 3, S, S), warped by `matrices` (B, 2, 3) when there are any."""
        images = pixels.unsqueeze(1).to(torch.float32)  # (B, 1, S, S)
        if matrices is not None:
            images = warp(images, matrices)  # one channel: a third of the work
        images = (images / 255.0).expand(-1, 3, -1, -1)
        if self.mean != (0.0, 0.0, 0.0) or self.std != (1.0, 1.0, 1.0):
            mean = torch.tensor(self.mean, device=images.device).view(1, 3, 1, 1)
            std = torch.tensor(self.std, device=images.device).view(1, 3, 1, 1)
            images = (images - mean) / std
        return images.contiguous(memory_format=torch.channels_last)

    def processor(self) -> Any:
        """The same as a stock image processor, which also accepts grayscale images."""
        return EfficientNetImageProcessorPil(
            size={"height": self.size, "width": self.size},
            resample=2,  # bilinear, as in training; the stock default is nearest
            do_center_crop=False,
            do_convert_rgb=True,  # an 'L' image would give one channel
            rescale_factor=1 / 255,
            image_mean=list(self.mean),
            image_std=list(self.std),
            include_top=False,  # True normalises a second time
        )


def build_network(config: TrainConfig, classes: Sequence[str]) -> tuple[PreTrainedModel, Preprocessing]:
    """The network in training mode, channels-last, with the class map in its configuration.

    Raises:
        InputError: the backbone cannot be found or is no image classifier.
    """
    preprocessing = Preprocessing(config.image_size)
    if config.backbone == "efficientnet":
        settings = {"image_size": config.image_size, **config.model_config}
        model = build_efficientnet(len(classes), seed=config.seed, labels=classes, **settings)
    else:
        model = _from_name(config, classes)
        if config.pretrained:
            preprocessing = _recorded(config)
    prepare_for_training(model)
    return model.to(memory_format=torch.channels_last).train(), preprocessing


def _from_name(config: TrainConfig, classes: Sequence[str]) -> PreTrainedModel:
    maps = {
        "id2label": dict(enumerate(classes)),
        "label2id": {label: code for code, label in enumerate(classes)},
    }
    torch.manual_seed(config.seed)  # a new head, or all weights, are drawn from the global generator
    try:
        if config.pretrained:
            return AutoModelForImageClassification.from_pretrained(
                config.backbone, ignore_mismatched_sizes=True, **maps, **config.model_config
            )
        settings = AutoConfig.from_pretrained(config.backbone, **maps, **config.model_config)
        return AutoModelForImageClassification.from_config(settings)
    except (OSError, ValueError) as error:
        raise InputError(f"backbone {config.backbone!r} cannot be loaded as an image classifier: {error}") from error


def _recorded(config: TrainConfig) -> Preprocessing:
    """The preprocessing that pretrained weights were trained with."""
    try:
        record = AutoImageProcessor.from_pretrained(config.backbone).to_dict()
    except (OSError, ValueError) as error:
        raise InputError(f"backbone {config.backbone!r} has no image processor to take mean and std from") from error
    mean = tuple(map(float, record.get("image_mean") or (0.0,) * 3))
    std = tuple(map(float, record.get("image_std") or (1.0,) * 3))
    if record.get("include_top"):  # stock EfficientNets divide by std twice: Keras up to 2.8 did so, too
        std = tuple(value * value for value in std)
    return Preprocessing(config.image_size, mean, std)
