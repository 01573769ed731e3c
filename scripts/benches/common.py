"""What benchmarks share: timing side by side, memory of a child process, the machine, the table and the JSON."""

import json
import multiprocessing
import os
import platform
import resource
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.table import Table

from cytoimagenet_hf.core.files import json_text, write_text
from cytoimagenet_hf.core.terminal import Terminal
from cytoimagenet_hf.core.versions import installed_versions

Result = TypeVar("Result")
_LINE = 400  # characters: a row of a table with its nested numbers
_VERSIONED = ("numpy", "pandas", "pyarrow", "pillow", "opencv-python-headless", "torch", "datasets", "transformers")


def side_by_side(functions: Mapping[str, Callable[[], Any]], *, repeat: int = 3) -> dict[str, float]:
    """Median seconds of each function; see `rounds`."""
    return {name: statistics.median(times) for name, times in rounds(functions, repeat=repeat).items()}


def rounds(
    functions: Mapping[str, Callable[[], Any]], *, repeat: int = 3, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each function in every round; by `time.process_time` those of the processor."""

    def timed(function: Callable[[], Any]) -> float:
        started = clock()
        function()
        return clock() - started

    return in_turn({name: partial(timed, function) for name, function in functions.items()}, repeat=repeat)


def in_turn(functions: Mapping[str, Callable[[], Result]], *, repeat: int) -> dict[str, list[Result]]:
    """What each function returns in every round.

    Rounds alternate (a, b, a, b, …), so that a machine that slows down, warms up or is busy treats all alike.
    """
    results: dict[str, list[Result]] = {name: [] for name in functions}
    for _ in range(repeat):
        for name, function in functions.items():
            results[name].append(function())
    return results


@dataclass(frozen=True)
class Child:
    """What a child process took: its own peak of resident memory, imports included."""

    seconds: float
    cpu_seconds: float  # of all threads: what stays the same when the machine is busy with other things
    peak_mb: float
    own_mb: float  # the peak without mapped files, sampled: the system takes their pages back when it needs them
    result: Any


def in_child(function: Callable[..., Any], *args: Any, **options: Any) -> Child:
    """Run a module-level function in a fresh process and measure it there.

    Seconds are those of the call alone; the peak counts everything, the interpreter and its imports too.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, function, args, options).result()


def _measured(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Child:
    done = threading.Event()
    with ThreadPoolExecutor(1) as watcher:
        memory = watcher.submit(_own_peak_mb, done)
        try:
            started, cpu_started = time.perf_counter(), time.process_time()
            result = function(*args, **options)
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        finally:
            done.set()
    return Child(seconds, cpu_seconds, peak_mb(), memory.result(), result)


def _own_peak_mb(done: threading.Event) -> float:
    """The most memory of this process that is not a mapped file, looked at twenty times a second until it is done."""
    most = 0.0
    while True:
        most = max(most, _status_mb("RssAnon"))
        if done.wait(0.05):
            return most


def peak_mb() -> float:
    """The peak of this process alone. On Linux the usual number starts from that of the process which started it."""
    if linux := _status_mb("VmHWM"):
        return linux
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)


def _status_mb(name: str) -> float:
    """A size that Linux states of this process; 0 elsewhere."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 2**10
    return 0.0


def machine() -> dict[str, Any]:
    """Processor, cores, memory and versions: what a number means nothing without."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.system(),
        "versions": installed_versions(_VERSIONED),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def show(result: Mapping[str, Any], *, title: str) -> None:
    """Print `result["table"]`, a list of rows with the same keys, and `result["notes"]`, a list of sentences."""
    rows = result["table"]
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    console = Terminal()
    console.print(table)
    for note in result.get("notes", ()):
        console.print(f"- {note}")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
    return str(value)


def write(result: Mapping[str, Any], path: Path) -> Path:
    """Write a result with the machine it was measured on."""
    write_rows(path, {**result, "machine": machine()})
    return path


def write_rows(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON atomically with sorted keys and one row of a table per line, so that a change shows as its rows."""
    plain = json.loads(json_text(content, sort_keys=True, plain_ascii=False))
    write_text(path, row_text(plain) + "\n")


def row_text(value: Any, indent: str = "") -> str:
    """JSON in which what fits a line, or holds no list and no object, is on one line.

    Example:
        >>> row_text({"notes": [], "table": [{"n": n, "what": 300 * "x"} for n in (1, 2)]}).count("\\n")
        6
    """
    line = json.dumps(value, ensure_ascii=False)
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if len(indent + line) <= _LINE or not any(isinstance(child, dict | list) for child in children):
        return line
    deeper = indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {row_text(child, deeper)}" for name, child in value.items()]
        opening, closing = "{}"
    else:
        parts = [row_text(child, deeper) for child in children]
        opening, closing = "[]"
    return opening + "\n" + ",\n".join(deeper + part for part in parts) + "\n" + indent + closing
