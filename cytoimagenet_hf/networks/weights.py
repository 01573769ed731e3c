"""Weights that come as one file without a configuration: found, checked, and loaded as an encoder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from huggingface_hub import hf_hub_download
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256
from cytoimagenet_hf.networks.checkpoints import explained

from .base import Encoder, Request
from .build import make_encoder
from .facts import EncoderFacts

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".h5", ".hdf5")


def load_file_encoder(build: Callable[[Path, str], nn.Module], request: Request) -> Encoder:
    """Load a network whose weights are one file: what the registry binds to the `build` of each such kind.

    Args:
        build: (file, name for messages) → the network, (N, c, h, w) to (N, D).
        request: its place is the file, or its folder; None: from the facts' own Hub repository. No foreign code runs.

    Raises:
        InputError: no such file, or weights of another network.
    """
    file, facts = find_weights(request.place, request.facts, revision=request.options.revision)
    return make_encoder(request.name, facts, build(file, f"{request.name} ({file.name})"), request.options)


def find_weights(place: str | None, facts: EncoderFacts, *, revision: str | None) -> tuple[Path, EncoderFacts]:
    """The file of the weights, and the facts with its hash.

    Args:
        place: a file, or a folder with one; None: the file of the facts' own Hub repository.
        facts: of the network.
        revision: of that repository.

    Raises:
        InputError: no such file, several of them, or weights that have to be asked for.
    """
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
