"""One process per device, shards to whichever is free: several GPUs of one machine on one folder."""

import multiprocessing
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_on_devices(
    function: Callable[[Task, str], Result], tasks: Sequence[Task], devices: Sequence[str]
) -> Iterator[Result]:
    """Apply a function to tasks, each with the device of the process it runs in.

    Args:
        function: importable by name; takes a task and a device.
        tasks: must pickle.
        devices: one process each.

    Yields:
        Results, as they come.
    """
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    with ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, context)) for _ in devices]
        running: dict[Future[Result], int] = {}
        for number in range(len(devices)):
            _start(function, waiting, pools, devices, number, running)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                number = running.pop(future)
                _start(function, waiting, pools, devices, number, running)
                yield future.result()


def _start(
    function: Callable[[Task, str], Result],
    waiting: "queue.SimpleQueue[Task]",
    pools: Sequence[ProcessPoolExecutor],
    devices: Sequence[str],
    number: int,
    running: "dict[Future[Result], int]",
) -> None:
    if not waiting.empty():
        running[pools[number].submit(function, waiting.get(), devices[number])] = number
