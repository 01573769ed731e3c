"""Everything a run is made of, put together once: processes, data, network, optimiser, and where the run stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import ProjectConfiguration
from torch import nn
from transformers import PreTrainedModel

from cytoimagenet_hf.errors import InputError

from . import checkpoint
from .augment import Augmentation
from .cache import open_cache
from .config import TrainConfig
from .data import Batch, RowSource
from .network import Preprocessing, build_network, check_model
from .optim import build_average, build_optimizer
from .stream import StreamSource
from .tables import load_tables


@dataclass
class Run:
    """The parts of a run, on this process."""

    config: TrainConfig
    accelerator: Accelerator
    source: RowSource | StreamSource
    network: PreTrainedModel  # the bare module, whose weights are saved
    model: nn.Module  # the same as DDP, autocast and torch.compile run it
    preprocessing: Preprocessing
    optimizer: Any  # accelerate's wrapper
    average: nn.Module | None
    state: dict[str, Any]  # what `state.json` of a checkpoint holds

    @property
    def evaluated(self) -> PreTrainedModel:
        """The weights that are evaluated and exported: the running average, where there is one."""
        return self.network if self.average is None else self.average

    @property
    def micro_batch(self) -> int:
        """Images of one forward pass on one process."""
        return self.config.batch_size // (self.config.accumulate * self.accelerator.num_processes)

    def training_inputs(self, epoch: int, start: int = 0) -> Iterator[tuple[Batch, torch.Tensor]]:
        """Forward passes of an epoch from optimiser step `start` on: batches, and images float32 (B, 3, S, S)."""
        config, accelerator = self.config, self.accelerator
        augmentation = Augmentation(config.rotation, config.flip, config.scale_jitter)
        matrices = None
        for index, batch in enumerate(self.source.training(epoch, start)):
            if augmentation.active:
                # Drawn for the whole step, then own like its images: the same for any number of processes.
                step, part = start + index // config.accumulate, index % config.accumulate
                drawn = augmentation.matrices(config.batch_size, seed=config.seed, epoch=epoch, step=step)
                own = drawn.view(config.accumulate, accelerator.num_processes, self.micro_batch, 2, 3)
                matrices = own[part, accelerator.process_index][batch.slots]
                matrices = matrices.to(accelerator.device, non_blocking=True)
            pixels = batch.pixels.to(accelerator.device, non_blocking=True)
            yield batch, self.preprocessing(pixels, matrices)


def prepare(config: TrainConfig, *, resume: bool) -> Run:
    """Put a run together, from the newest checkpoint when resuming.

    Raises:
        InputError: unusable data or options, a folder that holds a run already, or a checkpoint of another run.
    """
    found = _resumable(Path(config.output), resume)
    recorded = checkpoint.read_state(found) if found else {}
    if found:
        checkpoint.check_state(recorded, found)
    _check_trackers(config.trackers)
    check_model(config)
    accelerator = _accelerator(config)
    # Every step has the same shapes, so the fastest convolution kernels are worth a trial.
    torch.backends.cudnn.benchmark = accelerator.device.type == "cuda"
    source = _open_source(config, accelerator)
    network, preprocessing = build_network(config, source.classes)
    if config.sync_batch_norm:
        if accelerator.device.type != "cuda":
            raise InputError("sync_batch_norm works on CUDA GPUs only: leave it out on this machine")
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    network = network.to(accelerator.device)
    optimizer = build_optimizer(network, config)
    average = build_average(network, config.ema)
    state = {
        "config": config.to_dict(),
        "fingerprint": source.fingerprint,
        "versions": checkpoint.versions(),
        "processes": accelerator.num_processes,
        "classes": list(source.classes),
        "epoch": 0,
        "step": 0,
        "global_step": 0,
        "history": [],
        "best": None,  # step, epoch, accuracy and metrics of the best evaluation
        "metrics": None,  # of the newest evaluation
        "meter": None,
    }
    if found:
        for remark in checkpoint.compare(recorded, state, config, found):
            accelerator.print(f"resuming under other conditions, the last bits may differ: {remark}")
        progress = ("epoch", "step", "global_step", "history", "best", "metrics", "meter")
        state |= {key: recorded[key] for key in progress}
        checkpoint.load_weights(found, network)
        checkpoint.load_optimizer(found, optimizer)
        if average is not None:
            checkpoint.load_weights(found, average, "average")
        accelerator.print(f"resuming from {found}: epoch {state['epoch'] + 1}, step {state['step']}")
    model = torch.compile(network) if config.compile else network
    model, optimizer = accelerator.prepare(model, optimizer)
    if accelerator.scaler is not None and found and recorded["scaler"]:
        accelerator.scaler.load_state_dict(recorded["scaler"])
    return Run(config, accelerator, source, network, model, preprocessing, optimizer, average, state)


def _resumable(output: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from; without `resume` there must be none."""
    found = checkpoint.newest(output / "checkpoints")
    if found and not resume:
        raise InputError(f"{output} holds a run already ({found.name}): pass --resume or choose another --output")
    return found


def _check_trackers(names: tuple[str, ...]) -> None:
    """Refuse trackers that accelerate does not know, and those it would silently leave out."""
    known = {str(name) for name in LOGGER_TYPE_TO_CLASS}
    available = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in known:
            raise InputError(f"trackers: there is no {name!r}; choose of {', '.join(sorted(known))}")
        if name not in available:
            raise InputError(f"trackers: {name} is not installed: pip install {name}, or leave it out of --trackers")


def _accelerator(config: TrainConfig) -> Accelerator:
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"
    return Accelerator(
        cpu=not gpu,  # without it, several processes on a machine without a GPU silently become one
        mixed_precision=precision,
        log_with=list(config.trackers) or None,
        project_config=ProjectConfiguration(project_dir=config.output, logging_dir=f"{config.output}/logs"),
        # Batch-norm statistics of the first process are the ones evaluated and saved, so they need not be sent around
        # before each forward pass.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )


def _open_source(config: TrainConfig, accelerator: Accelerator) -> RowSource | StreamSource:
    place = {"rank": accelerator.process_index, "processes": accelerator.num_processes}
    if config.streaming:
        return StreamSource(config, **place)
    with accelerator.local_main_process_first():  # one process per machine reads Parquet and writes the cache
        tables = load_tables(config)
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
