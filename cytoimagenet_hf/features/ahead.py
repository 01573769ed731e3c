"""Work done ahead by threads: images are read and prepared while the network runs on earlier ones."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cytoimagenet_hf.core.errors import InputError


def read_ahead(
    pairs: Iterable[tuple[str, Any]], work: Callable[[Any], Any], workers: int
) -> Iterator[tuple[str, Any | InputError]]:
    """`work` on every pair's value in threads, at most two items per thread ahead; errors of input are returned."""

    def attempt(pair: tuple[str, Any]) -> tuple[str, Any]:
        name, value = pair
        try:
            return name, work(value)
        except InputError as error:
            return name, error

    if not workers:
        yield from map(attempt, pairs)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Any] = deque()
        for pair in pairs:
            waiting.append(pool.submit(attempt, pair))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
