"""The network of a run and how pixels reach it: built or loaded, with one record of the preprocessing.

The record (`Preprocessing`) is what the device applies during training and what is saved beside the weights as a stock
image processor, so a checkpoint is always used the way it was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification, PreTrainedModel
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet, prepare_for_training
from cytoimagenet_hf.networks.checkpoints import explained, load_network
from cytoimagenet_hf.networks.efficientnet import label_maps
from cytoimagenet_hf.networks.lite import imagenet_lite, is_lite
from cytoimagenet_hf.networks.network import feed
from cytoimagenet_hf.networks.records import read_processor, record_of

from .augment import Draws, augment
from .config import TrainConfig
from .own import is_own

_LARGEST_TRIED = 257  # side up to which a size that fits is looked for


@dataclass(frozen=True)
class Preprocessing:
    """From uint8 grayscale to what the network takes: x * factor, then (x - mean) / std per channel.

    Factor 1/255, mean 0 and std 1 are the network of the paper, which only rescales.
    """

    size: int
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    factor: float = 1 / 255
    scaling: MicroscopyImageProcessor | None = None  # of one's own images, where the weights say how; else stretched

    def __call__(self, pixels: torch.Tensor, draws: Draws | None = None) -> torch.Tensor:
        """Pixels uint8 (B, S, S) to float32 (B, 3, S, S), augmented by `draws` of these images when there are any."""
        images = pixels.unsqueeze(1).to(torch.float32)  # (B, 1, S, S)
        if draws is not None:
            images = augment(images, draws)  # one channel: a third of the work
        # Equal colours are one number, so that the work is that of one channel.
        numbers = [values[:1] if len(set(values)) == 1 else values for values in (self.mean, self.std)]
        mean, sd = (torch.tensor(values, device=images.device).view(-1, 1, 1) for values in numbers)
        images = feed(images, self.factor, mean, sd, 3)
        return images.contiguous(memory_format=torch.channels_last)

    def processor(self) -> Any:
        """The same as a stock image processor, which also accepts grayscale images."""
        if self.scaling is not None:
            size = {"height": self.size, "width": self.size}
            return MicroscopyImageProcessor.from_dict(self.scaling.to_dict(), do_resize=True, size=size)
        return EfficientNetImageProcessorPil(
            size={"height": self.size, "width": self.size},
            resample=2,  # bilinear, as in training; the stock default is nearest
            do_center_crop=False,
            do_convert_rgb=True,  # an 'L' image would give one channel
            rescale_factor=self.factor,
            image_mean=list(self.mean),
            image_std=list(self.std),
            include_top=False,  # True normalises a second time
        )


def build_network(config: TrainConfig, classes: Sequence[str]) -> tuple[PreTrainedModel, Preprocessing]:
    """The network in training mode, channels-last, with the class map in its configuration.

    For the objective `views` it has no head.
    """
    preprocessing = Preprocessing(config.image_size)
    labels = None if config.objective == "views" else classes
    model = _efficientnet(config, labels) or _from_name(config, classes)
    if config.pretrained or is_lite(config.backbone):
        preprocessing = _recorded(model, config)
    _require_size(model, config.image_size)
    prepare_for_training(model)
    return model.to(memory_format=torch.channels_last).train(), preprocessing


def check_model(config: TrainConfig) -> None:
    """Try the backbone and `model_config` on two classes, before any data is read."""
    try:
        if model := _efficientnet(config, ["one", "two"]):
            _require_size(model, config.image_size)
            return
        with explained(config.backbone):
            _, unused = AutoConfig.from_pretrained(config.backbone, return_unused_kwargs=True, **config.model_config)
    except (TypeError, AttributeError, RuntimeError, OverflowError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"model_config {config.model_config}: no network can be built: {one_line(error)}") from error
    if unused:
        raise InputError(f"model_config: the configuration of {config.backbone} has no field {', '.join(unused)}")


def _require_size(model: PreTrainedModel, size: int) -> None:
    """Refuse images that are too small for the layers of a network, with the smallest that it takes."""
    if problem := _problem_at(model, size):
        larger = next((side for side in range(size + 1, _LARGEST_TRIED) if not _problem_at(model, side)), None)
        advice = "another size" if larger is None else f"{larger} or more"
        raise InputError(f"image_size {size} does not fit this network ({problem}): choose {advice}")


@torch.inference_mode()
def _problem_at(model: PreTrainedModel, size: int) -> str:
    """What a network says of one black image of this size; empty where it takes it."""
    training = model.training
    model.eval()
    try:
        model(pixel_values=torch.zeros(1, 3, size, size))
    except (RuntimeError, ValueError) as error:
        return one_line(error)
    finally:
        model.train(training)
    return ""


def _efficientnet(config: TrainConfig, labels: Sequence[str] | None) -> PreTrainedModel | None:
    """An EfficientNet of ours, or a Lite with ImageNet's weights or drawn ones; None where transformers loads it.

    Where there are labels it has a new head.
    """
    settings = {"image_size": config.image_size, **config.model_config}
    if config.backbone == "efficientnet":
        return build_efficientnet(len(labels or ()), seed=config.seed, labels=labels, **settings)
    if not is_lite(config.backbone):
        return None
    key, _, file = config.backbone.partition(":")
    return imagenet_lite(
        key, weights=file or None, pretrained=config.pretrained, labels=labels, seed=config.seed, **settings
    )


def _from_name(config: TrainConfig, classes: Sequence[str]) -> PreTrainedModel:
    maps: dict[str, Any] = {}
    auto: Any = AutoModel
    if config.objective != "views":
        maps = label_maps(classes, len(classes))
        auto = AutoModelForImageClassification
    torch.manual_seed(config.seed)  # a new head, or all weights, are drawn from the global generator
    with explained(config.backbone):
        if config.pretrained:
            return load_network(config.backbone, auto=auto, **maps, **config.model_config)
        settings = AutoConfig.from_pretrained(config.backbone, **maps, **config.model_config)
        made: PreTrainedModel = auto.from_config(settings)
        return made


def _recorded(network: PreTrainedModel, config: TrainConfig) -> Preprocessing:
    """The preprocessing that the weights of that name were trained with, as extraction reads it."""
    in_memory = is_lite(config.backbone)  # its record is in its configuration
    record = record_of(network, None if in_memory else config.backbone)
    keeps_scaling = is_own(config.dataset) and not in_memory and "method" in (read_processor(config.backbone) or {})
    scaling = MicroscopyImageProcessor.for_model(config.backbone) if keeps_scaling else None
    mean, std = (tuple(record[name]) for name in ("image_mean", "image_std"))
    return Preprocessing(config.image_size, mean, std, record["rescale_factor"], scaling)
