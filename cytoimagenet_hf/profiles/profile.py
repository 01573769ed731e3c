"""From features of images to profiles of wells: aggregate, annotate, normalise, select, sphere.

Every function takes a `FeatureTable` and returns a new one whose `about["steps"]` tells what was done. Normalising,
selecting and sphering are pycytominer's, with the checks that it leaves to its caller; TVN is our own.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.features import FeatureTable

from .aggregate import LEVELS, aggregate
from .plate_map import annotate
from .steps import Mask, profile_name, reference_rows, refuse_or_drop, with_step
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
_AMPLIFY = (
    1e4  # sphering may stretch the least direction this much more than the largest before it only shows rounding
)
_MARK = "Metadata_Reference"


def normalize(
    table: FeatureTable,
    *,
    method: str = "standardize",
    controls: Mask | None = None,
    by: str | None = "plate",
    drop_constant: bool = False,
) -> FeatureTable:
    """Centre and scale every feature, per plate, by pycytominer.

    Args:
        table: profiles.
        method: `"standardize"` (mean and deviation), `"mad_robustize"` (median and MAD), `"robustize"` (median and
            quartiles) or `"inverse_normal"` (ranks).
        controls: (n,) true for the wells to take centre and scale from; None: all wells of the plate.
        by: column that tells plates; None: all rows together.
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
        for own, reference in plates.values():
            flat |= _flat(table.values[reference].astype(np.float64), table.values[own].astype(np.float64), method)
    whom = "the wells" if controls is None else "the controls"
    table, dropped = refuse_or_drop(table, flat, drop_constant, f"do not vary among {whom} of a plate ({method})")
    pycytominer = _extra("pycytominer")
    values = np.empty(table.values.shape)
    names = list(table.names)
    for own, reference in plates.values():
        frame = pd.DataFrame(table.values[own].astype(np.float64), columns=names)
        frame.insert(0, _MARK, reference[own])
        samples = "all" if controls is None else _MARK
        options: dict[str, Any] = {"mad_robustize_epsilon": 0.0, "inverse_normal_n_quantiles": int(reference.sum())}
        done = pycytominer.normalize(
            frame, features=names, meta_features=[_MARK], samples=samples, method=method, **options
        )
        values[own] = done[names].to_numpy()
    on = "all" if controls is None else "controls"
    step = {
        "step": "normalize",
        "name": method.replace("_", "") + ("-controls" if controls is not None else ""),
        "method": method,
        "on": on,
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
    samples: Mask | None = None,
) -> FeatureTable:
    """Keep features that vary and that no other stands for, by pycytominer.

    Args:
        table: profiles.
        operations: of `"variance_threshold"`, `"correlation_threshold"` and `"drop_outliers"` (|value| > 500).
        correlation: of two features that correlate more than this one goes.
        samples: (n,) rows to judge by; None: all.

    Raises:
        InputError: another operation; nothing is left; pycytominer is not installed.
    """
    unknown = [name for name in operations if name not in OPERATIONS]
    if unknown or not operations:
        raise InputError(f"selection {', '.join(unknown) or '(none)'}: choose of {', '.join(OPERATIONS)}")
    frame = pd.DataFrame(table.values.astype(np.float64), columns=list(table.names))
    frame.insert(0, _MARK, np.ones(len(table), bool) if samples is None else np.asarray(samples, bool))
    done = _extra("pycytominer").feature_select(
        frame,
        features=list(table.names),
        samples="all" if samples is None else _MARK,
        operation=list(operations),
        corr_threshold=correlation,
    )
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


def sphere(
    table: FeatureTable,
    *,
    controls: Mask | None = None,
    by: str | None = "plate",
    method: str = "ZCA-cor",
    epsilon: float = 1e-6,
) -> FeatureTable:
    """Whiten the features, per plate, by pycytominer's `Spherize`: on the reference wells they no longer correlate.

    Args:
        table: profiles, normalised, usually selected.
        controls: (n,) true for the reference wells; None: all wells.
        by: column that tells plates; None: all rows together.
        method: `"ZCA-cor"` or `"ZCA"`: both keep the features' names.
        epsilon: added to the singular values: larger is gentler.

    Raises:
        InputError: constant features; features that are combinations of others, which pycytominer would stretch by
            millions; fewer than three reference wells; pycytominer is not installed.
    """
    if method not in ("ZCA-cor", "ZCA"):
        raise InputError(f"sphering {method!r}: choose ZCA-cor or ZCA")
    plates = reference_rows(table, controls, by, least=3)
    for batch, (_, reference) in plates.items():
        _check_sphering(table, reference, batch, epsilon=epsilon, correlated=method.endswith("cor"))
    spherize = _extra("pycytominer.operations").Spherize
    values = np.empty(table.values.shape)
    for own, reference in plates.values():
        fitted = spherize(epsilon=epsilon, center=True, method=method, return_numpy=True)
        fitted.fit(pd.DataFrame(table.values[reference].astype(np.float64)))
        values[own] = fitted.transform(pd.DataFrame(table.values[own].astype(np.float64)))
    on = "all" if controls is None else "controls"
    step = {"step": "sphere", "name": f"sphere-{on}", "method": method, "epsilon": epsilon, "on": on, "by": by}
    return with_step(table, step, values=values)


def _check_sphering(table: FeatureTable, reference: Mask, batch: str, *, epsilon: float, correlated: bool) -> None:
    x = table.values[reference].astype(np.float64)
    spread = x.std(axis=0)
    flat = spread <= 1e-7 * np.abs(x).max(axis=0)
    if flat.any():
        some = [name for name, bad in zip(table.names, flat, strict=True) if bad]
        raise InputError(
            f"{len(some)} features do not vary among the {len(x)} reference wells of {batch}, such as "
            f"{', '.join(some[:3])}: select features first (--select)"
        )
    x = x - x.mean(axis=0)
    sizes = np.linalg.svd(x / spread if correlated else x, compute_uv=False)
    least = sizes[: min(len(x) - 1, x.shape[1])].min()  # centred rows span one dimension less than their number
    stretch = (sizes[0] + epsilon) / (least + epsilon)
    if stretch > _AMPLIFY:
        raise InputError(
            f"among {len(x)} reference wells of {batch} some of the {x.shape[1]} features are combinations of others: "
            f"sphering would stretch them {stretch:.0e} times more than the rest; select features first (--select), "
            f"or raise epsilon (now {epsilon:g}; 0.01 to 1 is usual)"
        )


def _flat(reference: npt.NDArray[np.float64], plate: npt.NDArray[np.float64], method: str) -> Mask:
    """Features whose scale on the reference is nothing, or rounding beside what the plate spans."""
    if method == "standardize":
        scale = reference.std(axis=0)
    elif method == "robustize":
        scale = np.ptp(np.quantile(reference, [0.25, 0.75], axis=0), axis=0)
    else:
        scale = np.median(np.abs(reference - np.median(reference, axis=0)), axis=0)
    return np.asarray(scale <= np.maximum(1e-7 * np.abs(plate).max(axis=0), 1e-6 * plate.std(axis=0)))


def _extra(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f'{name.partition(".")[0]} is not installed: pip install "cytoimagenet-hf[profiles]"'
        ) from error
