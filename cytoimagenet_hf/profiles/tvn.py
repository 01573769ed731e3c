"""Typical variation normalisation: what controls show by chance is taken out, batch by batch.

Ando, McLean and Berndl 2017 (bioRxiv 161422) described it; the form here is that of Recursion's EFAAR benchmarks
(Celik et al. 2024, PLOS Comput Biol): scale on controls, principal components of the controls, scale again, and per
batch multiply by (covariance of its controls + 0.5 I)^-1/2.
"""

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.features import FeatureTable

from .steps import By, Mask, constant_features, reference_rows, refuse_or_drop, with_step

_RIDGE = 0.5  # of the published form: half the variance of a scaled component
_LEAST = 3  # controls in a batch: fewer have no covariance to speak of


def tvn(
    table: FeatureTable,
    controls: Mask,
    *,
    by: By = "plate",
    components: int | None = None,
    drop_constant: bool = False,
) -> FeatureTable:
    """Profiles in which directions along which controls vary count less, and batches of controls look alike.

    The features become principal components of the controls, at most one less than there are controls: a further one
    has no variance but rounding, and dividing by it makes numbers of 1e14.

    Args:
        table: profiles of wells.
        controls: (n,) true for negative control wells.
        by: columns that tell batches; None: one batch.
        components: principal components kept; by default as many as the controls allow.
        drop_constant: leave out features that do not vary among the controls, instead of refusing them.

    Raises:
        InputError: fewer than three controls in a batch, more components than the controls allow, or constant
            features.

    Example:
        >>> from cytoimagenet_hf.tables import make_table
        >>> values = np.random.default_rng(0).normal(size=(20, 3))
        >>> wells = make_table([f"w{n}" for n in range(20)], values, names=["a", "b", "c"])
        >>> aligned = tvn(wells, np.arange(20) < 12, by=None)
        >>> aligned.names, aligned.about["steps"][0]["controls"]
        (('Image_all_tvn_0000', 'Image_all_tvn_0001', 'Image_all_tvn_0002'), 12)
    """
    batches = reference_rows(table, controls, by, least=_LEAST)
    marks = np.asarray(controls, bool)
    rows = table.values[marks].astype(np.float64)
    table, dropped = refuse_or_drop(table, constant_features(rows), drop_constant, "do not vary among the controls")
    most = min(int(marks.sum()) - 1, len(table.names))
    chosen = most if components is None else components
    if not 1 <= chosen <= most:
        raise InputError(
            f"{chosen} components, but {int(marks.sum())} control wells and {len(table.names)} features allow 1 to "
            f"{most}: a component more has no variance among the controls"
        )
    x = _scaled(table.values.astype(np.float64), marks)
    _, spread, axes = np.linalg.svd(x[marks], full_matrices=False)  # centred by the scaling
    kept = min(chosen, int((spread > 1e-9 * spread[0]).sum()))  # equal controls span less than their number
    axes = axes[:kept]
    largest = axes[np.arange(kept), np.abs(axes).argmax(axis=1)]
    axes = axes * np.sign(largest)[:, None]  # the sign of an SVD depends on the machine
    x = _scaled(x @ axes.T, marks)
    for batch, reference in batches.values():
        covariance = np.atleast_2d(np.cov(x[reference], rowvar=False))
        x[batch] = x[batch] @ inverse_root(covariance + _RIDGE * np.eye(kept))
    step = {
        "step": "tvn",
        "name": "tvn",
        "by": by,
        "components": kept,
        "controls": int(marks.sum()),
        "dropped": dropped,
    }
    return with_step(table, step, values=x, names=tuple(f"Image_all_tvn_{place:04d}" for place in range(kept)))


def inverse_root(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """M^-1/2 of a symmetric positive definite (d, d) matrix.

    Example:
        >>> inverse_root(np.array([[4.0, 0], [0, 0.25]])).tolist()
        [[0.5, 0.0], [0.0, 2.0]]
    """
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def _scaled(x: npt.NDArray[np.float64], marks: Mask) -> npt.NDArray[np.float64]:
    rows = x[marks]
    return np.asarray((x - rows.mean(axis=0)) / rows.std(axis=0))
