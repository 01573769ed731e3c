"""Work done ahead by threads: images are read and prepared while the network runs on earlier ones."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cytoimagenet_hf.core.errors import InputError


def read_ahead(
    pairs: Iterable[tuple[str, Any]],
    work: Callable[[Any], Any],
    workers: int,
    *,
    depth: Callable[[], int] | None = None,
) -> Iterator[tuple[str, Any | InputError]]:
    """`work` on every pair's value in threads; errors of input are returned.

    Args:
        pairs: names and values, in order.
        work: on a value.
        workers: threads; 0: none.
        depth: how many items are begun before they are asked for, asked again at every item; by default two a thread.
    """

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
            while len(waiting) > (2 * workers if depth is None else depth()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
