"""Encoders from facts and a network: the kinds of networks differ in these two only."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256
from cytoimagenet_hf.options.networks import DEFAULTS, EncoderOptions

from .backbones import hash_weights
from .base import Encoder, Request, device_of, require_finite
from .checkpoints import explained, require_finite_weights
from .facts import EncoderFacts
from .network import Fed, Pooled
from .pooling import stage_ends
from .roles import role_of

_FREE = ("full_scale", "low", "high", "clip", "per", "size", "fit", "interpolation", "join", "views", "pixels")
"""Facts that a caller may choose, under the same name."""

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".h5", ".hdf5")


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
    """The facts with a caller's choices; what cannot be chosen for this network is an error."""
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


def load_file_encoder(build: Callable[[Path, str], nn.Module], request: Request) -> Encoder:
    """Load a network whose weights are one file: what the registry binds to the `build` of each such kind.

    `build` makes the network, (N, c, h, w) to (N, D), of the file and a name for messages. No foreign code runs.
    """
    file, facts = _find_weights(request.place, request.facts, revision=request.options.revision)
    return make_encoder(request.name, facts, build(file, f"{request.name} ({file.name})"), request.options)


def _find_weights(place: str | None, facts: EncoderFacts, *, revision: str | None) -> tuple[Path, EncoderFacts]:
    """The file of the weights, and the facts with its hash: a file, the one in a folder, or that of the Hub."""
    file: Path | None = None
    if place is not None and Path(place).is_file():
        file = Path(place)
    elif place is not None and Path(place).is_dir():
        candidates = sorted(entry for entry in Path(place).iterdir() if entry.suffix in _SUFFIXES)
        if len(candidates) != 1:
            count = len(candidates)
            raise InputError(f"{place} holds {count} files of weights: name one, as in {facts.name}:{place}/FILE")
        file = candidates[0]
    elif place is None and len(facts.source.files) == 1 and "/" in facts.source.repo:
        with explained(facts.source.repo):
            file = Path(hf_hub_download(facts.source.repo, next(iter(facts.source.files)), revision=revision))
    if file is None:
        raise InputError(
            f"{facts.name} needs the file of its weights ({place or 'none was named'}): get it from "
            f"{facts.source.repo} and load {facts.name}:FILE"
        )
    digest = file_sha256(file)
    expected = facts.source.files.get(file.name)
    if expected and expected != digest:
        raise InputError(f"{file} has SHA-256 {digest}, and the published weights {expected}: fetch them again")
    return file, replace(facts, source=replace(facts.source, files={file.name: digest}, revision=revision))


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
        lambda _, __, output: widths.extend(maps.shape[1] for maps in output.hidden_states)
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


def _length_of_output(network: nn.Module, facts: EncoderFacts, name: str) -> int:
    """D of the one vector (1, D) that a network must give for one input of noise."""
    side = (max(64, facts.smallest) + facts.multiple - 1) // facts.multiple * facts.multiple
    height, width = facts.size or (side, side)
    channels = facts.input_channels or min(3, facts.most_channels or 3)
    noise = torch.rand((1, channels, height, width), generator=torch.Generator().manual_seed(0))
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
