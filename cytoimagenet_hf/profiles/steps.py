"""The history of a table: every step is recorded in `about["steps"]`, and the steps make the profile's name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.features import FeatureTable

Mask = npt.NDArray[np.bool_]
By = str | Sequence[str] | None
"""Columns whose values together tell batches; None: all rows are one batch."""


def with_step(
    table: FeatureTable,
    step: dict[str, Any],
    *,
    ids: npt.NDArray[Any] | None = None,
    values: npt.NDArray[np.floating] | None = None,
    names: tuple[str, ...] | None = None,
    metadata: pd.DataFrame | None = None,
) -> FeatureTable:
    """The table with what changed, and the step added to its history.

    A step has JSON values: `step` is the verb, `name` its part of the profile's name. New features are stored in the
    precision of the old ones.
    """
    return FeatureTable(
        table.ids if ids is None else ids,
        table.values if values is None else values.astype(table.values.dtype),
        table.metadata if metadata is None else metadata.reset_index(drop=True),
        table.names if names is None else names,
        table.about | {"steps": [*table.about.get("steps", []), step]},
    )


def profile_name(table: FeatureTable) -> str:
    """The steps in one word: `wells_mean_madrobustize-controls_select_tvn`; `features` where nothing was done.

    Example:
        >>> from cytoimagenet_hf.tables.features import FeatureTable
        >>> steps = [{"step": "aggregate", "name": "wells_mean"}, {"step": "annotate"}, {"step": "tvn", "name": "tvn"}]
        >>> table = FeatureTable(np.array(["a"]), np.ones((1, 1)), pd.DataFrame(index=[0]), ("x",), {"steps": steps})
        >>> profile_name(table)
        'wells_mean_tvn'
    """
    return "_".join(step["name"] for step in table.about.get("steps", []) if step.get("name")) or "features"


def batches_of(table: FeatureTable, by: By) -> pd.Series:
    """(n,) the batch of every row as text: columns of the metadata together; one batch where `by` is None.

    Raises:
        InputError: no such column, or rows without a value.

    Example:
        >>> from cytoimagenet_hf.tables import make_table
        >>> facts = {"plate": ["p1", "p1"], "cell_line": ["U2OS", "A549"]}
        >>> batches_of(make_table(["a", "b"], [[1.0], [2.0]], facts), ("plate", "cell_line")).tolist()
        ['p1, U2OS', 'p1, A549']
    """
    columns = [by] if isinstance(by, str) else list(by or ())
    if not columns:
        return pd.Series("all", index=range(len(table)))
    for name in columns:
        if name not in table.metadata:
            raise InputError(
                f"no column {name!r} to tell batches by: the table has {', '.join(map(str, table.metadata)) or 'none'}"
            )
        empty = table.metadata[name].isna().to_numpy()
        if empty.any():
            raise InputError(f"{int(empty.sum())} rows have no {name}, such as {table.ids[empty][:3].tolist()}")
    if len(columns) == 1:
        return table.metadata[columns[0]].reset_index(drop=True).astype(str)
    rows = table.metadata[columns].astype(str).to_numpy().tolist()
    # A comma in a name is doubled, so that it is told from those between names.
    return pd.Series([", ".join(text.replace(",", ",,") for text in row) for row in rows], index=range(len(table)))


def reference_rows(table: FeatureTable, controls: Mask | None, by: By, *, least: int) -> dict[str, tuple[Mask, Mask]]:
    """Batch → (its rows, those of them that are the reference): all rows, or the controls.

    Raises:
        InputError: a mask of another length; a batch with fewer than `least` reference rows.
    """
    batches = batches_of(table, by)
    reference = np.ones(len(table), bool) if controls is None else np.asarray(controls, bool)
    if reference.shape != (len(table),):
        raise InputError(f"{reference.size} marks of controls for {len(table)} rows: one per row")
    rows_of = {batch: (batches == batch).to_numpy() for batch in dict.fromkeys(batches.tolist())}
    references = {batch: (rows, rows & reference) for batch, rows in rows_of.items()}
    poor = {batch: int(marked.sum()) for batch, (_, marked) in references.items() if marked.sum() < least}
    if poor:
        kind = "rows" if controls is None else "control wells"
        some = ", ".join(f"{batch} ({count})" for batch, count in list(poor.items())[:3])
        columns = [by] if isinstance(by, str) else list(by or ())
        named = "plates" if columns in ([], ["plate"]) else f"batches by {', '.join(columns)}"
        way = "aggregate less" if controls is None else "name controls of each, or normalise on all wells"
        raise InputError(f"{len(poor)} of {len(references)} {named} have fewer than {least} {kind}: {some}: {way}")
    return references


def constant_features(rows: npt.NDArray[np.float64]) -> Mask:
    """(d,) true for features that differ between the rows by no more than the rounding of float32."""
    return np.asarray(rows.std(axis=0) <= 1e-7 * np.abs(rows).max(axis=0))


def refuse_or_drop(table: FeatureTable, flat: Mask, drop: bool, why: str) -> tuple[FeatureTable, list[str]]:
    """The table without the features that `flat` (d,) marks, and their names.

    Raises:
        InputError: such features where the caller did not ask to `drop` them, named with `why`; or nothing is left.
    """
    names = [name for name, bad in zip(table.names, flat, strict=True) if bad]
    if not names:
        return table, []
    if not drop or flat.all():
        what = "all" if flat.all() else f"{len(names)} of {len(flat)}"
        way = "" if flat.all() else "; leave them out with drop_constant (--drop-constant)"
        raise InputError(f"{what} features {why}, such as {', '.join(names[:3])}{way}")
    kept = tuple(name for name in table.names if name not in set(names))
    return FeatureTable(table.ids, table.values[:, ~flat], table.metadata, kept, table.about), names
