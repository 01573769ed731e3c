"""The preprocessing that weights were trained with, as three numbers: factor, mean, deviation.

`value = (pixel * rescale_factor - image_mean) / image_std` for pixels in 0..255. Whatever a stock image processor adds
to this form is folded in. This is the one reader of such files: the processor, the encoders, the fusion, the trainer
and the cards ask it. A file that cannot be read is an error, never a default.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.utils import cached_file

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import read_json_file

Record = dict[str, Any]

CYTOIMAGENET: Record = {"rescale_factor": 1 / 255, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}
"""CytoImageNet weights: the Keras network divides by 255 and normalises by mean 0, variance 1."""

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


_FILES = ("processor_config.json", "preprocessor_config.json")  # the first only where it holds an image processor


def record_of(model: PreTrainedModel, name: str | Path | None = None, *, revision: str | None = None) -> Record:
    """The record of a loaded model, from the processor saved with it in the folder or repository `name`.

    Without one, the configuration may say what the weights were trained with, and for a network that this package
    built in memory it is known; others are refused.
    """
    config = model.config
    if config.model_type == "cyto-fusion":
        return dict(RAW)
    place = str(name or model.name_or_path or "")
    content = read_processor(place, revision=revision) if place else None
    if content is not None:
        return record_from(content, place)
    if isinstance(timm := getattr(config, "pretrained_cfg", None), Mapping) and {"mean", "std"} <= timm.keys():
        return record_from({"image_mean": timm["mean"], "image_std": timm["std"]}, f"{place} (pretrained_cfg)")
    if config.model_type == "efficientnet" and not place:
        return dict(CYTOIMAGENET)
    raise InputError(
        f"no image processor beside {place or type(model).__name__}, so its mean and deviation are unknown: "
        "save one with the model (preprocessor_config.json), or pass the preprocessing"
    )


def hub_source(model: PreTrainedModel) -> dict[str, str | None] | None:
    """Repository and commit that a model was loaded from on the Hub; None for a folder, or a model made in memory."""
    name = str(model.name_or_path or "")
    if name.count("/") > 1 or not name or Path(name).exists() or name.startswith((".", "~", "/")):
        return None
    return {"repo": name, "revision": getattr(model.config, "_commit_hash", None)}


def read_processor(place: str | Path, *, revision: str | None = None) -> Record | None:
    """The content of the image processor's file in a folder or repository; None where it has no such file."""
    for name in _FILES:
        try:
            file = cached_file(str(place), name, revision=revision, _raise_exceptions_for_missing_entries=False)
        except OSError as error:
            raise InputError(f"{place}: no answer whether there is a {name} ({error})") from error
        if file is None:
            continue
        try:
            content = read_json_file(file)
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
        if not isinstance(content, dict):
            raise InputError(f"{file} is not a JSON object: it should hold the options of an image processor")
        if name == _FILES[1]:
            return content
        if isinstance(content.get("image_processor"), dict):
            return dict(content["image_processor"])
    return None


def record_from(config: Mapping[str, Any], where: str | Path = "") -> Record:
    """The record in the configuration of a stock image processor, or of this package's; messages say `where` it is.

    Example:
        >>> record_from({"image_mean": 0.5, "image_std": 0.5, "do_rescale": False})["rescale_factor"]
        1.0
    """
    place = f"{where}: " if where else ""
    factor = _number(config.get("rescale_factor", 1 / 255), "rescale_factor", place)
    if not flag(config, "do_rescale", True, where):
        factor = 1.0
    if factor == 0:
        raise InputError(f"{place}rescale_factor is 0: every pixel would be 0")
    mean, std = [0.0] * 3, [1.0] * 3
    if flag(config, "do_normalize", True, where):
        missing = [name for name in ("image_mean", "image_std") if config.get(name) is None]
        if missing:
            raise InputError(f"{place}the image processor normalises and has no {' and no '.join(missing)}")
        mean, std = (_three(config[name], name, place) for name in ("image_mean", "image_std"))
    if min(std) <= 0:
        raise InputError(f"{place}image_std is {std}: a deviation is above 0")
    if flag(config, "rescale_offset", False, where):  # subtracts 1 after the factor
        mean = [value + 1.0 for value in mean]
    # The stock EfficientNet processor divides by the deviation once more: its files hold the square root (keras-2.9).
    stock_efficientnet = str(config.get("image_processor_type", "")).startswith("EfficientNet")
    if flag(config, "include_top", stock_efficientnet, where):
        std = [value**2 for value in std]
    return {"rescale_factor": factor, "image_mean": mean, "image_std": std}


def flag(config: Mapping[str, Any], name: str, default: bool, where: str | Path = "") -> bool:
    """A yes or no of such a file; `null` means the default."""
    value = config.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InputError(f"{f'{where}: ' if where else ''}{name} is {value!r}: true or false")
    return value


def _three(value: Any, name: str, place: str) -> list[float]:
    given = list(value) if isinstance(value, list | tuple) else [value]
    if len(given) not in (1, 3):
        raise InputError(f"{place}{name} has {len(given)} numbers: one, or one per colour")
    values = [_number(entry, name, place) for entry in given]
    return values if len(values) == 3 else values * 3


def _number(value: Any, name: str, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{place}{name} is {value!r}: a finite number")
    return float(value)
