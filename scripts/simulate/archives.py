"""The simulated archive: raw downloads of several sources, in their own layouts, with things gone wrong in them."""

from collections.abc import Sequence
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.simulated import mark_simulated

from .layouts import LAYOUTS
from .plan import write_plan
from .sizes import size_named
from .ugly import Planted, plant


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
    wanted = tuple(LAYOUTS) if sources is None else tuple(sources)
    unknown = [name for name in wanted if name not in LAYOUTS]
    if unknown:
        raise InputError(f"no simulated layout for {', '.join(unknown)}: known are {', '.join(LAYOUTS)}")
    chosen = size_named(size)
    mark_simulated(root)
    plans = {name: LAYOUTS[name](chosen, seed) for name in wanted}
    for plan in plans.values():
        write_plan(Path(root), plan, seed=seed, workers=workers)
    return plant(Path(root), plans)
