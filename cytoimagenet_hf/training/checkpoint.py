"""Checkpoints of a run: written atomically, read without pickle, refused where they belong to another run.

A checkpoint is a folder `step-########` with `model.safetensors`, `optimizer.safetensors`, `average.safetensors` (with
a running average only), `projector.safetensors` (where views are compared) and `state.json`: where the run stands, its
configuration, the fingerprint of its data and the versions it ran under. No generator states are kept: every draw is a
function of (seed, epoch, step).
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import atomic_folder, write_json
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.core.settings import build, check_fields, plain, setting

from .config import TrainConfig

_REQUIRED: Any = MISSING


@dataclass(kw_only=True)
class RunState:
    """What a run is and how far it came; by default before its first step. Every field must stand in the file."""

    config: dict[str, Any]
    fingerprint: str  # of the data
    versions: dict[str, Any]  # of Python and the libraries that decide the numbers
    processes: int = setting(_REQUIRED, low=1)
    classes: tuple[str, ...]
    legs: tuple[int, ...] = setting(_REQUIRED, low=1)  # epochs at which each leg of the schedule ends
    epoch: int = setting(0, low=0)  # under way
    step: int = setting(0, low=0)  # optimiser steps made in the epoch
    global_step: int = setting(0, low=0)
    history: tuple[dict[str, Any], ...] = ()
    best_step: int | None = setting(None, low=0)
    best_score: float | None = None  # larger is better
    best_metrics: dict[str, Any] | None = None
    metrics: dict[str, Any] | None = None  # of the newest evaluation
    meter: dict[str, Any] | None = None  # sums of the epoch under way
    scaler: dict[str, Any] | None = None  # of the losses in fp16
    optimizer: dict[str, Any] = setting({})  # what of its state is not a tensor

    def __post_init__(self) -> None:
        check_fields(self, name="state.json")


def save(
    folder: Path,
    state: RunState,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    projector: nn.Module | None = None,
    average: nn.Module | None = None,
) -> Path:
    """Write the checkpoint of `state.global_step` below `folder`; it appears whole or not at all."""
    target = folder / f"step-{state.global_step:08d}"
    with atomic_folder(target) as temporary:  # the same step, saved before a restart, is replaced
        tensors, groups = flatten_optimizer(optimizer.state_dict())
        _save_tensors(temporary / "model.safetensors", model.state_dict())
        _save_tensors(temporary / "optimizer.safetensors", tensors)
        for name, module in (("projector", projector), ("average", average)):
            if module is not None:
                _save_tensors(temporary / f"{name}.safetensors", module.state_dict())
        write_json(temporary / "state.json", plain(replace(state, optimizer=groups)))
    return target


def newest(folder: Path) -> Path | None:
    """The checkpoint with the highest step below `folder`, if any."""
    checkpoints = sorted(path for path in folder.glob("step-*") if (path / "state.json").is_file())
    return checkpoints[-1] if checkpoints else None


def prune(folder: Path, *, keep: int, best: int | None) -> None:
    """Remove all but the newest `keep` checkpoints and the one of step `best`."""
    checkpoints = sorted(folder.glob("step-*"))
    for path in checkpoints[:-keep]:
        if path.name != f"step-{best or 0:08d}":
            shutil.rmtree(path)


def read_state(path: Path) -> RunState:
    """The `state.json` of a checkpoint; all of its parts must be there and in range."""
    with _intact(path):
        content = read_json_file(path / "state.json")
        if not isinstance(content, dict):
            raise InputError("state.json is not a mapping")
        state = build(RunState, content, name="state.json")
        if missing := [spec.name for spec in fields(RunState) if spec.name not in content]:
            raise InputError(f"state.json lacks {', '.join(missing)}")
        return state


@contextlib.contextmanager
def _intact(path: Path) -> Iterator[None]:
    """Whatever goes wrong in reading a checkpoint becomes one message with the way out."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"checkpoint {path} is damaged or of an earlier version ({one_line(error)}): delete that folder to resume "
            "from the one before it, or to start again if it is the only one"
        ) from error


def compare(recorded: RunState, now: RunState, config: TrainConfig, path: Path) -> list[str]:
    """Refuse to go on from the checkpoint of another configuration or other data; more epochs extend a run.

    Returns remarks: versions or a number of processes that differ; results may then differ in the last bits.
    """
    if gone := [f"{name}: {value!r}" for name, value in recorded.config.items() if name not in config.to_dict()]:
        raise InputError(
            f"--resume: {path} is of an earlier version, which had further options ({'; '.join(gone)}): finish it by "
            "that version, or choose another --output"
        )
    lines = config.differences(recorded.config)
    if recorded.fingerprint != now.fingerprint:
        lines.append(f"data: fingerprint {recorded.fingerprint[:16]} → {now.fingerprint[:16]} ({config.dataset})")
    if lines:
        raise InputError(
            f"--resume: {path} belongs to another run (recorded → now): {'; '.join(lines)}. Give the recorded values "
            "(config.yaml of the run holds them) or choose another --output"
        )
    before = {**recorded.versions, "processes": recorded.processes}
    after = {**now.versions, "processes": now.processes}
    return [f"{name} {before.get(name)} → {value}" for name, value in after.items() if before.get(name) != value]


def go_on(recorded: RunState, now: RunState) -> RunState:
    """The run as it is now, at the place where a checkpoint left it; more epochs are a further leg of the schedule."""
    facts = {name: getattr(now, name) for name in ("config", "fingerprint", "versions", "processes", "classes")}
    longer = now.legs[-1] > recorded.legs[-1]
    return replace(recorded, **facts, legs=(*recorded.legs, now.legs[-1]) if longer else recorded.legs)


def load_weights(path: Path, model: nn.Module, name: str = "model") -> None:
    """Load `<name>.safetensors` of a checkpoint into a module of the same structure."""
    with _intact(path):
        model.load_state_dict(load_file(path / f"{name}.safetensors"))


def load_optimizer(path: Path, optimizer: torch.optim.Optimizer) -> None:
    """Load the optimiser's state, each tensor in the memory layout of its parameter."""
    with _intact(path):
        tensors = load_file(path / "optimizer.safetensors")
        state = read_state(path)
        if not tensors and state.global_step:
            raise InputError("optimizer.safetensors holds nothing, after steps were made")
        optimizer.load_state_dict(unflatten_optimizer(tensors, state.optimizer))
    # The updates of a parameter and its state go through different kernels where their layouts differ.
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter).copy_(value)


def flatten_optimizer(state: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimiser's state dict as tensors named `<parameter>.<slot>`, and the rest as JSON values."""
    tensors: dict[str, torch.Tensor] = {}
    scalars: dict[str, Any] = {}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                scalars[f"{index}.{name}"] = value
    return tensors, {"groups": state["param_groups"], "scalars": scalars}


def unflatten_optimizer(tensors: Mapping[str, torch.Tensor], rest: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten_optimizer`."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **rest["scalars"]}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": rest["groups"]}


def _save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())
