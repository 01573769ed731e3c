"""Standardised features: mean 0 and standard deviation 1 per feature, as seen from chosen rows (E3, docs/paper.md)."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler

from cytoimagenet_hf.core.errors import InputError

Array = npt.NDArray[np.floating]
_DEAD = 1e-12  # of the largest difference from the mean: far below what any measured feature has


def standardise(values: Array, *, fitted_on: Array | None = None) -> Array:
    """Scale each feature by the mean and sd of `fitted_on` (default: of `values`); constant features become 0.

    So do features that hardly vary in `fitted_on` beside what they do in `values`: dead units of a network, whose
    rounding would be blown up beyond all others.

    Args:
        values: (n, d).
        fitted_on: (m, d).

    Example:
        >>> standardise(np.array([[0.0, 5.0], [2.0, 5.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    scaler = StandardScaler().fit(values if fitted_on is None else fitted_on)
    scaled = np.asarray(scaler.transform(values))
    # scikit-learn has set the scale of exactly constant features to 1; these are the ones just above.
    scaled[:, scaler.scale_ < _DEAD * np.abs(values - scaler.mean_).max(axis=0)] = 0
    return scaled


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


def standardise_by_shrunk_controls(values: Array, *, plates: npt.ArrayLike, controls: npt.ArrayLike) -> Array:
    """The same with few controls: plate means drawn towards the mean of all controls, one sd pooled within plates.

    Three DMSO fields a plate tell more of their own noise than of the plate, and a z-score by them makes all
    treatments of a plate look alike. Each feature's plate means are therefore shrunk by w = t² / (t² + s² / m): s² is
    the variance within plates, m the controls of the plate, t² what remains of the variance between plate means. Many
    controls give the plate's own mean, few or equal plates the common one (empirical Bayes; Johnson et al. 2007).

    Args:
        values: (n, d), controls included.
        plates: (n,) plate of each row.
        controls: (n,) booleans.

    Raises:
        InputError: a plate without controls, or no plate with two.
    """
    control = np.asarray(controls, bool)
    names, plate_of = np.unique(np.asarray(plates).astype(str), return_inverse=True)
    counts = np.bincount(plate_of[control], minlength=len(names))
    if (counts == 0).any():
        raise InputError(
            f"plate {str(names[counts == 0][0])!r} has no control rows: add its DMSO features, or scale by all"
        )
    freedom = counts.sum() - len(names)
    if freedom < 1:
        raise InputError("no plate has two control rows: a standard deviation needs them; scale by all instead")
    known = np.asarray(values[control], np.float64)
    means = group_means(known, plate_of[control])  # (P, D)
    within = ((known - means[plate_of[control]]) ** 2).sum(0) / freedom  # s²
    noise = within / counts[:, None]  # s² / m
    between = means.var(0, ddof=1) if len(names) > 1 else np.zeros_like(within)
    real = np.maximum(between - noise.mean(0), 0)  # t²
    weight = np.divide(real, real + noise, out=np.zeros_like(noise), where=real > 0)
    common = known.mean(0)
    centres = common + weight * (means - common)
    spread = np.sqrt(within)
    spread[spread <= 1e-6 * np.abs(common)] = 1.0  # constant but for rounding
    spread[(spread == 0) | (spread < _DEAD * np.abs(values - common).max(axis=0))] = 1.0
    return np.asarray((values - centres[plate_of]) / spread)


def group_means(values: npt.NDArray[Any], codes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean row of each group.

    Args:
        values: (n, d).
        codes: (n,) group of each row, 0 to G - 1, each of them taken.

    Returns:
        (G, d) float64.

    Example:
        >>> group_means(np.array([[1.0], [3.0], [5.0]]), np.array([1, 0, 1])).tolist()
        [[3.0], [3.0]]
    """
    counts = np.bincount(codes)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, codes, values)
    return np.asarray(sums / counts[:, None])


def unit_rows(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each row divided by its length, so that products are cosines; rows of zeros stay.

    Example:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(length == 0, 1, length))
