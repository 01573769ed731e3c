"""Weights that come as one file without a configuration: found, read without running code, put in place completely."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256
from cytoimagenet_hf.networks.checkpoints import explained, few
from cytoimagenet_hf.networks.loading import input_errors

from .build import FactsEncoder, make_encoder
from .facts import EncoderFacts

State = dict[str, torch.Tensor]
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".h5", ".hdf5")
_NESTED = ("teacher", "state_dict", "model_state_dict", "model")


def load_file_encoder(
    build: Callable[[Path, str], nn.Module],
    name: str,
    place: str | None,
    facts: EncoderFacts,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> FactsEncoder:
    """Load a network whose weights are one file: what the registry binds to the `build` of each such kind.

    Args:
        build: (file, name for messages) → the network, (N, c, h, w) to (N, D).
        name: shown in tables.
        place: the file, or its folder; None: from the facts' own Hub repository.
        facts: of the network.
        revision: of a Hub repository.
        trust_remote_code: has no meaning here: no foreign code runs.
        **options: of `make_encoder`.

    Raises:
        InputError: no such file, or weights of another network.
    """
    file, facts = find_weights(place, facts, revision=revision)
    return make_encoder(name, facts, build(file, f"{name} ({file.name})"), **options)


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
        found = sorted(entry for entry in Path(place).iterdir() if entry.suffix in _SUFFIXES)
        if len(found) != 1:
            raise InputError(f"{place} holds {len(found)} files of weights: name one, as in {facts.name}:{place}/FILE")
        file = found[0]
    elif place is None and len(facts.source.files) == 1 and "/" in facts.source.repo:
        with input_errors(), explained(facts.source.repo):
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


def read_tensors(file: Path) -> State:
    """The tensors of a file by name; a pickle is read without running its code.

    Raises:
        InputError: damaged, or anything but tensors by name.
    """
    with input_errors(), explained(file):
        content: Any = load_file(file) if file.suffix == ".safetensors" else _read_pickle(file)
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    entries = content.items() if isinstance(content, dict) else ()
    state = {str(key): value for key, value in entries if isinstance(value, torch.Tensor)}
    if not state:
        raise InputError(f"{file} holds no weights by name")
    return state


def strip(state: State, *prefixes: str) -> State:
    """The state with prefixes taken off the names that have them, in this order.

    Example:
        >>> list(strip({"module.backbone.a": torch.zeros(1)}, "module.", "backbone."))
        ['a']
    """
    for prefix in prefixes:
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def fill(network: nn.Module, state: State, *, name: str, ignore: tuple[str, ...] = ()) -> None:
    """Put weights into a network; all of them, and each has a place.

    Args:
        network: takes the weights.
        state: by the network's own names.
        name: of the network, for messages.
        ignore: beginnings of names that are left out, such as a head's.

    Raises:
        InputError: missing, left over or misshapen weights, by name.
    """
    given = {key: value for key, value in state.items() if not key.startswith(ignore or ("\0",))}
    wanted = network.state_dict()
    missing = [key for key in wanted.keys() - given.keys() if not key.endswith("num_batches_tracked")]
    if missing:
        raise InputError(f"{name}: the file lacks the weights {few(missing)}")
    if extra := given.keys() - wanted.keys():
        raise InputError(f"{name}: the file has weights that the network has no place for: {few(extra)}")
    for key, value in given.items():
        if value.shape != wanted[key].shape:
            raise InputError(f"{name}: {key} is {tuple(value.shape)} in the file and {tuple(wanted[key].shape)} here")
    network.load_state_dict(given, strict=False)


def _read_pickle(file: Path) -> object:
    return torch.load(file, map_location="cpu", weights_only=True)
