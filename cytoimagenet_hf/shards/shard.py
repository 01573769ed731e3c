"""A shard, the unit of work, of retry and of resume; and a part of all shards, for launchers that start N commands."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cytoimagenet_hf.core.errors import InputError

LOCKS = "_locks"
"""Folder beside the shards with a lock for each that is being made; `engine.without_locks_after` removes it."""

_MOST_PARTS = 1_000_000


@dataclass(frozen=True)
class Shard(ABC):
    """One shard to make. Stages add what their workers need; it can be sent to another process.

    Attributes:
        number: its place among all shards, from 0.
        rows: input rows it is made from.
    """

    number: int
    rows: int

    @property
    @abstractmethod
    def path(self) -> Path:
        """Where its file lies when it is done."""

    @property
    @abstractmethod
    def record(self) -> Path:
        """Where its record lies: written last, so that a shard without one counts as not made."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that belong to it."""
        return (self.path, self.record)

    @property
    def lock(self) -> Path:
        """The lock that is held while it is made."""
        return self.path.parent / LOCKS / f"{self.path.stem}.lock"

    @abstractmethod
    def finished(self) -> Any:
        """What making it would return, if it is there, undamaged and made from the same inputs; else None."""


ShardT = TypeVar("ShardT", bound=Shard)


@dataclass(frozen=True)
class Part:
    """Part `number` of `count` of all shards, from 1: what one of N commands makes.

    Example:
        >>> Part(2, 3), str(Part(2, 3))
        (Part(number=2, count=3), '2/3')
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= _MOST_PARTS:
            raise InputError(f"part {self}: write i/N with i from 1 to N, such as --part 3/64")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, shards: Sequence[ShardT]) -> list[ShardT]:
        """The shards of this part: every N-th, so that parts are of equal size."""
        return [shard for shard in shards if shard.number % self.count == self.number - 1]


def parse_part(text: str) -> Part:
    """The part that an option names.

    Args:
        text: `i/N`.

    Raises:
        InputError: anything else, or i outside 1 to N.

    Example:
        >>> parse_part("3/64")
        Part(number=3, count=64)
    """
    match = re.fullmatch(r"\s*(\d{1,8})\s*/\s*(\d{1,8})\s*", text, re.ASCII)
    if match is None:
        raise InputError(f"part {text[:40]!r}: write i/N with i from 1 to N, such as --part 3/64")
    return Part(int(match[1]), int(match[2]))
