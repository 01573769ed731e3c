"""From features of images to profiles of wells: aggregate, annotate, normalise, select, sphere.

Every function takes a `FeatureTable` and returns a new one whose `about["steps"]` tells what was done. Normalising and
selecting are pycytominer's, with the checks that it leaves to its caller; sphering and TVN are our own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.features import FeatureTable

from .aggregate import LEVELS, aggregate
from .plate_map import annotate
from .sphering import sphere
from .steps import By, Mask, profile_name, reference_rows, refuse_or_drop, with_step
from .tvn import tvn

__all__ = [
    "LEVELS",
    "METHODS",
    "OPERATIONS",
    "aggregate",
    "annotate",
    "normalize",
    "profile_name",
    "select",
    "sphere",
    "tvn",
]

METHODS = ("standardize", "robustize", "mad_robustize", "inverse_normal")
OPERATIONS = ("variance_threshold", "correlation_threshold", "drop_outliers")
_MARK = "Metadata_Reference"


def normalize(
    table: FeatureTable,
    *,
    method: str = "standardize",
    controls: Mask | None = None,
    by: By = "plate",
    drop_constant: bool = False,
) -> FeatureTable:
    """Centre and scale every feature, per plate, by pycytominer.

    Args:
        table: profiles.
        method: `"standardize"` (mean and deviation), `"mad_robustize"` (median and MAD), `"robustize"` (median and
            quartiles) or `"inverse_normal"` (ranks).
        controls: (n,) true for the wells to take centre and scale from; None: all wells of the plate.
        by: columns that tell batches, such as plates; None: all rows together.
        drop_constant: leave out features that have no scale on some plate, instead of refusing them.

    Raises:
        InputError: another method; a plate with fewer than two reference wells (three for MAD); features without a
            scale; pycytominer is not installed.
    """
    if method not in METHODS:
        raise InputError(f"normalisation {method!r}: choose one of {', '.join(METHODS)}")
    plates = reference_rows(table, controls, by, least=3 if method == "mad_robustize" else 2)
    flat = np.zeros(len(table.names), bool)
    if method != "inverse_normal":
        for rows, reference in plates.values():
            flat |= _flat(table.values[reference].astype(np.float64), table.values[rows].astype(np.float64), method)
    whom = "the wells" if controls is None else "the controls"
    table, dropped = refuse_or_drop(table, flat, drop_constant, f"do not vary among {whom} of a plate ({method})")
    pycytominer = _pycytominer()
    values = np.empty(table.values.shape)
    names = list(table.names)
    for rows, reference in plates.values():
        frame = pd.DataFrame(table.values[rows].astype(np.float64), columns=names)
        frame.insert(0, _MARK, reference[rows])
        options: dict[str, Any] = {
            "samples": "all" if controls is None else _MARK,
            "mad_robustize_epsilon": 0.0,
            "inverse_normal_n_quantiles": int(reference.sum()),
        }
        done = pycytominer.normalize(frame, features=names, meta_features=[_MARK], method=method, **options)
        values[rows] = done[names].to_numpy()
    step = {
        "step": "normalize",
        "name": method.replace("_", "") + ("-controls" if controls is not None else ""),
        "method": method,
        "on": "all" if controls is None else "controls",
        "by": by,
        "reference_rows": int(sum(reference.sum() for _, reference in plates.values())),
        "dropped": dropped,
    }
    return with_step(table, step, values=values)


def select(
    table: FeatureTable,
    *,
    operations: Sequence[str] = OPERATIONS[:2],
    correlation: float = 0.9,
) -> FeatureTable:
    """Keep features that vary and that no other stands for, by pycytominer.

    Args:
        table: profiles.
        operations: of `"variance_threshold"`, `"correlation_threshold"` and `"drop_outliers"` (|value| > 500).
        correlation: of two features that correlate more than this one goes.

    Raises:
        InputError: another operation; nothing is left; pycytominer is not installed.
    """
    unknown = [name for name in operations if name not in OPERATIONS]
    if unknown or not operations:
        raise InputError(f"selection {', '.join(unknown) or '(none)'}: choose of {', '.join(OPERATIONS)}")
    frame = pd.DataFrame(table.values.astype(np.float64), columns=list(table.names))
    options = {"samples": "all", "operation": list(operations), "corr_threshold": correlation}
    try:
        done = _pycytominer().feature_select(frame, features=list(table.names), **options)
    except ValueError as error:  # scikit-learn, where no feature varies
        raise InputError(f"selection by {', '.join(operations)} of {len(table.names)} features: {error}") from error
    kept = [name for name in table.names if name in set(done.columns)]
    if not kept:
        raise InputError(f"selection by {', '.join(operations)} leaves none of the {len(table.names)} features")
    places = [table.names.index(name) for name in kept]
    step = {
        "step": "select",
        "name": "select",
        "operations": list(operations),
        "correlation": correlation,
        "features_in": len(table.names),
        "features_out": len(kept),
    }
    return with_step(table, step, values=table.values[:, places], names=tuple(kept))


def _flat(reference: npt.NDArray[np.float64], plate: npt.NDArray[np.float64], method: str) -> Mask:
    """Features whose scale on the reference is nothing, or rounding beside what the plate spans."""
    if method == "standardize":
        scale = reference.std(axis=0)
    elif method == "robustize":
        scale = np.ptp(np.quantile(reference, [0.25, 0.75], axis=0), axis=0)
    else:
        scale = np.median(np.abs(reference - np.median(reference, axis=0)), axis=0)
    return np.asarray(scale <= np.maximum(1e-7 * np.abs(plate).max(axis=0), 1e-6 * plate.std(axis=0)))


def _pycytominer() -> Any:
    try:
        import pycytominer
    except ModuleNotFoundError as error:
        raise InputError('pycytominer is not installed: pip install "cytoimagenet-hf[profiles]"') from error
    return pycytominer
