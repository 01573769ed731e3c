"""Where a run stands: the typed content of a checkpoint's `state.json`, checked when it is read."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from cytoimagenet_hf.core.settings import check_fields, plain, setting

_REQUIRED: Any = dataclasses.MISSING


@dataclass(kw_only=True)
class RunState:
    """What a run is and how far it came; every field must stand in the file.

    Attributes:
        config: of the run.
        fingerprint: of its data.
        versions: of Python and the libraries that decide the numbers.
        processes: how many trained.
        classes: names by code.
        legs: epochs at which each leg of the schedule ends; more than one where the run was extended.
        epoch: the epoch under way, from 0.
        step: optimiser steps made in it.
        global_step: optimiser steps made in all.
        history: one record per epoch.
        best_step: step of the best evaluation, if there was one.
        best_score: its score, larger is better.
        best_metrics: all of its metrics.
        metrics: of the newest evaluation.
        meter: sums of the epoch under way.
        scaler: of the losses in fp16.
        optimizer: what of the optimiser is no tensor.

    Raises:
        InputError: a value of another type, or a negative count.
    """

    config: dict[str, Any]
    fingerprint: str
    versions: dict[str, Any]
    processes: int = setting(_REQUIRED, low=1)
    classes: tuple[str, ...]
    legs: tuple[int, ...] = setting(_REQUIRED, low=1)
    epoch: int = setting(_REQUIRED, low=0)
    step: int = setting(_REQUIRED, low=0)
    global_step: int = setting(_REQUIRED, low=0)
    history: tuple[dict[str, Any], ...]
    best_step: int | None = setting(_REQUIRED, low=0)
    best_score: float | None
    best_metrics: dict[str, Any] | None
    metrics: dict[str, Any] | None
    meter: dict[str, Any] | None
    scaler: dict[str, Any] | None
    optimizer: dict[str, Any]

    def __post_init__(self) -> None:
        check_fields(self, name="state.json")

    def to_dict(self) -> dict[str, Any]:
        """The values of `state.json`; `settings.build` reads them back."""
        return plain(self)


def fresh_state(
    *,
    config: dict[str, Any],
    fingerprint: str,
    versions: dict[str, str],
    processes: int,
    classes: tuple[str, ...],
    epochs: int,
) -> RunState:
    """The state before the first step.

    Example:
        >>> state = fresh_state(
        ...     config={}, fingerprint="a", versions={}, processes=1, classes=("actin",), epochs=24
        ... )
        >>> state.legs, state.global_step
        ((24,), 0)
    """
    return RunState(
        config=config,
        fingerprint=fingerprint,
        versions=versions,
        processes=processes,
        classes=classes,
        legs=(epochs,),
        epoch=0,
        step=0,
        global_step=0,
        history=(),
        best_step=None,
        best_score=None,
        best_metrics=None,
        metrics=None,
        meter=None,
        scaler=None,
        optimizer={},
    )
