"""Simulated downloads in their own layouts: archives with things gone wrong in them, and the three benchmark sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.simulated import mark_simulated

from .bbbc021 import bbbc021
from .layouts import LAYOUTS, Layout
from .plan import Plan, write_plan
from .single_cells import coos7, cyclops
from .sizes import size_named
from .ugly import Planted, plant

BENCHMARK_LAYOUTS: dict[str, Layout] = {"bbbc021": bbbc021, "coos7": coos7, "cyclops": cyclops}


def simulate_archive(
    root: str | Path, *, size: str = "tiny", seed: int, sources: Sequence[str] | None = None, workers: int = 1
) -> Planted:
    """Write simulated raw archives below `root`, one folder per source.

    Args:
        root: the folder a build reads as `--raw`; made when absent. Files of an earlier run with the same size and
            seed are overwritten by equal bytes.
        size: a name of `SIZES`.
        seed: equal seeds give equal bytes, whatever the number of workers.
        sources: names of `LAYOUTS`; all when None.
        workers: processes. More than one needs the caller's script to guard its start with `__name__`.

    Returns:
        What was spoilt on purpose, so that a test can look for it.

    Raises:
        InputError: an unknown size or source.
    """
    return plant(Path(root), _write(Path(root), LAYOUTS, sources, size=size, seed=seed, workers=workers))


def simulate_benchmarks(
    root: str | Path, *, size: str = "tiny", seed: int, names: Sequence[str] | None = None, workers: int = 1
) -> None:
    """Write simulated benchmark sets below `root`, in `bbbc021/`, `coos7/` and `cyclops/`; arguments as above."""
    _write(Path(root), BENCHMARK_LAYOUTS, names, size=size, seed=seed, workers=workers)


def _write(
    root: Path,
    layouts: Mapping[str, Layout],
    names: Sequence[str] | None,
    *,
    size: str,
    seed: int,
    workers: int,
) -> dict[str, Plan]:
    """Write some layouts, all when `names` is None; name → what was written."""
    wanted = tuple(layouts) if names is None else tuple(names)
    unknown = [name for name in wanted if name not in layouts]
    if unknown:
        raise InputError(f"no simulated layout for {', '.join(unknown)}: known are {', '.join(layouts)}")
    chosen = size_named(size)
    mark_simulated(root)
    plans = {name: layouts[name](chosen, seed) for name in wanted}
    for plan in plans.values():
        write_plan(root, plan, seed=seed, workers=workers)
    return plans
