"""Everything a run is made of, put together once: processes, data, network, optimiser, and where the run stands."""

import copy
import math
import os
import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import ProjectConfiguration
from torch import nn
from transformers import PreTrainedModel

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.versions import installed_versions

from . import checkpoint
from .augment import Augmentation
from .checkpoint import RunState
from .config import TrainConfig
from .data import Batch, RowSource, RowTable, count_steps, open_cache, require_two_classes
from .network import Preprocessing, build_network, check_model
from .own import is_own
from .stream import StreamSource
from .tables import load_tables
from .views import Learner, build_learner

_UNSUPPORTED = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "tensor and context parallelism",
}
_PRECISIONS = ("no", "bf16", "fp16")
_DECIDE_NUMBERS = ("torch", "transformers", "accelerate", "datasets", "safetensors", "numpy")


@dataclass
class Run:
    """The parts of a run, on this process."""

    config: TrainConfig
    accelerator: Accelerator
    source: RowSource | StreamSource
    network: PreTrainedModel  # the bare module, whose weights are saved
    learner: Learner  # the network with what the objective needs beside it
    model: nn.Module  # the learner as DDP, autocast and torch.compile run it
    preprocessing: Preprocessing
    optimizer: Any  # accelerate's wrapper
    average: nn.Module | None
    state: RunState

    @property
    def evaluated(self) -> PreTrainedModel:
        """The weights that are evaluated and exported: the running average, where there is one."""
        return self.network if self.average is None else self.average

    @property
    def micro_batch(self) -> int:
        """Images of one forward pass on one process."""
        return self.config.batch_size // (self.config.passes * self.accelerator.num_processes)

    @property
    def augmentation(self) -> Augmentation:
        """What may be drawn; each of its fields is an option of the same name."""
        return Augmentation(**{spec.name: getattr(self.config, spec.name) for spec in fields(Augmentation)})

    @property
    def leg_ends(self) -> list[int]:
        """The optimiser step at which each leg of the schedule ends."""
        return [epochs * self.source.steps for epochs in self.state.legs]

    def training_inputs(self, epoch: int, start: int = 0) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Forward passes of an epoch from optimiser step `start` on: batches, and images float32 (V B, 3, S, S).

        V is 1, or 2 where views are compared: all first views, then all second ones.
        """
        config, accelerator, augmentation = self.config, self.accelerator, self.augmentation
        views = 1 if config.objective == "labels" else 2
        for index, batch in enumerate(self.source.training(epoch, start)):
            # Drawn for the whole step, then cut like its images: the same for any number of processes.
            step, part = start + index // config.passes, index % config.passes
            first = (part * accelerator.num_processes + accelerator.process_index) * self.micro_batch
            here = slice(first, first + self.micro_batch)
            images = []
            for view in range(views):
                drawn = augmentation.draw(config.batch_size, seed=config.seed, epoch=epoch, step=step, view=view)
                pixels = batch.pixels.to(accelerator.device, non_blocking=True)
                images.append(self.preprocessing(pixels, drawn[here][batch.slots]))
            yield batch, images[0] if views == 1 else torch.cat(images)


def prepare(config: TrainConfig, *, resume: bool) -> Run:
    """Put a run together, from the newest checkpoint when resuming; what cannot be trained is refused."""
    config = as_launched(config, os.environ)
    path = _resumable(Path(config.output), resume)
    recorded = checkpoint.read_state(path) if path else None
    _check_trackers(config.trackers)
    check_model(config)
    accelerator = _accelerator(config)
    # Every step has the same shapes, so the fastest convolution kernels are worth a trial.
    torch.backends.cudnn.benchmark = accelerator.device.type == "cuda"
    if remark := missing_processes(os.environ):
        accelerator.print(remark, file=sys.stderr)
    source = _open_source(config, accelerator)
    network, preprocessing = build_network(config, source.classes)
    if config.sync_batch_norm:
        if accelerator.device.type != "cuda":
            raise InputError("sync_batch_norm works on CUDA GPUs only: leave it out on this machine")
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    network = network.to(accelerator.device)
    learner = build_learner(network, config).to(accelerator.device)
    optimizer = build_optimizer(learner, config)
    average = build_average(network, config.ema)
    state = RunState(
        config=config.to_dict(),
        fingerprint=source.fingerprint,
        versions=installed_versions(_DECIDE_NUMBERS),
        processes=accelerator.num_processes,
        classes=source.classes,
        legs=(config.epochs,),
    )
    if path and recorded:
        for remark in checkpoint.compare(recorded, state, config, path):
            accelerator.print(f"resuming under other conditions, the last bits may differ: {remark}")
        state = checkpoint.go_on(recorded, state)
        checkpoint.load_weights(path, network)
        if learner.projector is not None:
            checkpoint.load_weights(path, learner.projector, "projector")
        checkpoint.load_optimizer(path, optimizer)
        if average is not None:
            checkpoint.load_weights(path, average, "average")
        accelerator.print(f"resuming from {path}: epoch {state.epoch + 1}, step {state.step}")
    model = torch.compile(learner) if config.compile else learner
    model, optimizer = accelerator.prepare(model, optimizer)
    if accelerator.scaler is not None and recorded and recorded.scaler:
        accelerator.scaler.load_state_dict(recorded.scaler)
    return Run(config, accelerator, source, network, learner, model, preprocessing, optimizer, average, state)


def _resumable(output: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from; without `resume` there must be none."""
    path = checkpoint.newest(output / "checkpoints")
    if path and not resume:
        raise InputError(f"{output} holds a run already ({path.name}): pass --resume or choose another --output")
    return path


