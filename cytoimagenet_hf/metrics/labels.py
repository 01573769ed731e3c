"""What the metric modules take as labels: text or whole numbers, as many predictions as references."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from cytoimagenet_hf.core.errors import InputError


def check_labels(predictions: Sequence[Any] | None, references: Sequence[Any] | None) -> None:
    """Refuse what `evaluate` would cut or turn into text without a word: 1.5 became 1, nan a number.

    Args:
        predictions: predicted labels.
        references: true labels, in the same order.

    Raises:
        InputError: nothing to score, lengths that differ, a label that is neither text nor a whole number, or text
            against numbers.

    Example:
        >>> check_labels(["er", "golgi"], ["er", "er"])
    """
    if predictions is None or references is None or len(predictions) == 0 or len(references) == 0:
        raise InputError("nothing to score: pass predictions and references, at least one of each")
    if len(predictions) != len(references):
        raise InputError(f"{len(predictions)} predictions for {len(references)} references: one each, in one order")
    kinds = {_kind(name, values) for name, values in (("predictions", predictions), ("references", references))}
    if len(kinds) > 1:
        raise InputError("predictions and references are text on one side and numbers on the other: use one kind")


def check_names(name: str, values: Sequence[Any] | None, count: int) -> None:
    """Refuse names of groups or compounds that do not fit the labels.

    Raises:
        InputError: another length than `count`, or a missing name.
    """
    if values is None:
        return
    if len(values) != count:
        raise InputError(f"{len(values)} {name} for {count} labels: one each, in one order")
    for place, value in enumerate(values):
        if value is None or value != value:  # nan is not itself
            raise InputError(f"{name}[{place}] is missing: leave out what has none, or name it")


def _kind(name: str, values: Sequence[Any]) -> str:
    kinds = set()
    for place, value in enumerate(values):
        if isinstance(value, str):
            kinds.add("text")
        elif isinstance(value, numbers.Integral | np.bool_):
            kinds.add("numbers")
        else:
            raise InputError(f"{name}[{place}] is {value!r}: labels are text or whole numbers")
    if len(kinds) > 1:
        raise InputError(f"{name} mix text and numbers: use one kind of label")
    return kinds.pop()
