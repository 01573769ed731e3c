"""Transfer benchmarks of the paper and their statistics: where the files are, what is scored, how sure one can be."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.images import parse_name
from cytoimagenet_hf.options.benchmark import DEFAULTS, TaskOptions

from .base import Benchmark, Score
from .nsc import NscResult, nsc_accuracy
from .recipes import RECIPES, BenchmarkRecipe, load_recipe
from .retrieval import CPJUMP1, MORPHOHELM
from .tasks.bbbc021 import BBBC021
from .tasks.chammi import CHAMMI
from .tasks.coos7 import COOS7
from .tasks.cyclops import CYCLOPS
from .tasks.folder import FOLDER, configured
from .tasks.named_cells import CELLCOGNITION, HEP2, MITOCHECK
from .tasks.rxrx1 import RXRX1
from .tasks.rxrx3 import RXRX3

BENCHMARKS: dict[str, Benchmark] = {
    "bbbc021": BBBC021,
    "coos7": COOS7,
    "cyclops": CYCLOPS,
    "chammi": CHAMMI,
    "rxrx1": RXRX1,
    "rxrx3-core": RXRX3,
    "morphohelm": MORPHOHELM,
    "cpjump1": CPJUMP1,
    "mitocheck": MITOCHECK,
    "hep2": HEP2,
    "cellcognition": CELLCOGNITION,
    "folder": FOLDER,
}

__all__ = [
    "BENCHMARKS",
    "RECIPES",
    "Benchmark",
    "BenchmarkRecipe",
    "NscResult",
    "Score",
    "find_tasks",
    "load_recipe",
    "nsc_accuracy",
]


def find_tasks(
    names: Sequence[str], data: Sequence[Path], options: TaskOptions = DEFAULTS
) -> tuple[tuple[Benchmark, Path], ...]:
    """Pair every task with its folder.

    Args:
        names: keys of `BENCHMARKS`; `folder`, or `folder:PATH` without a folder of `data`.
        data: one folder per task that needs one, in order; or a single one: the task's own, or one that holds a folder
            named after each task.
        options: for the benchmarks that know them.

    Raises:
        InputError: an unknown task, or another number of folders than tasks.
    """
    wanting = [name for name in names if not name.startswith("folder:") or name == "folder:"]
    unknown = [name for name in wanting if name not in BENCHMARKS]
    if unknown:
        raise InputError(f"unknown task {unknown[0]!r}: choose {', '.join(BENCHMARKS)} or folder:PATH")
    if wanting and len(data) not in (1, len(wanting)):
        raise InputError(f"{len(wanting)} tasks need --data once each, or one folder that holds them; got {len(data)}")
    if len(data) == len(wanting) > 1:
        roots = iter(data)
    else:  # one folder: the task's own, or a parent of folders named after the tasks
        roots = iter([data[0] / name if (data[0] / name).is_dir() else data[0] for name in wanting])
    tasks = []
    for name in names:
        root = Path(name.partition(":")[2]) if name.startswith("folder:") else next(roots)
        is_folder = name.partition(":")[0] == "folder"
        tasks.append((_folder(root, options) if is_folder else _with_options(BENCHMARKS[name], options), root))
    return tuple(tasks)


def _folder(root: Path, options: TaskOptions) -> Benchmark:
    is_name = str(root).startswith("hf:")
    name = f"folder:{parse_name(str(root)).path.rstrip('/').rpartition('/')[2] if is_name else root.resolve().name}"
    return configured(channels=options.channels, group=options.group, k=options.k, name=name, columns=options.columns)


def _with_options(benchmark: Benchmark, options: TaskOptions) -> Benchmark:
    if benchmark.name == "cyclops" and options.group is not None:
        return replace(benchmark, load=partial(benchmark.load, group=options.group))
    if benchmark.name == "coos7":
        keys = {"image_key": options.image_key, "label_key": options.label_key}
        return replace(benchmark, load=partial(benchmark.load, **keys))
    return benchmark