def _check_trackers(names: tuple[str, ...]) -> None:
    """Refuse trackers that accelerate does not know, and those it would silently leave out."""
    trackers = {str(name) for name in LOGGER_TYPE_TO_CLASS}
    installed = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in trackers:
            raise InputError(f"trackers: there is no {name!r}; choose of {', '.join(sorted(trackers))}")
        if name not in installed:
            raise InputError(f"trackers: {name} is not installed: pip install {name}, or leave it out of --trackers")


def _accelerator(config: TrainConfig) -> Accelerator:
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    return Accelerator(
        cpu=not gpu,  # without it, several processes on a machine without a GPU silently become one
        mixed_precision=config.precision,
        log_with=list(config.trackers) or None,
        project_config=ProjectConfiguration(project_dir=config.output, logging_dir=f"{config.output}/logs"),
        # Batch-norm statistics of the first process are the ones evaluated and saved, so they need not be sent around
        # before each forward pass.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )


def _check_rows(train: RowTable, config: TrainConfig, accelerator: Accelerator) -> None:
    """Refuse training rows that cannot fill a step or that there is nothing to tell apart in."""
    count_steps(
        len(train), batch_size=config.batch_size, accumulate=config.passes, processes=accelerator.num_processes
    )
    if config.objective != "views":
        require_two_classes([train.classes[label] for label in np.unique(train.labels)], train.where)


def _open_source(config: TrainConfig, accelerator: Accelerator) -> RowSource | StreamSource:
    place = {"rank": accelerator.process_index, "processes": accelerator.num_processes}
    if config.streaming and not is_own(config.dataset):
        source = StreamSource(config, **place)
        accelerator.print(source.coverage, file=sys.stderr)
        return source
    with accelerator.local_main_process_first():  # one process per machine reads Parquet and writes the cache
        tables = load_tables(config)
        _check_rows(tables["train"], config, accelerator)  # before a cache is written
        if config.cache == "none":
            return RowSource(tables, config, caches=None, **place)
        folder = Path(config.cache_dir or f"{config.output}/cache")
        caches = {
            name: open_cache(
                table,
                name=name,
                size=config.image_size,
                folder=folder,
                workers=config.workers,
                skip=config.on_unreadable == "skip",
            )
            for name, table in tables.items()
        }
        if config.cache == "ram" and accelerator.is_local_main_process:
            caches = {name: cache.warm() for name, cache in caches.items()}
    if config.cache == "device":
        caches = {name: cache.to(accelerator.device) for name, cache in caches.items()}
    return RowSource(tables, config, caches=caches, **place)


def as_launched(config: TrainConfig, environment: Mapping[str, str]) -> TrainConfig:
    """The configuration with the precision and the accumulation that will run, and that are recorded.

    What the configuration leaves open (None) is the launcher's: `accelerate launch`, its configuration file, or
    torchrun, which say in the environment what they were asked for. What this loop cannot do is refused.
    """
    for variable, name in _UNSUPPORTED.items():
        if environment.get(variable, "false").lower() in ("true", "1", "yes"):
            raise InputError(
                f"{name} is asked for by the launcher, and this training copies the network to every process (DDP): "
                "launch with --multi_gpu, or choose another configuration of accelerate (--config_file)"
            )
    launched = environment.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    precision = config.precision
    if precision is None or (precision == "auto" and launched != "no"):
        precision = launched
    elif precision == "auto":
        precision = "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"
    if precision not in _PRECISIONS:
        raise InputError(f"mixed precision {precision} of the launcher: choose one of {', '.join(_PRECISIONS)}")
    if precision == "fp16" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise InputError("precision fp16 needs a GPU, and there is none here: bf16 and no work on a CPU")
    passes = config.accumulate
    if passes is None:
        given = environment.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1")
        if not given.isdecimal() or int(given) < 1:
            raise InputError(f"the launcher asks for {given!r} accumulation steps: give a whole number from 1 on")
        passes = int(given)
    return replace(config, precision=precision, accumulate=passes)


def missing_processes(environment: Mapping[str, str]) -> str | None:
    """What to say where the launcher was asked for several processes and started one; else None.

    `accelerate launch --cpu --num_processes 2` does so: it starts several processes for GPUs, or through MPI, alone.
    """
    if "MASTER_ADDR" not in environment or "WORLD_SIZE" in environment or "ACCELERATE_USE_CPU" not in environment:
        return None
    return (
        "accelerate launch was asked for several processes and has started one, as it does on a CPU without MPI: "
        "`torchrun --nproc_per_node 2 scripts/train.py …` runs two"
    )


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser; weight decay is for matrices and kernels only: decaying a norm's gain or a bias helps nothing."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # One kernel over all tensors: a quarter of the time of the default on CPU. Apple's GPUs came to it later.
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    arguments: dict[str, Any] = {"lr": config.learning_rate, "fused": fused}
    if config.optimizer == "adam":
        arguments["eps"] = 1e-7  # Keras' default, which the published training used
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, **arguments)


def learning_rate(config: TrainConfig, step: int, ends: Sequence[int]) -> float:
    """The rate of an optimiser step: linear warm-up, then constant or a cosine to zero; a pure function of the step.

    A run that was extended has several legs. The first is as it was planned, and each further one has a warm-up and a
    cosine of its own over the steps it adds: stretching the first would change the rate of steps already made.
    `ends` are the steps at which the legs end.
    """
    leg = bisect_right(ends, step, hi=len(ends) - 1)
    start = ends[leg - 1] if leg else 0
    step, total = step - start, ends[leg] - start
    warm = round(config.warmup * total)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    if config.schedule == "constant":
        return config.learning_rate
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def build_average(model: nn.Module, decay: float) -> nn.Module | None:
    """A copy of the model to hold the running average of its weights; None where `decay` is 0."""
    return copy.deepcopy(model).eval().requires_grad_(False) if decay else None


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, decay: float, step: int) -> None:
    """Move the average towards the weights after optimiser step `step`; buffers are copied.

    Early in a run the decay is (1 + step) / (10 + step), so that the first weights do not hold the average back.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)
    if buffers := list(average.buffers()):
        torch._foreach_copy_(buffers, list(model.buffers()))
