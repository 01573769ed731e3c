"""The contamination ledger: what pretraining shares with a benchmark, as marks beside numbers (C1, docs/paper.md).

The facts are in `contamination.toml`. A mark does not say that a number is wrong; it says what it may owe to images of
the same laboratory, compounds or cells.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError

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
        model: what was asked for: `random:SEED`, a network of `cytoimagenet models` or its repository, a folder. The
            place where weights lie says nothing of them: of a folder, and of any other repository, only what it
            declares is known.
        declared: what the record beside the weights says (`training_sources` in `config.json`).

    Example:
        >>> training_sources("random:3"), training_sources("runs/imagenet/random:3") is None
        (frozenset(), True)
        >>> sorted(training_sources("recursionpharma/OpenPhenom"))
        ['morphohelm', 'rxrx3-core']
    """
    if declared is not None:
        return frozenset(declared)
    if Path(model).exists():
        return None
    if re.fullmatch(r"random:\d+", model):
        return frozenset()
    network = next((name for name, of in _ledger()["networks"].items() if model in of), None)
    return None if network is None else known_sources(network)


def known_sources(name: str) -> frozenset[str]:
    """The sources in a set of pretraining images that the ledger knows: `cytoimagenet`, `imagenet`, …

    Raises:
        InputError: it knows no such set.
    """
    training = _ledger()["training"]
    if name not in training:
        raise InputError(f"no pretraining images {name!r} are known: choose {', '.join(training)}")
    return frozenset(training[name])


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


def marks(shared: Iterable[Overlap]) -> str:
    """The marks of these overlaps, strongest first, each once.

    Example:
        >>> marks(overlaps("bbbc021", frozenset({"idr0016", "bbbc022", "bbbc014"})))
        'lc'
    """
    kinds = {overlap.kind for overlap in shared}
    return "".join(mark for kind, mark in MARKS.items() if kind in kinds)


@cache
def _ledger() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("contamination.toml").read_text(encoding="utf-8"))


@cache
def _entries() -> tuple[Overlap, ...]:
    return tuple(Overlap(**entry) for entry in _ledger()["overlap"])
