"""The published Keras weights as a stock transformers EfficientNet (docs/paper.md).

Reads the legacy HDF5 of `save_weights` and `save`, with or without a classification head, through h5py: no TensorFlow.
Outputs agree with Keras to 1e-6 at every input size, because the stock class pads as Keras does when it builds the
network without a fixed input size, as the paper did.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import EfficientNetForImageClassification, EfficientNetModel

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import file_sha256, write_json
from cytoimagenet_hf.core.hdf5 import own_array

from .efficientnet import build_efficientnet
from .processing import MicroscopyImageProcessor
from .records import IMAGENET_SCALINGS, Record

if TYPE_CHECKING:
    import h5py

Array = npt.NDArray[Any]
Layers = dict[str, dict[str, Array]]

CONVERSION = "conversion.json"
"""File beside converted weights that says what they were made of; model cards read it."""

# (width, depth) of EfficientNet-B0 … B7.
_SIZES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1))

_IN_BLOCK = {
    "expand_conv": "expansion.expand_conv",
    "expand_bn": "expansion.expand_bn",
    "dwconv": "depthwise_conv.depthwise_conv",
    "bn": "depthwise_conv.depthwise_norm",
    "se_reduce": "squeeze_excite.reduce",
    "se_expand": "squeeze_excite.expand",
    "project_conv": "projection.project_conv",
    "project_bn": "projection.project_bn",
}
_LARGEST = 2**27
"""Values of one variable: ten times the largest of EfficientNet-B7."""

_OUTSIDE = {
    "stem_conv": "embeddings.convolution",
    "stem_bn": "embeddings.batchnorm",
    "top_conv": "encoder.top_conv",
    "top_bn": "encoder.top_bn",
}


# Keras variable → its name in torch.
_VARIABLES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_AXES = {"kernel": (3, 2, 0, 1), "depthwise_kernel": (2, 3, 0, 1)}  # torch's order, of convolutions


def convert_keras(
    h5_path: str | Path, *, labels: Sequence[str] | None = None
) -> EfficientNetModel | EfficientNetForImageClassification:
    """Port a Keras EfficientNet (B0 to B7) from its HDF5 file.

    Args:
        h5_path: file of `save_weights(..., save_format="h5")` or of a whole model saved as `.h5`.
        labels: names of the classes of a head, in the order of its outputs.

    Returns:
        An `EfficientNetModel` in evaluation mode, or `EfficientNetForImageClassification` when the file has a head.

    Raises:
        InputError: not such a file; or a layer, named in the message, is missing, unknown, misshapen or not finite.
    """
    layers, _ = _read(h5_path)
    width, depth = _size(layers)
    heads = [name for name, weights in layers.items() if weights.get("kernel", np.empty(0)).ndim == 2]
    if len(heads) > 1:
        raise InputError(
            f"{h5_path} has several dense layers ({', '.join(heads)}): one classification head is understood"
        )
    classes = layers[heads[0]]["kernel"].shape[1] if heads else 0
    stem = layers.get("stem_conv", {}).get("kernel", np.empty((3, 3, 3, 32)))
    model = build_efficientnet(
        classes,
        seed=0,
        labels=labels,
        width_coefficient=width,
        depth_coefficient=depth,
        num_channels=stem.shape[2] if stem.ndim == 4 else 3,
    )
    state = model.state_dict()
    prefix = "efficientnet." if heads else ""
    targets = dict(_targets(layers, model.base_model, prefix))
    if heads:
        targets[heads[0]] = "classifier"
    unknown = sorted(layers.keys() - targets.keys() - {"normalization"})
    if unknown:
        raise InputError(f"{h5_path} has layers that no EfficientNet has: {', '.join(unknown[:5])}")
    open_names = {name for name in state if not name.endswith("num_batches_tracked")}
    for layer, target in targets.items():
        if layer not in layers:
            raise InputError(f"{h5_path} lacks the layer {layer!r}: is it an EfficientNet, saved completely?")
        for variable, value in layers[layer].items():
            name, tensor = _ported(h5_path, layer, target, variable, value, state)
            state[name] = tensor
            open_names.discard(name)
    if open_names:
        missing = sorted(open_names)[0]
        layer = next((layer for layer, target in targets.items() if missing.startswith(f"{target}.")), missing)
        raise InputError(f"{h5_path} lacks a weight of the layer {layer!r} ({missing})")
    model.load_state_dict(state)
    return model.eval()


def keras_record(h5_path: str | Path, *, scaling: str | None = None) -> Record:
    """The preprocessing inside a Keras EfficientNet, from its `normalization` layer.

    Args:
        h5_path: the file.
        scaling: `"keras-2.8"` or `"keras-2.9"` for ImageNet weights, whose files do not tell which Keras computed with
            them; by default what the layers of the file say.

    Raises:
        InputError: no normalization layer, or an unknown scaling.
    """
    if scaling is not None:
        if scaling not in IMAGENET_SCALINGS:
            raise InputError(f"unknown scaling {scaling!r}: choose one of {', '.join(IMAGENET_SCALINGS)}")
        return dict(IMAGENET_SCALINGS[scaling])
    layers, names = _read(h5_path)
    try:
        mean, variance = (layers["normalization"][name].ravel().astype(float) for name in ("mean", "variance"))
    except KeyError:
        raise InputError(f"{h5_path} lacks the layer 'normalization': pass the scaling of its inputs") from None
    # Since 2.9 a second rescaling divides by the root of the deviation again, for ImageNet weights only.
    std = variance if "rescaling_1" in names else np.sqrt(variance)
    return {"rescale_factor": 1 / 255, "image_mean": mean.tolist(), "image_std": std.tolist()}


def save_converted(
    model: EfficientNetModel | EfficientNetForImageClassification,
    record: Record,
    output: str | Path,
    *,
    source: str | Path,
) -> list[str]:
    """Write a network ported from a Keras file as a folder that transformers and this package load.

    Args:
        model: from `convert_keras`.
        record: from `keras_record`.
        output: folder of safetensors, configuration, image processor and `conversion.json`, which the card reads.
        source: the Keras file.

    Returns:
        The names of the files.
    """
    folder = Path(output)
    model.save_pretrained(folder)
    MicroscopyImageProcessor(**record).save_pretrained(folder)
    write_json(folder / CONVERSION, {"weights": Path(source).name, "sha256": file_sha256(source)})
    return sorted(file.name for file in folder.iterdir())


def _read(h5_path: str | Path) -> tuple[Layers, list[str]]:
    """Variables by layer, and the names of all layers; layers of nested models count as their own."""
    if not Path(h5_path).is_file():
        raise InputError(f"{h5_path} is not a file: pass the .h5 file of Keras weights")
    try:
        import h5py  # in the extra `images`: of networks, these files alone need it

        with h5py.File(h5_path, "r") as file:
            root = file.get("model_weights", file)
            names = _attribute(root, "layer_names")
            if not names:
                raise InputError(
                    f"{h5_path} is HDF5 but holds no list of Keras layers: "
                    "save the model with save_weights(..., save_format='h5') in Keras 2"
                )
            layers: Layers = {}
            for group in names:
                if isinstance(root.get(group, getlink=True), h5py.ExternalLink):
                    raise InputError(f"{h5_path}: layer {group!r} is a link to another file")
                for weight in _attribute(root[group], "weight_names"):
                    *path, variable = weight.split("/")
                    layer = path[-1] if path else group
                    layers.setdefault(layer, {})[variable.split(":")[0]] = _array(root[group], weight)
            return layers, names
    except (OSError, RuntimeError, TypeError, AttributeError, ValueError) as error:  # h5py's, by what is wrong
        if isinstance(error, InputError):
            raise
        raise InputError(f"{h5_path} is not an HDF5 file of Keras weights: {one_line(error)}") from error
    except KeyError as error:
        raise InputError(f"{h5_path} lists a layer that it does not hold: {error}") from error


def _array(group: "h5py.Group", name: str) -> Array:
    """One variable."""
    stored = own_array(group, name)
    if stored.dtype.kind not in "fiu":
        raise ValueError(f"{name} is not an array of numbers")
    if stored.size > _LARGEST:
        raise ValueError(f"{name} claims {stored.size:,} values")
    return np.asarray(stored)


def _attribute(group: "h5py.Group", key: str) -> list[str]:
    """A list of names; Keras cuts long ones into key0, key1, …"""
    if key in group.attrs:
        parts: Iterable[Any] = [group.attrs[key]]
    else:
        numbered = [name for name in group.attrs if re.fullmatch(rf"{key}\d+", name)]
        parts = (group.attrs[name] for name in sorted(numbered, key=lambda name: int(name[len(key) :])))
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _size(layers: Layers) -> tuple[float, float]:
    """Width and depth of the nearest EfficientNet: the top width decides, then the number of blocks."""
    blocks = len({match[0] for name in layers if (match := re.match(r"block\d+[a-z]+_", name))})
    if not blocks:
        raise InputError(f"none of the layers is an EfficientNet block (layers: {', '.join(list(layers)[:5])}, …)")
    top = layers.get("top_bn", {}).get("gamma", np.empty(1280)).size

    def distance(size: tuple[float, float]) -> tuple[int, int]:
        width, depth = size
        repeats = sum(int(np.ceil(depth * count)) for count in (1, 2, 2, 3, 3, 4, 1))
        return abs(round(1280 * width) - top), abs(repeats - blocks)

    return min(_SIZES, key=distance)


def _targets(layers: Layers, base: EfficientNetModel, prefix: str) -> Iterator[tuple[str, str]]:
    """Each Keras layer that must be there, with the torch module that takes it."""
    for layer, target in _OUTSIDE.items():
        yield layer, prefix + target
    repeats = [int(np.ceil(base.config.depth_coefficient * count)) for count in base.config.num_block_repeats]
    names = [f"block{stage}{chr(97 + item)}" for stage, count in enumerate(repeats, 1) for item in range(count)]
    for index, (block, name) in enumerate(zip(base.encoder.blocks, names, strict=True)):
        for suffix, target in _IN_BLOCK.items():
            if block.expand or not suffix.startswith("expand_"):
                yield f"{name}_{suffix}", f"{prefix}encoder.blocks.{index}.{target}"


def _ported(
    h5_path: str | Path, layer: str, target: str, variable: str, value: Array, state: dict[str, torch.Tensor]
) -> tuple[str, torch.Tensor]:
    name = f"{target}.{_VARIABLES.get(variable, '')}"
    if name not in state:
        raise InputError(f"{h5_path}: layer {layer!r} has a variable {variable!r} that the network does not have")
    if value.ndim == 2:  # dense
        value = value.T
    elif variable in _AXES and value.ndim == 4:
        value = value.transpose(_AXES[variable])
    if value.shape != tuple(state[name].shape):
        raise InputError(
            f"{h5_path}: layer {layer!r}, {variable}: shape {value.shape} where {tuple(state[name].shape)} is needed "
            "(in torch's order of axes)"
        )
    if not np.isfinite(value).all():
        raise InputError(f"{h5_path}: layer {layer!r}, {variable} has NaN or infinite values")
    return name, torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))
