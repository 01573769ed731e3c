"""Whitening: directions along which the reference wells vary by chance count less, so that others are seen.

Ljosa et al. 2013 and pycytominer whiten fully. With few controls that is harmful: the directions along which six wells
happen not to vary are blown up to the size of the signal, and scaling a plate by six wells adds their noise to all of
it. Here all reference wells together give the scale, plate means are shrunk towards the common one, and a direction of
deviation s is divided by s + epsilon. Whitening plate by plate remains (`by`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.profile import EPSILON
from cytoimagenet_hf.scoring.precision import replicate_precision
from cytoimagenet_hf.tables.features import FeatureTable

from .shrinkage import standardise_by_shrunk_controls
from .steps import By, Mask, batches_of, constant_features, reference_rows, refuse_or_drop, with_step

CANDIDATES = (0.1, 0.3, 1.0, 3.0, 10.0)
METHODS = ("ZCA-cor", "ZCA")
_AMPLIFY = 1e4  # the least direction may be stretched this much more than the largest before only rounding shows
_LEAST = 3

Matrix = npt.NDArray[np.float64]


def sphere(
    table: FeatureTable,
    *,
    controls: Mask | None = None,
    by: By = None,
    method: str = "ZCA-cor",
    epsilon: float = EPSILON,
    drop_constant: bool = False,
    chosen: str = "",
) -> FeatureTable:
    """Whiten the features on the reference wells: with epsilon 0 they no longer correlate there.

    Args:
        table: profiles.
        controls: (n,) true for the reference wells; None: all wells.
        by: columns of batches that are centred, scaled and whitened apart, each by its own reference wells. None: all
            reference wells together give scale and directions; where plates are known, each is centred on its own
            reference wells as far as these tell it from the others (`shrinkage`).
        method: `"ZCA-cor"` scales features to equal deviations first, `"ZCA"` only centres them. Both keep their
            names.
        epsilon: added to the deviation of each direction, in deviations of a feature: larger is gentler.
        drop_constant: leave out features that do not vary among the reference wells, instead of refusing them.
        chosen: how epsilon was chosen, for the record.

    Raises:
        InputError: another method; a negative epsilon; fewer than three reference wells; constant features; features
            that are combinations of others, where epsilon is too small to hold them.

    Example:
        >>> from cytoimagenet_hf.tables import make_table
        >>> wells = make_table(["a", "b", "c", "d"], [[1.0, 1], [-1, -1], [0.1, -0.1], [-0.1, 0.1]], names=["x", "y"])
        >>> np.corrcoef(sphere(wells, epsilon=0.0).values.T).round(6)[0, 1]
        np.float64(0.0)
    """
    if method not in METHODS:
        raise InputError(f"sphering {method!r}: choose {' or '.join(METHODS)}")
    if not (np.isfinite(epsilon) and epsilon >= 0):
        raise InputError(f"epsilon of sphering is {epsilon:g}: it is a number from 0 up; {EPSILON:g} is usual")
    batches = reference_rows(table, controls, by, least=_LEAST)
    flat = [constant_features(table.values[reference].astype(np.float64)) for _, reference in batches.values()]
    why = "do not vary among the reference wells of " + ("all plates" if by is None else "a plate")
    table, dropped = refuse_or_drop(table, np.any(flat, axis=0), drop_constant, why)
    values = np.empty(table.values.shape)
    for batch, (rows, reference) in batches.items():
        scaled = _scaled(table, rows, reference, method, shrink=by is None)
        values[rows] = _whitened(scaled, reference[rows], epsilon, batch)
    on = "all" if controls is None else "controls"
    step: dict[str, Any] = {
        "step": "sphere",
        "name": f"sphere-{on}",
        "method": method,
        "epsilon": epsilon,
        "on": on,
        "by": by,
        "reference_rows": int(sum(reference.sum() for _, reference in batches.values())),
        "dropped": dropped,
    }
    return with_step(table, step | ({"epsilon_chosen": chosen} if chosen else {}), values=values)


def choose_epsilon(
    table: FeatureTable, controls: Mask, treatments: npt.NDArray[Any], plates: npt.NDArray[Any]
) -> tuple[float, dict[str, float]]:
    """The epsilon with which replicates on other plates find each other best, of equal ones the first.

    Args:
        table: profiles; for an honest result not those that are scored afterwards.
        controls: (n,) negative controls.
        treatments: (n,) names.
        plates: (n,).

    Returns:
        The epsilon, and candidate → mean over treatments of replicate mean average precision.
    """
    precision_of: dict[str, float] = {}
    for epsilon in CANDIDATES:
        made = sphere(table, controls=controls, epsilon=epsilon, drop_constant=True)
        scores = replicate_precision(  # its null, and so its seed, is not looked at
            made.values, treatments=treatments, controls=controls, plates=plates, seed=0, null_size=1
        )
        precision_of[f"{epsilon:g}"] = float(scores["mean_average_precision"].mean())
    best = max(precision_of, key=lambda name: precision_of[name])
    return float(best), precision_of


def _scaled(table: FeatureTable, rows: Mask, reference: Mask, method: str, *, shrink: bool) -> Matrix:
    """Rows of a batch, centred (and scaled) on its reference rows."""
    x = table.values[rows].astype(np.float64)
    marks = reference[rows]
    if method == "ZCA-cor" and shrink and "plate" in table.metadata and table.metadata["plate"].nunique() > 1:
        plates = batches_of(table, "plate").to_numpy()[rows]
        return np.asarray(standardise_by_shrunk_controls(x, plates=plates, controls=marks), np.float64)
    scale = x[marks].std(axis=0, ddof=1) if method == "ZCA-cor" else 1.0
    return np.asarray((x - x[marks].mean(axis=0)) / scale)


def _whitened(x: Matrix, marks: Mask, epsilon: float, batch: str) -> Matrix:
    """x (covariance of its marked rows)^-1/2, each direction divided by its deviation and epsilon.

    Directions that the marked rows do not span have no deviation there: they are divided by epsilon.
    """
    rows = x[marks] - x[marks].mean(axis=0)
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    spread = sizes / np.sqrt(len(rows) - 1)
    kept = spread > 1e-9 * spread[0]
    axes, spread = axes[kept], spread[kept]
    outside = len(spread) < x.shape[1]
    least = 0.0 if outside else spread[-1]
    stretch = (spread[0] + epsilon) / (least + epsilon) if least + epsilon > 0 else np.inf
    if stretch > _AMPLIFY:
        raise InputError(
            f"among {len(rows)} reference wells{'' if batch == 'all' else f' of {batch}'} some of the {x.shape[1]} "
            f"features are combinations of others: sphering would stretch them {stretch:.0e} times more than the "
            f"rest; select features first (--select), or raise epsilon (now {epsilon:g}; {EPSILON:g} is usual)"
        )
    along = x @ axes.T
    inside = (along / (spread + epsilon)) @ axes
    return np.asarray(inside + (x - along @ axes) / epsilon if outside else inside)
