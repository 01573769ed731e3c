"""What may be done to the features of a screen between the network and the score, in one run side by side.

Every step takes a table whose rows are images or wells with their plate, and the mark of its negative controls, and
gives a table; the arithmetic is that of `features.profiles`. It stands in place of the protocol's own scaler.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.profiles.profile import normalize, sphere, tvn
from cytoimagenet_hf.profiles.steps import Mask, with_step
from cytoimagenet_hf.tables import FeatureTable

from .base import Benchmark, column, ids_of

_EPSILON = 0.01  # of sphering: gentle, since a plate has fewer controls than networks have features
_COMPONENTS = 64  # MorphoHELM (arXiv 2605.15383)


def by_controls(table: FeatureTable, controls: Mask) -> FeatureTable:
    """Centre and scale each plate by its controls."""
    return normalize(table, controls=controls, drop_constant=True)


def sphered(table: FeatureTable, controls: Mask) -> FeatureTable:
    """Centre and scale each plate by its controls, then whiten by all controls in as many directions as they span."""
    scaled = by_controls(table, controls)
    return sphere(principal(scaled, controls), controls=controls, by=None, method="ZCA", epsilon=_EPSILON)


def varied(table: FeatureTable, controls: Mask) -> FeatureTable:
    """Typical variation normalisation, batches being plates."""
    return tvn(table, controls, drop_constant=True)


def reduced(table: FeatureTable, controls: Mask) -> FeatureTable:
    """Centre and scale each plate over all its rows, 64 principal components, then median and MAD of the controls."""
    scaled = normalize(table, drop_constant=True)
    components = principal(scaled, np.ones(len(scaled), bool), most=_COMPONENTS)
    return normalize(components, method="mad_robustize", controls=controls, drop_constant=True)


STEPS: dict[str, Callable[[FeatureTable, Mask], FeatureTable]] = {
    "controls": by_controls,
    "sphere": sphered,
    "tvn": varied,
    "pca": reduced,
}
"""Name → what is done; `none` is nothing, and leaves the protocol its scaler."""


def postprocessed(name: str, table: FeatureTable, items: Sequence[Image], benchmark: Benchmark) -> FeatureTable:
    """The features of a task's images after one of `STEPS`.

    Args:
        name: a key of `STEPS`, or `none`.
        table: features of at least these images.
        items: the images, with `plate`.
        benchmark: says which of them are controls.

    Raises:
        InputError: an unknown step, a task without controls, or too few controls on a plate.
    """
    if name == "none":
        return table
    if name not in STEPS:
        raise InputError(f"unknown post-processing {name!r}: choose none, {', '.join(STEPS)}")
    if benchmark.is_control is None:
        raise InputError(f"{benchmark.name} has no control wells, which post-processing by {name} starts from")
    own = table.rows(ids_of(items))
    plates = pd.DataFrame({"plate": column(items, "plate").astype(str)})
    controls = np.array([benchmark.is_control(item) for item in items], dtype=bool)
    return STEPS[name](FeatureTable(own.ids, own.values, plates, own.names, own.about), controls)


def principal(table: FeatureTable, marks: Mask, *, most: int | None = None) -> FeatureTable:
    """Principal components of the marked rows, at most one fewer than there are; all rows are projected.

    Args:
        table: features.
        marks: (n,) true for the rows that the components are of.
        most: components kept at most.
    """
    values = table.values.astype(np.float64)
    centred = values - values[marks].mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred[marks], full_matrices=False)
    kept = min(int((sizes > 1e-6 * sizes[0]).sum()), int(marks.sum()) - 1, most or len(sizes))
    if kept < 1:
        raise InputError("the rows that components are taken of do not vary: nothing is left")
    # Each axis with its largest part positive: the sign of an SVD depends on the machine.
    axes = axes[:kept] * np.sign(axes[np.arange(kept), np.abs(axes[:kept]).argmax(axis=1)])[:, None]
    step = {"step": "components", "name": f"pca{kept}", "components": kept, "rows": int(marks.sum())}
    names = tuple(f"Image_all_pca_{place:04d}" for place in range(kept))
    return with_step(table, step, values=centred @ axes.T, names=names)
