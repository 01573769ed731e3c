"""The contamination ledger: what pretraining shares with a benchmark, as marks beside numbers (C1, docs/paper.md).

The facts are in `contamination.toml`. A mark does not say that a number is wrong; it says what it may owe to images of
the same laboratory, compounds or cells.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

MARKS = {"source": "‡", "laboratory": "†", "strains": "s", "cell line": "l", "compounds": "c", "unknown": "?"}
"""Kind of overlap → mark in tables; `?` where a model's training sources are not known."""


@dataclass(frozen=True)
class Overlap:
    """One thing that a source and a benchmark share."""

    task: str
    source: str
    kind: str
    note: str


def training_sources(model: str, *, declared: Iterable[str] | None = None) -> frozenset[str] | None:
    """Sources a model was trained on, or None when unknown.

    Args:
        model: path or repository name.
        declared: what the model's own configuration says; it outweighs the name.

    Example:
        >>> training_sources("random:3"), training_sources("someone/unheard-of") is None
        (frozenset(), True)
    """
    if declared is not None:
        return frozenset(declared)
    found = [name for name in _ledger()["training"] if name in model.lower()]
    # Of "cytoimagenet" and "imagenet", the longer name is meant.
    return frozenset(_ledger()["training"][max(found, key=len)]) if found else None


def overlaps(task: str, sources: frozenset[str] | None) -> list[Overlap]:
    """What these sources share with a benchmark; one of kind `unknown` when they are not known.

    Example:
        >>> [overlap.kind for overlap in overlaps("coos7", frozenset({"idr0072", "bbbc013"}))]
        ['laboratory']
    """
    if sources is None:
        return [Overlap(task, "unknown", "unknown", "training sources not declared")]
    return [entry for entry in _entries() if entry.task == task and entry.source in sources]


def tasks() -> list[str]:
    """Benchmarks the ledger knows, by name."""
    return sorted({entry.task for entry in _entries()})


def marks(found: Iterable[Overlap]) -> str:
    """The marks of these overlaps, strongest first, each once.

    Example:
        >>> marks(overlaps("bbbc021", frozenset({"idr0016", "bbbc022", "bbbc014"})))
        'lc'
    """
    kinds = {overlap.kind for overlap in found}
    return "".join(mark for kind, mark in MARKS.items() if kind in kinds)


@cache
def _ledger() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("contamination.toml").read_text(encoding="utf-8"))


@cache
def _entries() -> tuple[Overlap, ...]:
    return tuple(Overlap(**entry) for entry in _ledger()["overlap"])
