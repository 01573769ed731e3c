"""The preprocessing that weights were trained with, as three numbers: factor, mean, deviation.

`value = (pixel * rescale_factor - image_mean) / image_std` for pixels in 0..255. Whatever a stock image processor adds
to this form is folded in. Copied into saved fusion models: transformers only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, PreTrainedModel

Record = dict[str, Any]

CYTOIMAGENET: Record = {"rescale_factor": 1 / 255, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
"""CytoImageNet weights: the Keras network divides by 255 and normalises by mean 0, variance 1 (FACTS §6)."""

RAW: Record = {"rescale_factor": 1.0, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
"""Fusion models: they take 0..255 and normalise for each backbone themselves."""

_IMAGENET_MEAN, _IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

IMAGENET_SCALINGS: dict[str, Record] = {
    # Keras up to 2.8 stored the deviation as the variance, so its layer divided by the deviation's square root.
    "keras-2.8": {
        "rescale_factor": 1 / 255,
        "image_mean": _IMAGENET_MEAN,
        "image_std": [std**0.5 for std in _IMAGENET_STD],
    },
    "keras-2.9": {"rescale_factor": 1 / 255, "image_mean": _IMAGENET_MEAN, "image_std": _IMAGENET_STD},
}
"""What "the ImageNet EfficientNet" saw, by Keras version: published baselines used the first or the second."""


def record_of(model: PreTrainedModel, name: str | Path | None = None) -> Record:
    """The record of a loaded model, from the processor saved with it.

    Args:
        model: any transformers model.
        name: the folder or Hub name it came from; by default the model's own `name_or_path`.

    Raises:
        ValueError: there is no processor, and the model is none whose preprocessing is known.
    """
    if model.config.model_type == "cyto-fusion":
        return dict(RAW)
    place = str(name or model.name_or_path or "")
    if place:
        try:
            return record_from(AutoImageProcessor.from_pretrained(place).to_dict())
        except (OSError, ValueError):
            pass  # a checkpoint without a processor beside it
    if model.config.model_type == "efficientnet":
        return dict(CYTOIMAGENET)
    raise ValueError(
        f"no image processor beside {place or type(model).__name__}, so its mean and deviation are unknown: "
        "save one with the model, or pass the preprocessing"
    )


def record_from(config: Mapping[str, Any]) -> Record:
    """The record in the configuration of a stock image processor, or of this package's."""
    factor = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    mean, std = [0.0] * 3, [1.0] * 3
    if config.get("do_normalize", True):
        mean, std = _three(config.get("image_mean", 0.0)), _three(config.get("image_std", 1.0))
    if config.get("rescale_offset"):  # subtracts 1 after the factor
        mean = [value + 1.0 for value in mean]
    # The stock EfficientNet processor divides by the deviation once more: its files hold the square root (keras-2.9).
    stock_efficientnet = str(config.get("image_processor_type", "")).startswith("EfficientNet")
    if config.get("include_top", stock_efficientnet):
        std = [value**2 for value in std]
    return {"rescale_factor": factor, "image_mean": mean, "image_std": std}


def _three(value: Any) -> list[float]:
    values = [float(entry) for entry in (value if isinstance(value, list | tuple) else [value])]
    return values if len(values) == 3 else values * 3
