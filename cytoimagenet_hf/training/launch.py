"""What the launcher of a run decides: `accelerate launch`, its configuration file, or torchrun.

Precision and accumulation that the training configuration leaves open are the launcher's, and the configuration that
is recorded names them. What this loop cannot do is refused before anything is written.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from cytoimagenet_hf.core.errors import InputError

from .config import TrainConfig

_UNSUPPORTED = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "tensor and context parallelism",
}
_PRECISIONS = ("no", "bf16", "fp16")


def as_launched(config: TrainConfig, environment: Mapping[str, str]) -> TrainConfig:
    """The configuration with the precision and the accumulation that will run.

    Args:
        config: of the run; `precision` and `accumulate` are None where the launcher decides.
        environment: `os.environ`, in which accelerate's launcher says what it was asked for.

    Raises:
        InputError: the launcher asks for what this loop cannot do.

    Example:
        >>> config = as_launched(TrainConfig(), {"ACCELERATE_MIXED_PRECISION": "bf16"})
        >>> config.precision, config.accumulate
        ('bf16', 1)
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
