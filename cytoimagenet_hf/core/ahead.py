"""Work done ahead by threads: what comes next is read and prepared while earlier results are used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from .errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int = 1,
    depth: Callable[[], int] = lambda: 3,
) -> Iterator[Result]:
    """`function` of every item, in order, begun in threads before it is asked for.

    Args:
        function: called in a thread.
        items: drawn as they are begun.
        workers: threads.
        depth: how many items are begun ahead, asked again at every item.

    Example:
        >>> list(map_ahead(lambda number: number**2, range(4)))
        [0, 1, 4, 9]
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            while len(waiting) > depth():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


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
        depth: see `map_ahead`; by default two items a thread.
    """

    def attempt(pair: tuple[str, Any]) -> tuple[str, Any]:
        name, value = pair
        try:
            return name, work(value)
        except InputError as error:
            return name, error

    if not workers:
        return map(attempt, pairs)
    return map_ahead(attempt, pairs, workers=workers, depth=depth or (lambda: 2 * workers))
