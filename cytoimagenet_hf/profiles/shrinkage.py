"""Scale by controls where a plate has few: plate means are drawn towards the mean of all controls."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError

Array = npt.NDArray[np.floating]
DEAD = 1e-12
"""Of the largest difference from the mean: a spread below it is that of a dead unit, not of a measured feature."""


def standardise_by_shrunk_controls(values: Array, *, plates: npt.ArrayLike, controls: npt.ArrayLike) -> Array:
    """Standardise by few controls: plate means drawn towards the mean of all controls, one sd pooled within plates.

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
    control_rows = np.asarray(values[control], np.float64)
    means = group_means(control_rows, plate_of[control])  # (P, D)
    within = ((control_rows - means[plate_of[control]]) ** 2).sum(0) / freedom  # s²
    noise = within / counts[:, None]  # s² / m
    between = means.var(0, ddof=1) if len(names) > 1 else np.zeros_like(within)
    real = np.maximum(between - noise.mean(0), 0)  # t²
    weight = np.divide(real, real + noise, out=np.zeros_like(noise), where=real > 0)
    common = control_rows.mean(0)
    centres = common + weight * (means - common)
    spread = np.sqrt(within)
    spread[spread <= 1e-6 * np.abs(common)] = 1.0  # constant but for rounding
    spread[(spread == 0) | (spread < DEAD * np.abs(values - common).max(axis=0))] = 1.0
    return np.asarray((values - centres[plate_of]) / spread)


def group_means(values: npt.NDArray[Any], codes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(G, d) mean row of each group of (n, d) values; `codes` (n,) count the groups from 0, each of them taken.

    Example:
        >>> group_means(np.array([[1.0], [3.0], [5.0]]), np.array([1, 0, 1])).tolist()
        [[3.0], [3.0]]
    """
    counts = np.bincount(codes)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, codes, values)
    return np.asarray(sums / counts[:, None])
