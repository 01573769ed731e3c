"""What the metric modules share: labels in any form, and names (groups, compounds) that travel with them.

Labels are text or whole numbers, as many predictions as references; lists, NumPy arrays and torch tensors are one.
"""

import numbers
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import datasets
import evaluate
import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.arrays import as_array
from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.scoring.stats import Interval

_MISSING = ""  # in the store of `evaluate`, which has no missing text


class LabelledMetric(evaluate.Metric):
    """A metric of predictions and references with further columns, one name an item, which may be left out.

    Attributes:
        columns: their names. They are text: a name is an identity.
    """

    columns: tuple[str, ...] = ()
    features: Any
    selected_feature_format: Any
    writer: Any
    data: Any
    buf_writer: Any

    def describe(self, description: str, citation: str, inputs: str) -> evaluate.MetricInfo:
        """What `evaluate` shows of the metric, and keeps of each item: labels as numbers or text, and the columns."""
        columns = {name: datasets.Value("string") for name in self.columns}
        labels = [dict.fromkeys(("predictions", "references"), datasets.Value(kind)) for kind in ("int64", "string")]
        return evaluate.MetricInfo(
            description=description,
            citation=citation,
            inputs_description=inputs,
            features=[datasets.Features(of | columns) for of in labels],
        )

    def require_options(self, options: Mapping[str, Any]) -> None:
        """Refuse a keyword that no part of `compute` takes.

        Raises:
            InputError: which, and what there is.
        """
        functions = (type(self).compute, LabelledMetric.compute, self._compute)
        parameters = dict.fromkeys(name for function in functions for name in signature(function).parameters)
        known = [name for name in parameters if name not in ("self", "options")]
        if unknown := [name for name in options if name not in known]:
            raise InputError(f"no option {', '.join(unknown)}: there are {', '.join(known)}")

    def add_batch(self, *, predictions: Any = None, references: Any = None, **columns: Any) -> None:
        """Add predictions and references, and names of the columns; checked before they are stored."""
        super().add_batch(**self._checked(predictions, references, columns))

    def _infer_feature_from_batch(self, batch: Mapping[str, Sequence[Any]]) -> Any:
        """The store that fits a batch; `evaluate` alone would take the text "007" for the number 7."""
        of_numbers, of_text = self.features
        return of_text if isinstance(batch["references"][0], str) else of_numbers

    def add(self, *, prediction: Any = None, reference: Any = None, **names: Any) -> None:
        """Add one prediction and its reference, with its name in the columns, such as `groups="plate 1"`."""
        columns = {name: None if value is None else [value] for name, value in names.items()}
        self.add_batch(predictions=[prediction], references=[reference], **columns)

    def compute(self, *, predictions: Any = None, references: Any = None, **options: Any) -> dict[str, Any] | None:
        """The result for what was added, or for these predictions, references and columns."""
        columns = {name: as_list(options.pop(name, None)) for name in self.columns}
        predictions, references = as_list(predictions), as_list(references)
        if predictions is None and references is None and all(values is None for values in columns.values()):
            if self.writer is None:
                raise InputError("nothing to score: pass predictions and references, or add them first")
            batch: dict[str, Any] = {}
        else:  # passes through `add_batch`
            batch = {"predictions": predictions or [], "references": references or [], **columns}
        try:
            result: dict[str, Any] | None = super().compute(**batch, **options)
        except Exception:
            self._forget()
            raise
        return result

    def stored(self, name: str, values: Sequence[Any]) -> list[str] | None:
        """A column as it was given, None where nothing was; refused where only some batches had it."""
        given = [bool(value) for value in values]
        if not any(given):
            return None
        if not all(given):
            raise InputError(
                f"{name} of {given.count(False)} of {len(given)} items are missing: add them to every batch"
            )
        return [str(value) for value in values]

    def _checked(self, predictions: Any, references: Any, columns: dict[str, Any]) -> dict[str, list[Any]]:
        unknown = sorted(columns.keys() - set(self.columns))
        if unknown:
            raise InputError(
                f"no input {', '.join(unknown)}: there are predictions, references, {', '.join(self.columns)}"
            )
        predicted, truth = as_list(predictions), as_list(references)
        check_labels(predicted, truth)
        batch: dict[str, list[Any]] = {"predictions": predicted or [], "references": truth or []}
        for name in self.columns:
            values = as_list(columns.get(name))
            check_names(name, values, len(batch["references"]))
            batch[name] = [_MISSING] * len(batch["references"]) if values is None else list(map(str, values))
        if self.writer is not None and self._infer_feature_from_batch(batch) != self.selected_feature_format:
            raise InputError("labels are text in one batch and numbers in another: use one kind")
        return batch

    def _forget(self) -> None:
        """Drop what a refused call had stored, so that it is not counted with the next."""
        if self.writer is not None:
            self.writer.finalize()
        self.writer = self.data = self.buf_writer = None


def as_list(values: Any) -> list[Any] | None:
    """Values of a list, an array or a tensor, on any device, as plain ones.

    Example:
        >>> as_list(np.array([1, 2])), as_list(["er", np.int64(3)])
        ([1, 2], ['er', 3])
    """
    if values is None:
        return None
    if hasattr(values, "detach") or hasattr(values, "columns"):  # iterating over a table would give its columns' names
        values = as_array(values)
    if hasattr(values, "tolist"):
        plain = values.tolist()
        return plain if isinstance(plain, list) else [plain]
    return [value.item() if getattr(value, "ndim", None) == 0 else value for value in values]


def as_matrix(features: Any, count: int) -> npt.NDArray[np.floating]:
    """Finite features (n, d) of any kind as an array, of their own precision and not copied where they are one."""
    try:
        values = as_array(features)
        if values.dtype.kind != "f":
            values = values.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"features are no table of numbers: {one_line(error)}") from error
    if values.ndim != 2 or len(values) != count or not values.size:
        raise InputError(f"features of shape {values.shape} for {count} labels: one row of features for each")
    if odd := np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
        raise InputError(f"rows {odd[:5]} ({len(odd)} in all) of the features hold NaN or infinity: leave them out")
    return values


def ends(name: str, interval: Interval) -> dict[str, float]:
    """An interval as two numbers of a result.

    Example:
        >>> ends("wald", Interval(0.5, 0.75))
        {'wald_low': 0.5, 'wald_high': 0.75}
    """
    return {f"{name}_low": float(interval.low), f"{name}_high": float(interval.high)}


def check_labels(predictions: Sequence[Any] | None, references: Sequence[Any] | None) -> None:
    """Refuse what `evaluate` would cut or turn into text without a word: 1.5 became 1, nan a number."""
    if predictions is None or references is None or len(predictions) == 0 or len(references) == 0:
        raise InputError("nothing to score: pass predictions and references, at least one of each")
    if len(predictions) != len(references):
        raise InputError(f"{len(predictions)} predictions for {len(references)} references: one each, in one order")
    kinds = {_kind(name, values) for name, values in (("predictions", predictions), ("references", references))}
    if len(kinds) > 1:
        raise InputError("predictions and references are text on one side and numbers on the other: use one kind")


def check_names(name: str, values: Sequence[Any] | None, count: int) -> None:
    """Refuse names of groups or compounds that do not fit the labels."""
    if values is None:
        return
    if len(values) != count:
        raise InputError(f"{len(values)} {name} for {count} labels: one each, in one order")
    for place, value in enumerate(values):
        if pd.isna(value) is True or str(value) == _MISSING:  # of a list it is an array
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
