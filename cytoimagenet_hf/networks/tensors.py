"""Tensors by name, from a file into a network: read without running code, put in place completely."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from cytoimagenet_hf.core.errors import InputError

from .checkpoints import explained, few

State = dict[str, torch.Tensor]
_NESTED = ("teacher", "state_dict", "model_state_dict", "model")


def read_tensors(file: Path) -> State:
    """The tensors of a file by name; a pickle is read without running its code.

    Raises:
        InputError: damaged, or anything but tensors by name.
    """
    with explained(file):
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
