"""What may be done to the features of a screen between the network and the score, in one run side by side.

It stands in place of the protocol's own scaler; the arithmetic is that of `profiles`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.options.profile import EPSILON
from cytoimagenet_hf.profiles.profile import normalize, sphere, tvn
from cytoimagenet_hf.profiles.sphering import choose_epsilon
from cytoimagenet_hf.profiles.steps import Mask, with_step
from cytoimagenet_hf.tables import FeatureTable

from .base import Benchmark, column, ids_of

STEPS = ("controls", "sphere", "sphere-by-plate", "tvn", "pca")
"""What can be asked for; `none` is nothing, and leaves the protocol its scaler."""
_LITTLE = 1e-3  # of the former sphering, whose directions all vary
_COMPONENTS = 64  # MorphoHELM (arXiv 2605.15383)


def postprocessed(
    name: str,
    table: FeatureTable,
    items: Sequence[Image],
    benchmark: Benchmark,
    *,
    epsilon: float | None = None,
    unscored: Sequence[Image] = (),
) -> FeatureTable:
    """The features of a task's images after one of `STEPS`.

    Args:
        name: one of `STEPS`.
        table: features of at least these images.
        items: the images, with `plate`.
        benchmark: says which of them are controls.
        epsilon: of sphering; None: chosen on `unscored`, or the default where there are none.
        unscored: rows of the table on plates of which nothing is scored, with `plate` and `treatment`.
    """
    controls, wells = _controls(benchmark, items), _with_plates(table, items)
    if name == "sphere":  # each plate centred as far as its own controls tell it from others
        how = "by the caller"
        if epsilon is None:
            epsilon, how = _chosen_epsilon(table, unscored, benchmark)
        return sphere(wells, controls=controls, epsilon=epsilon, drop_constant=True, chosen=how)
    if name == "tvn":
        return tvn(wells, controls, drop_constant=True)
    if name == "pca":
        scaled = normalize(wells, drop_constant=True)
        components = principal(scaled, np.ones(len(scaled), bool), most=_COMPONENTS)
        return normalize(components, method="mad_robustize", controls=controls, drop_constant=True)
    scaled = normalize(wells, controls=controls, drop_constant=True)
    if name == "controls":
        return scaled
    # The former sphering: fully whitened in as many directions as all controls span. With few controls a plate it
    # loses much of what it should show.
    components = principal(scaled, controls)
    as_one = replace(components, metadata=components.metadata.drop(columns="plate"))  # centred as a whole
    return sphere(as_one, controls=controls, method="ZCA", epsilon=_LITTLE)


def _with_plates(table: FeatureTable, items: Sequence[Image]) -> FeatureTable:
    plates = pd.DataFrame({"plate": column(items, "plate").astype(str)})
    return replace(table.rows(ids_of(items)), metadata=plates)


def _controls(benchmark: Benchmark, items: Sequence[Image]) -> Mask:
    if benchmark.is_control is None:
        raise InputError(f"{benchmark.name} has no control wells, which post-processing starts from")
    return np.array([benchmark.is_control(item) for item in items], dtype=bool)


def _chosen_epsilon(table: FeatureTable, unscored: Sequence[Image], benchmark: Benchmark) -> tuple[float, str]:
    """The epsilon by replicate mAP on plates that are not scored, and how it came about."""
    if not unscored:
        return EPSILON, "default: there are no plates beside those that are scored"
    others, controls = _with_plates(table, unscored), _controls(benchmark, unscored)
    plates = others.metadata["plate"].to_numpy()
    try:
        epsilon, precision_of = choose_epsilon(others, controls, column(unscored, "treatment"), plates)
    except InputError as error:
        return EPSILON, f"default: the plates that are not scored do not tell ({error})"
    values = ", ".join(f"{name}: {value:.3f}" for name, value in precision_of.items())
    return epsilon, f"replicate mAP on {len(set(plates))} plates that are not scored ({values})"


def principal(table: FeatureTable, marks: Mask, *, most: int | None = None) -> FeatureTable:
    """At most `most` principal components of the marked rows, and one fewer than those; all rows are projected."""
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
