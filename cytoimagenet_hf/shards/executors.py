"""Run tasks anywhere: here, on local processes, one process a device, on a Dask cluster, on any other executor.

Results come in the order in which they end. A worker that dies costs the time of its task: the task runs again.
"""

import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from itertools import islice
from typing import TypeVar

from cytoimagenet_hf.core.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")

DASK_TIMEOUT = "10s"
"""How long a scheduler may take to answer."""

# A task that kills its worker three times running (memory, a crashing decoder) will do so again.
_MOST_DEATHS = 3


def run_tasks(
    function: Callable[..., Result],
    tasks: Sequence[Task],
    *,
    workers: int | None = None,
    dask: str | None = None,
    executor: concurrent.futures.Executor | None = None,
    devices: Sequence[str] = (),
    at_work: Callable[[Task], str | None] | None = None,
) -> Iterator[Result]:
    """Apply a function to tasks, which must pickle; options as of `engine.run_shards`.

    Yields:
        Results, as they come.

    Raises:
        InputError: a wrong number of workers, no Dask cluster at the address, or workers that keep dying.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}: give at least 1, or leave it out for all cores")
    if not tasks:
        return
    if dask is not None:
        yield from _on_dask(function, tasks, dask)
    elif devices:
        yield from _on_devices(function, tasks, devices)
    elif executor is not None:
        yield from _as_completed(executor, function, tasks)
    elif (workers or os.cpu_count() or 1) == 1:
        yield from map(function, tasks)
    else:
        yield from _on_processes(function, tasks, min(workers or os.cpu_count() or 1, len(tasks)), at_work)


def _as_completed(
    executor: concurrent.futures.Executor, function: Callable[[Task], Result], tasks: Sequence[Task]
) -> Iterator[Result]:
    futures = [executor.submit(function, task) for task in tasks]
    try:
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def _on_processes(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    at_work: Callable[[Task], str | None] | None,
) -> Iterator[Result]:
    # Spawned, not forked: a fork would hold the lock on the output folder after the parent is gone.
    context = multiprocessing.get_context("spawn")
    left = dict(enumerate(tasks))
    deaths = 0
    suspects: list[set[str]] = []
    while left:
        with concurrent.futures.ProcessPoolExecutor(workers, context, initializer=_end_with_parent) as pool:
            numbers = {pool.submit(function, task): number for number, task in left.items()}
            try:
                for future in concurrent.futures.as_completed(numbers):
                    result = future.result()
                    del left[numbers[future]]
                    deaths = 0
                    suspects = []
                    yield result
            except BrokenProcessPool as error:
                deaths += 1
                suspects.append({words for task in left.values() if at_work and (words := at_work(task))})
                if deaths == _MOST_DEATHS:
                    raise InputError(
                        f"worker processes died {deaths} times without finishing a task{_blamed(suspects)}: give "
                        "fewer --workers if memory is short, or a smaller max_pixels; guard the call of a script with "
                        '`if __name__ == "__main__":`'
                    ) from error
            finally:
                for future in numbers:
                    future.cancel()


def _blamed(suspects: Sequence[set[str]]) -> str:
    """What the workers were at: what was there at every death, if there is such a thing, or all of it."""
    named = set.intersection(*suspects) or set.union(*suspects)
    return f", at {'; '.join(sorted(named))}" if named else ""


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for tasks for ever."""
    threading.Thread(target=_exit_after, args=(multiprocessing.parent_process(),), daemon=True).start()


def _exit_after(parent: multiprocessing.process.BaseProcess | None) -> None:
    if parent is not None:
        parent.join()
        os._exit(1)


def _on_dask(function: Callable[[Task], Result], tasks: Sequence[Task], address: str) -> Iterator[Result]:
    try:
        from dask.distributed import Client, as_completed
    except ImportError:
        raise InputError("--dask needs the package distributed: pip install 'cytoimagenet-hf[dask]'") from None
    try:
        client = Client(address, timeout=DASK_TIMEOUT)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        # Impure: a task of an earlier run must not answer for this one.
        futures = client.map(function, list(tasks), pure=False, retries=_MOST_DEATHS)
        for _, result in as_completed(futures, with_results=True):
            yield result


def _on_devices(
    function: Callable[[Task, str], Result], tasks: Sequence[Task], devices: Sequence[str]
) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    waiting = iter(tasks)
    with ExitStack() as stack:
        pools = [stack.enter_context(concurrent.futures.ProcessPoolExecutor(1, context)) for _ in devices]
        running: dict[concurrent.futures.Future[Result], int] = {}

        def start_next(number: int) -> None:
            for task in islice(waiting, 1):
                running[pools[number].submit(function, task, devices[number])] = number

        for number in range(len(devices)):
            start_next(number)
        while running:
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                start_next(running.pop(future))
                yield future.result()
