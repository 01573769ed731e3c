"""What may be done to the features of a screen between the network and the score, in one run side by side.

Every step takes a table whose rows are images or wells with their plate, and the mark of its negative controls, and
gives a table; the arithmetic is that of `profiles`. It stands in place of the protocol's own scaler.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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

_LITTLE = 1e-3  # of the former sphering, whose directions all vary
_COMPONENTS = 64  # MorphoHELM (arXiv 2605.15383)


@dataclass(frozen=True)
class Tuning:
    """What steps may be given beside the features they change.

    Attributes:
        epsilon: of sphering; None: chosen by replicate mAP on the plates of `others`, else `sphering.EPSILON`.
        others: profiles of plates of which nothing is scored.
        other_items: what is known of them: `plate`, `treatment`.
        other_controls: (n,) which of them are negative controls.
    """

    epsilon: float | None = None
    others: FeatureTable | None = None
    other_items: Sequence[Image] = ()
    other_controls: Mask | None = None


def by_controls(table: FeatureTable, controls: Mask, tuning: Tuning) -> FeatureTable:
    """Centre and scale each plate by its controls."""
    return normalize(table, controls=controls, drop_constant=True)


def sphered(table: FeatureTable, controls: Mask, tuning: Tuning) -> FeatureTable:
    """Scale by all controls, each plate centred as far as its own tell it from others, then whiten with an epsilon."""
    epsilon, chosen = tuning.epsilon, "by the caller"
    if epsilon is None:
        epsilon, chosen = _epsilon(tuning)
    return sphere(table, controls=controls, epsilon=epsilon, drop_constant=True, chosen=chosen)


def sphered_by_plate(table: FeatureTable, controls: Mask, tuning: Tuning) -> FeatureTable:
    """Centre and scale each plate by its own controls, then whiten fully in as many directions as all controls span.

    The former `sphere`; with few controls a plate it loses much of what it should show.
    """
    scaled = principal(by_controls(table, controls, tuning), controls)
    as_one = replace(scaled, metadata=scaled.metadata.drop(columns="plate"))  # centred as a whole
    return sphere(as_one, controls=controls, method="ZCA", epsilon=_LITTLE)


def varied(table: FeatureTable, controls: Mask, tuning: Tuning) -> FeatureTable:
    """Typical variation normalisation, batches being plates."""
    return tvn(table, controls, drop_constant=True)


def reduced(table: FeatureTable, controls: Mask, tuning: Tuning) -> FeatureTable:
    """Centre and scale each plate over all its rows, 64 principal components, then median and MAD of the controls."""
    scaled = normalize(table, drop_constant=True)
    components = principal(scaled, np.ones(len(scaled), bool), most=_COMPONENTS)
    return normalize(components, method="mad_robustize", controls=controls, drop_constant=True)


STEPS: dict[str, Callable[[FeatureTable, Mask, Tuning], FeatureTable]] = {
    "controls": by_controls,
    "sphere": sphered,
    "sphere-by-plate": sphered_by_plate,
    "tvn": varied,
    "pca": reduced,
}
"""Name → what is done; `none` is nothing, and leaves the protocol its scaler."""


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
        name: a key of `STEPS`, or `none`.
        table: features of at least these images.
        items: the images, with `plate`.
        benchmark: says which of them are controls.
        epsilon: of sphering; None: chosen on `unscored`, or the default where there are none.
        unscored: rows of the table on plates of which nothing is scored, with `plate` and `treatment`.
    """
    if name == "none":
        return table
    if name not in STEPS:
        raise InputError(f"unknown post-processing {name!r}: choose none, {', '.join(STEPS)}")
    if benchmark.is_control is None:
        raise InputError(f"{benchmark.name} has no control wells, which post-processing by {name} starts from")
    controls = np.array([benchmark.is_control(item) for item in items], dtype=bool)
    others = _with_plates(table.rows(ids_of(unscored)), unscored) if unscored else None
    marks = np.array([benchmark.is_control(item) for item in unscored], dtype=bool) if unscored else None
    tuning = Tuning(epsilon, others, unscored, marks)
    return STEPS[name](_with_plates(table.rows(ids_of(items)), items), controls, tuning)


def _with_plates(table: FeatureTable, items: Sequence[Image]) -> FeatureTable:
    return replace(table, metadata=pd.DataFrame({"plate": column(items, "plate").astype(str)}))


def _epsilon(tuning: Tuning) -> tuple[float, str]:
    """The epsilon by replicate mAP on plates that are not scored, and how it came about."""
    if tuning.others is None or tuning.other_controls is None:
        return EPSILON, "default: there are no plates beside those that are scored"
    plates = tuning.others.metadata["plate"].to_numpy()
    treatments = column(tuning.other_items, "treatment")
    try:
        epsilon, precision_of = choose_epsilon(tuning.others, tuning.other_controls, treatments, plates)
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
