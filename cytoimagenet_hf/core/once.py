"""Results that several threads need at the same time: computed once, and kept for later requests."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """The last few results by key. A failure goes to those who wait for it and is not kept.

    Args:
        most: results that are kept.

    Example:
        >>> kept = Once(2)
        >>> [kept.get("a", lambda: number) for number in (1, 2)]
        [1, 1]
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Future[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result for a key, made by `make` if it is not here."""
        with self._lock:
            future = self._kept.get(key)
            if is_new := future is None:
                future = self._kept[key] = Future()
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
        if is_new:
            try:
                future.set_result(make())
            except BaseException as error:
                with self._lock:
                    self._kept.pop(key, None)
                future.set_exception(error)
        return future.result()
