"""The three benchmark sets, simulated in their own layouts."""

from collections.abc import Sequence
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.simulated import mark_simulated

from .bbbc021 import bbbc021
from .plan import write_plan
from .single_cells import coos7, cyclops
from .sizes import size_named

BENCHMARK_LAYOUTS = {"bbbc021": bbbc021, "coos7": coos7, "cyclops": cyclops}


def simulate_benchmarks(
    root: str | Path, *, size: str = "tiny", seed: int, names: Sequence[str] | None = None, workers: int = 1
) -> None:
    """Write simulated benchmark sets below `root`, in `bbbc021/`, `coos7/` and `cyclops/`.

    Args:
        root: made when absent.
        size: a name of `SIZES`.
        seed: equal seeds give equal bytes, whatever the number of workers.
        names: some of the three sets; all when None.
        workers: processes. More than one needs the caller's script to guard its start with `__name__`.

    Raises:
        InputError: an unknown size or set.
    """
    wanted = tuple(BENCHMARK_LAYOUTS) if names is None else tuple(names)
    unknown = [name for name in wanted if name not in BENCHMARK_LAYOUTS]
    if unknown:
        raise InputError(f"no simulated benchmark {', '.join(unknown)}: known are {', '.join(BENCHMARK_LAYOUTS)}")
    chosen = size_named(size)
    mark_simulated(root)
    for name in wanted:
        write_plan(Path(root), BENCHMARK_LAYOUTS[name](chosen, seed), seed=seed, workers=workers)
