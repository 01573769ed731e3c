"""Any backbone by name: a folder or Hub name, a Keras file, a timm name, or the random net of the benchmarks.

A loaded backbone keeps its weights, the processor that feeds it and a name that tells how it was scaled, so that a row
of results can be traced to all three.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from cytoimagenet_hf.core.errors import InputError

from .checkpoints import load_network
from .efficientnet import build_efficientnet
from .keras import convert_keras, keras_record
from .lite import imagenet_lite, is_lite
from .processing import MicroscopyImageProcessor
from .records import IMAGENET_SCALINGS


@dataclass(frozen=True)
class Backbone:
    """A network without its head, the processor its weights were trained with, and the name it has in results."""

    name: str
    model: PreTrainedModel
    processor: MicroscopyImageProcessor


def load_backbone(
    name: str | Path,
    *,
    scaling: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> Backbone:
    """Load a trained network for feature extraction.

    Args:
        name: a folder or Hub name that `AutoModel` loads (`timm/…` too, with timm installed), a Keras `.h5` file,
            `imagenet-lite0` and its sisters (`imagenet-lite0:FILE` for weights of one's own), or `random:SEED` for an
            untrained EfficientNet-B0.
        scaling: `"keras-2.8"` or `"keras-2.9"`: what ImageNet inputs were divided by; part of the name in results. By
            default the processor saved with the weights decides.
        revision: of a Hub repository.
        trust_remote_code: whether the repository's own code may run.
        **options: options of the processor, such as `method` or `do_resize`.

    Raises:
        InputError: nothing loads under that name, timm is missing, or the scaling is unknown.

    Example:
        >>> load_backbone("random:7").model.config.hidden_dim
        1280
    """
    if scaling is not None and scaling not in IMAGENET_SCALINGS:
        raise InputError(f"unknown scaling {scaling!r}: choose one of {', '.join(IMAGENET_SCALINGS)}")
    title = str(name)
    if match := re.fullmatch(r"random:(\d+)", title):
        model: PreTrainedModel = build_efficientnet(0, seed=int(match[1]))
        processor = MicroscopyImageProcessor.for_model(model, **options)
    elif title.endswith((".h5", ".hdf5")):
        model = convert_keras(title).base_model
        processor = MicroscopyImageProcessor(**keras_record(title, scaling=scaling), **options)
    elif is_lite(title):
        key, _, file = title.partition(":")
        model = imagenet_lite(key, weights=file or None)
        processor = MicroscopyImageProcessor.for_model(model, **options)
    else:
        model = load_network(title, revision=revision, trust_remote_code=trust_remote_code)
        processor = MicroscopyImageProcessor.for_model(model, revision=revision, **options)
    if scaling is not None:
        processor = MicroscopyImageProcessor.from_dict(processor.to_dict(), **IMAGENET_SCALINGS[scaling])
        title = f"{title} ({scaling} scaling)"
    return Backbone(title, model.eval(), processor)


def fingerprint(model: PreTrainedModel) -> str:
    """A short hash of the weights of a network without its head: equal weights, equal fingerprint.

    Example:
        >>> from cytoimagenet_hf.networks import build_efficientnet
        >>> tiny = {"width_coefficient": 0.125, "depth_coefficient": 0.125, "seed": 3}
        >>> with_head, without = build_efficientnet(2, labels=["a", "b"], **tiny), build_efficientnet(0, **tiny)
        >>> fingerprint(with_head) == fingerprint(without)
        True
    """
    return hash_weights(model.base_model, start=model.config.model_type)[:16]


def hash_weights(network: nn.Module, *, start: str = "") -> str:
    """SHA-256 of the weights of a network, after a text that is hashed first: equal weights, equal hash."""
    digest = hashlib.sha256(start.encode())
    for name, tensor in sorted(network.state_dict().items()):
        if name.endswith("num_batches_tracked"):  # counts training steps, never used in evaluation
            continue
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
