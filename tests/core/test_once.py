"""What several threads ask for at once is made once; failures are told and forgotten."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cytoimagenet_hf.core.once import Once


def test_threads_that_ask_at_once_share_one_result() -> None:
    kept: Once[object] = Once(2)
    made, everyone = [], threading.Barrier(4)

    def make() -> object:
        made.append(1)
        return object()

    def ask(_: int) -> object:
        everyone.wait(10)
        return kept.get("key", make)

    with ThreadPoolExecutor(4) as pool:
        results = set(pool.map(ask, range(4)))
    assert (len(results), len(made)) == (1, 1)


def test_a_failure_is_not_kept() -> None:
    kept: Once[int] = Once(2)
    with pytest.raises(ZeroDivisionError):
        kept.get("key", lambda: 1 // 0)
    assert kept.get("key", lambda: 7) == 7


def test_what_was_asked_for_last_stays() -> None:
    kept: Once[str] = Once(2)
    for key in ("a", "b", "a", "c"):
        kept.get(key, lambda key=key: f"first {key}")
    assert [kept.get(key, lambda: "again") for key in ("a", "c", "b")] == ["first a", "first c", "again"]
