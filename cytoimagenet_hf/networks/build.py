"""Encoders from facts and a network: the kinds of networks differ in these two only."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.backbones import hash_weights
from cytoimagenet_hf.networks.checkpoints import require_finite_weights
from cytoimagenet_hf.options.networks import DEFAULTS, EncoderOptions

from .base import Encoder, device_of, require_finite
from .facts import EncoderFacts
from .network import Fed, Pooled
from .pooling import stage_ends
from .roles import role_of

_FREE = ("full_scale", "low", "high", "clip", "per", "size", "fit", "interpolation", "join", "views", "pixels")
"""Facts that a caller may choose, under the same name."""


def make_encoder(
    name: str,
    facts: EncoderFacts,
    inner: nn.Module,
    options: EncoderOptions = DEFAULTS,
    *,
    training_sources: Sequence[str] | None = None,
) -> Encoder:
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
    require_finite_weights(inner, name)
    network = Fed(inner, facts).eval()
    dim = _length_of_output(network, facts, name)
    if facts.dim and dim != facts.dim:
        raise InputError(f"{name} gives {dim} features where {facts.title} has {facts.dim}: are these its weights?")
    facts = replace(facts, dim=dim)
    text = json.dumps(asdict(facts) | {"note": "", "title": "", "name": "", "source": ""}, sort_keys=True, default=str)
    digest = hashlib.sha256(f"{hash_weights(inner)} {text}".encode()).hexdigest()[:16]
    sources = None if training_sources is None else tuple(training_sources)
    return Encoder(name, facts, network, digest, sources)


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


def stage_columns(encoder: Encoder) -> dict[int, slice]:
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
    try:
        with torch.inference_mode():
            vectors = network(noise.to(device_of(network))).float().cpu().numpy()
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    except RuntimeError as error:
        raise InputError(f"{name} cannot take {channels} x {height} x {width} pixels: {error}") from error
    if vectors.ndim != 2:
        raise InputError(f"{name} gives an output of shape {vectors.shape}, not one vector per input")
    require_finite(vectors, name)
    return int(vectors.shape[1])
