"""From what a caller wrote (`bbbc021`, `folder:PATH`, data folders) to benchmarks with their folders."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.images import parse_name
from cytoimagenet_hf.options.benchmark import DEFAULTS, TaskOptions

from . import BENCHMARKS
from .base import Benchmark
from .tasks.folder import configured


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
    wanting = [name for name in names if not name.startswith("folder:")]
    unknown = [name for name in wanting if name not in BENCHMARKS]
    if unknown:
        raise InputError(f"unknown task {unknown[0]!r}: choose {', '.join(BENCHMARKS)} or folder:PATH")
    if wanting and len(data) not in (1, len(wanting)):
        raise InputError(f"{len(wanting)} tasks need --data once each, or one folder that holds them; got {len(data)}")
    roots = iter(_roots(wanting, data))
    found = []
    for name in names:
        root = Path(name.partition(":")[2]) if name.startswith("folder:") else next(roots)
        own = name.partition(":")[0] == "folder"
        found.append((_folder(root, options) if own else _with_options(BENCHMARKS[name], options), root))
    return tuple(found)


def _roots(names: Sequence[str], data: Sequence[Path]) -> list[Path]:
    if len(data) == len(names) > 1:
        return list(data)
    # One folder: the task's own, or a parent of folders named after the tasks.
    return [data[0] / name if (data[0] / name).is_dir() else data[0] for name in names]


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
