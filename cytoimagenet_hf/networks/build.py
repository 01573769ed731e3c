"""The one implementation of `Encoder`: facts and a network. Adapters differ in these two only."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.backbones import hash_weights
from cytoimagenet_hf.networks.checkpoints import require_finite_weights
from cytoimagenet_hf.networks.loading import input_errors
from cytoimagenet_hf.options.networks import DEFAULTS, EncoderOptions

from .base import Array, Ranges, Unit
from .facts import EncoderFacts
from .network import Fed, Pooled
from .pixels import pixel_features
from .pooling import stage_ends
from .prepare import make_units
from .roles import role_of

Vector = npt.NDArray[np.float32]
_PIXELS = 1 << 20  # per run of `encode`: 20 units of 224 x 224
_FREE = ("full_scale", "low", "high", "clip", "per", "size", "fit", "interpolation", "join", "views", "pixels")
"""Facts that a caller may choose, under the same name."""


@dataclass(frozen=True)
class FactsEncoder:
    """A network with the facts of its input; see `Encoder`, which it is.

    Made by `make_encoder`.
    """

    name: str
    facts: EncoderFacts
    network: nn.Module
    fingerprint: str
    training_sources: tuple[str, ...] | None = None

    def units(self, planes: Sequence[Array], *, stains: Sequence[str], ranges: Ranges | None = None) -> list[Unit]:
        """The inputs of the network for one image: see `Encoder.units`."""
        return make_units(self.facts, planes, stains=stains, ranges=ranges)

    def join(self, vectors: Sequence[Vector]) -> Vector:
        """One vector per image from those of its units, in order."""
        if self.facts.join == "mean":
            return np.asarray(np.mean(np.stack(vectors), axis=0, dtype=np.float64), dtype=np.float32)
        return np.concatenate(list(vectors))

    def beside(self, planes: Sequence[Array]) -> Vector:
        """What stands beside the vector of one image: see `Encoder.beside`."""
        return pixel_features(planes) if self.facts.pixels else np.zeros(0, dtype=np.float32)

    def encode(self, planes: Array, *, stains: Sequence[str] = ()) -> Vector:
        """Vectors of a batch of images of one size: (B, C, H, W) native dtype → (B, D) float32.

        Raises:
            InputError: unusable planes or stains, or a network that gives NaN or infinity.
        """
        units = [self.units(list(image), stains=stains) for image in planes]  # B lists of U units (c, h, w)
        flat = [unit for image in units for unit in image]
        if not flat:
            raise InputError("no images: the batch is empty")
        step = max(1, int(_PIXELS / (flat[0].shape[1] * flat[0].shape[2] * self.facts.zoom**2)))
        device = next((value.device for value in self.network.state_dict().values()), torch.device("cpu"))
        parts = []
        with torch.inference_mode():
            for start in range(0, len(flat), step):
                batch = torch.from_numpy(np.stack(flat[start : start + step])).to(device)  # (N, c, h, w)
                parts.append(self.network(batch).float().cpu().numpy())
        vectors = np.concatenate(parts)  # (B * U, D)
        require_finite(vectors, self.name)
        each = len(units[0])
        joined = [self.join(list(vectors[start : start + each])) for start in range(0, len(vectors), each)]
        return np.stack(
            [np.concatenate([own, self.beside(list(image))]) for own, image in zip(joined, planes, strict=True)]
        )


def make_encoder(
    name: str,
    facts: EncoderFacts,
    inner: nn.Module,
    options: EncoderOptions = DEFAULTS,
    *,
    training_sources: Sequence[str] | None = None,
) -> FactsEncoder:
    """An encoder from facts and a network, after one run of the network on noise.

    Args:
        name: shown in tables.
        facts: `dim` is taken from the network where it is 0.
        inner: what the facts describe, (N, c, h, w) after `mean` and `sd` → (N, dim).
        options: a caller's choices; those of a kind of network are its loader's.
        training_sources: what it was trained on, where that is known.

    Raises:
        InputError: an option that this network has no place for, weights or outputs that are not finite, or another
            length than the facts say.
    """
    facts = adjust_facts(facts, options)
    with input_errors():
        require_finite_weights(inner, name)
    network = Fed(inner, facts).eval()
    dim = _length_of_output(network, facts, name)
    if facts.dim and dim != facts.dim:
        raise InputError(f"{name} gives {dim} features where {facts.title} has {facts.dim}: are these its weights?")
    facts = replace(facts, dim=dim)
    text = json.dumps(asdict(facts) | {"note": "", "title": "", "name": "", "source": ""}, sort_keys=True, default=str)
    digest = hashlib.sha256(f"{hash_weights(inner)} {text}".encode()).hexdigest()[:16]
    sources = None if training_sources is None else tuple(training_sources)
    return FactsEncoder(name, facts, network, digest, sources)


def adjust_facts(facts: EncoderFacts, options: EncoderOptions) -> EncoderFacts:
    """The facts with a caller's choices; what cannot be chosen for this network is an error.

    Raises:
        InputError: roles of a network without, or a normalisation that this network's scaling has no place for.
    """
    given = {name: value for name, value in options.given().items() if name in _FREE}
    if isinstance(given.get("size"), int):
        given["size"] = (given["size"], given["size"])
    if "size" in given and facts.fit == "native":
        given.setdefault("fit", "resize")
    if options.scale is not None:
        smallest = math.ceil(facts.smallest / options.scale) if options.scale > 0 else 1
        given |= {"zoom": options.scale, "smallest": smallest}
    if options.roles:
        if facts.channels != "joint":
            raise InputError(f"{facts.name} takes each channel by itself: leave roles out")
        given["stains"] = tuple(role_of(name) for name in options.roles)
    normalize = options.normalize
    if normalize is None:
        return replace(facts, **given)
    if facts.scale in ("zscore", "none"):
        raise InputError(f"{facts.name} was trained on pixels scaled by {facts.scale}: leave normalize out")
    if facts.scale == "as-uint8" and normalize != "none":
        given["factor"] = facts.factor * 255
    pixels = {"image": "percentile", "plate": "percentile", "gain": "gain", "none": "dtype"}[normalize]
    if not (normalize == "none" and facts.scale == "as-uint8"):
        given["scale"] = pixels
    return replace(facts, **({"per": "plate" if normalize == "plate" else "plane"} | given))


def require_finite(vectors: npt.NDArray[Any], name: str) -> None:
    """Refuse vectors (N, D) with NaN or infinity.

    Raises:
        InputError: the message has the number of vectors and `name`.
    """
    bad = int((~np.isfinite(vectors).all(axis=tuple(range(1, vectors.ndim)))).sum())
    if bad:
        raise InputError(f"{name} gives NaN or infinite features for {bad} of {len(vectors)} inputs")


def stage_columns(encoder: FactsEncoder) -> dict[int, slice]:
    """Where the stages of a network stand in the vector of one of its inputs, for the pooling `blocks`.

    Args:
        encoder: loaded with `pooling="blocks"`.

    Returns:
        Stage, 0 being the stem, → its columns: means, then deviations.

    Raises:
        InputError: its pooling is another one.

    Example:
        >>> from cytoimagenet_hf.networks import load_encoder
        >>> stage_columns(load_encoder("random:0", pooling="blocks"))[2]
        slice(96, 144, None)
    """
    pooled = getattr(encoder.network, "inner", None)
    if not isinstance(pooled, Pooled) or pooled.pooling != "blocks":
        raise InputError(f"{encoder.name}: stages stand side by side for pooling='blocks' alone")
    widths: list[int] = []
    hook = pooled.model.register_forward_hook(
        lambda _, __, output: widths.extend(one.shape[1] for one in output.hidden_states)
    )
    _length_of_output(encoder.network, encoder.facts, encoder.name)
    hook.remove()
    places, start = {}, 0
    for stage, end in enumerate(stage_ends(widths)):
        if stage == 0 and widths[:2] == [widths[0]] * 2:  # of the first stage, which is as wide
            continue
        places[stage] = slice(start, start + 2 * widths[end])
        start += 2 * widths[end]
    return places


def _noise(facts: EncoderFacts) -> torch.Tensor:
    """One input of a network, (1, c, h, w)."""
    height, width = (
        facts.size or ((max(64, facts.smallest) + facts.multiple - 1) // facts.multiple * facts.multiple,) * 2
    )
    channels = facts.input_channels or min(3, facts.most_channels or 3)
    return torch.rand((1, channels, height, width), generator=torch.Generator().manual_seed(0))


def _length_of_output(network: nn.Module, facts: EncoderFacts, name: str) -> int:
    noise = _noise(facts)
    _, channels, height, width = noise.shape
    device = next((value.device for value in network.state_dict().values()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            vectors = network(noise.to(device)).float().cpu().numpy()
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    except RuntimeError as error:
        raise InputError(f"{name} cannot take {channels} x {height} x {width} pixels: {error}") from error
    if vectors.ndim != 2:
        raise InputError(f"{name} gives an output of shape {vectors.shape}, not one vector per input")
    require_finite(vectors, name)
    return int(vectors.shape[1])
