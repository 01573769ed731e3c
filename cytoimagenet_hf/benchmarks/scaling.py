"""Standardised features: mean 0 and standard deviation 1 per feature, as seen from chosen rows (FACTS E3)."""

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler

from cytoimagenet_hf.errors import InputError

Array = npt.NDArray[np.floating]


def standardise(values: Array, *, fitted_on: Array | None = None) -> Array:
    """Scale each feature by the mean and sd of `fitted_on` (default: of `values`); constant features become 0.

    Args:
        values: (n, d).
        fitted_on: (m, d).

    Example:
        >>> standardise(np.array([[0.0, 5.0], [2.0, 5.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    scaler = StandardScaler().fit(values if fitted_on is None else fitted_on)
    return np.asarray(scaler.transform(values))


def standardise_by_controls(values: Array, *, plates: npt.ArrayLike, controls: npt.ArrayLike) -> Array:
    """Scale each plate by the mean and sd of its own control rows.

    Args:
        values: (n, d), controls included.
        plates: (n,) plate of each row.
        controls: (n,) booleans.

    Raises:
        InputError: a plate has fewer than two control rows.
    """
    plate_of, control = np.asarray(plates), np.asarray(controls, bool)
    scaled = np.empty_like(values)
    for plate in np.unique(plate_of):
        rows = plate_of == plate
        if (rows & control).sum() < 2:
            raise InputError(
                f"plate {plate!r} has {(rows & control).sum()} control rows, two are needed for a standard deviation: "
                "add its DMSO features, or use another scaler (all)"
            )
        scaled[rows] = standardise(values[rows], fitted_on=values[rows & control])
    return scaled
