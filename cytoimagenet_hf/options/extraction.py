"""How an extraction runs and what it writes: the options of `extract_to_folder`, `extract` and the benchmarks."""

from dataclasses import dataclass
from typing import Any, Literal

from cytoimagenet_hf.core.settings import check_fields, setting
from cytoimagenet_hf.shards.shard import Part, parse_part

_RUN = "How it runs"


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """Choices of an extraction beside the network's own; see the `help` of each field.

    A folder that was begun is continued with the backend that its record names. The result does not depend on
    `workers`, `dask`, `part`, nor on how many devices share the work.
    """

    backend: str = setting(
        "auto",
        "What runs the network: auto (on a CPU the fastest that is installed and agrees with torch), torch, openvino, "
        "onnxruntime, or compile (GPU).",
        metavar="auto|torch|openvino|onnxruntime|compile",
        group=_RUN,
    )
    device: str | None = setting(
        None, "cuda, cpu, …, or several as cuda:0,cuda:1; by default a GPU if there is one.", group=_RUN
    )
    dtype: Literal["float32", "bfloat16", "float16"] | None = setting(
        None,
        "float32 or bfloat16; by default bfloat16 on a GPU, float32 on a CPU.",
        metavar="float32|bfloat16",
        group=_RUN,
    )
    batch_size: int = setting(64, "Planes per step.", low=1, group=_RUN)
    workers: int = setting(2, "Threads that read ahead.", low=0, high=1024, group=_RUN)
    shard_size: int = setting(
        256, "Images per shard; a shard is redone when one of its images changes.", low=1, group=_RUN
    )
    storage: Literal["float32", "float16"] = setting(
        "float32", "Number type of the table on disk: float32 or float16.", group=_RUN
    )
    dask: str | None = setting(None, "Address of a Dask scheduler whose workers see the same files.", group=_RUN)
    part: Part | None = setting(
        None,
        "Make the i-th of N parts, beside other commands; a call without it completes the folder.",
        parse=lambda given: parse_part(given) if isinstance(given, str) else given,
        metavar="i/N",
        group=_RUN,
    )
    seed: int = setting(0, "Seed of the fields that a plate's percentiles are taken from.", group=_RUN)

    def __post_init__(self) -> None:
        check_fields(self, name="extraction")

    @property
    def devices(self) -> list[str]:
        """All devices that are named."""
        return [name.strip() for name in (self.device or "").split(",") if name.strip()]

    def record(self) -> dict[str, Any]:
        """What records name: all but where shards are made, and the seed, which stands beside it."""
        names = ("shard_size", "storage", "backend", "device", "dtype", "batch_size", "workers")
        return {name: getattr(self, name) for name in names} | {"device": next(iter(self.devices), None)}


DEFAULTS = Extraction()
