"""Making shards: here, on processes, on devices, on Dask, or as part i of N beside other commands.

Every shard is made under its own lock, so any number of commands can work in one folder: a shard that another command
is making is skipped and checked again in the end. What a killed command left half-written is removed by the next one
that takes the shard. If two commands make the same shard anyway, their bytes are equal and the last rename wins.
"""

import concurrent.futures
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import held_folder, sweep_temporary, try_hold

from .executors import run_tasks
from .shard import LOCKS, Part, Shard, ShardT

Report = TypeVar("Report")

_CHECKERS = 8  # threads that hash shards: they wait for the disk


@dataclass(frozen=True)
class _Busy:
    """A shard that another process is making."""

    number: int


def finished_reports(shards: Sequence[Shard]) -> dict[int, Any]:
    """Number → report of the shards that are there, undamaged and made from the same inputs."""
    with concurrent.futures.ThreadPoolExecutor(_CHECKERS) as checkers:
        reports = checkers.map(lambda shard: shard.finished(), shards)
        return {shard.number: report for shard, report in zip(shards, reports, strict=True) if report is not None}


def run_shards(
    make: Callable[[ShardT], Report],
    shards: Sequence[ShardT],
    *,
    workers: int | None = None,
    dask: str | None = None,
    executor: concurrent.futures.Executor | None = None,
    devices: Sequence[str] = (),
    at_work: Callable[[ShardT], str | None] | None = None,
) -> Iterator[Report]:
    """Make shards, each once, on any executor.

    Args:
        make: writes one shard and returns its report; importable by name where it runs in another process. With
            `devices` it is called with the device as its second argument.
        shards: those to make.
        workers: local processes, all cores by default; 1 runs in this process.
        dask: address of a Dask scheduler instead, e.g. `tcp://host:8786`, whose workers must see the same files and
            import the same checkout.
        executor: any `concurrent.futures` executor instead.
        devices: such as `cuda:0` and `cuda:1`: one process each, and the next shard to whichever is free.
        at_work: what the worker of a shard was working on when it died, in words; None if it had not begun.

    Yields:
        Reports, as they come; of a shard that another command made in the meantime that of `Shard.finished`.

    Raises:
        InputError: as `run_tasks`; or the disk cannot lock files.
    """
    _sweep(shards)
    left: Sequence[ShardT] = shards
    for wait in (False, True):
        numbered = {shard.number: shard for shard in left}
        busy: list[ShardT] = []
        task = partial(_make_claimed, make, wait)
        for report in run_tasks(
            task, left, workers=workers, dask=dask, executor=executor, devices=devices, at_work=at_work
        ):
            if isinstance(report, _Busy):
                busy.append(numbered[report.number])
            else:
                yield report
        left = busy


def _make_claimed(make: Callable[..., Report], wait: bool, shard: Shard, *device: str) -> Report | _Busy:
    """Make a shard under its lock, unless another process is making it or has made it."""
    if not shard.path.parent.is_dir():
        raise InputError(f"{shard.path.parent} was removed while shards were made in it: run the same command again")
    shard.lock.parent.mkdir(exist_ok=True)
    with try_hold(shard.lock, wait=wait) as is_ours:
        if not is_ours:
            return _Busy(shard.number)
        report: Report | None = shard.finished()
        return make(shard, *device) if report is None else report


def _sweep(shards: Sequence[Shard]) -> None:
    """Remove half-written files of shards that nobody is making."""
    owners = {file.name: shard for shard in shards for file in shard.files}
    for folder in {shard.path.parent for shard in shards}:
        for leftover in folder.glob(".*.tmp"):
            # A temporary `.<name>.<unique>.tmp` was to become `<name>`: see `atomic_path`.
            owner = owners.get(leftover.name[1:].removesuffix(".tmp").rpartition(".")[0])
            if owner is None:
                continue
            owner.lock.parent.mkdir(exist_ok=True)
            with try_hold(owner.lock) as is_ours:
                if is_ours:
                    leftover.unlink(missing_ok=True)


@contextmanager
def planning(folder: Path, *plans: str) -> Iterator[None]:
    """Hold the plan of a folder of shards while it is read or written; other commands wait for it.

    Args:
        folder: of the shards.
        plans: names of the files that are written meanwhile; what a killed command left of them is removed.
    """
    with held_folder(folder / LOCKS, lock="plan.lock", begun=(), wait=True):
        for plan in plans:
            sweep_temporary(folder, plan)
        yield


@contextmanager
def without_locks_after(folder: Path, part: Part | None) -> Iterator[None]:
    """Work on all shards of a folder, and leave no locks there; what makes a part leaves them to the others."""
    try:
        yield
    finally:
        if part is None:
            shutil.rmtree(folder / LOCKS, ignore_errors=True)
