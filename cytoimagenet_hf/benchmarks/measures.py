"""What features can be asked beside nearest neighbours: mixing of batches, recall, enrichment.

Arrays in, one outcome per item out, so that intervals and paired tests treat every measure alike. Where items share a
group (plate, compound, field), no measure lets a query learn from its own group.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, hypergeom

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.scoring.knn import kneighbors

from .scaling import unit_rows

Array = npt.NDArray[Any]
_LEVEL = 0.05  # of each chi-square test
_NEAR = 0.01  # of the allowed rows
_QUERIES = 1000  # rows whose similarities are in memory at a time


def mixing_rejection(values: Array, batches: Array) -> float:
    """Share of items whose neighbourhood does not mix batches as the whole set does (kBET; Büttner et al. 2019).

    Near 0.05, the level of its tests, where batches are mixed, 1 where they are separate. Features that know nothing
    mix perfectly, so this number is read beside a label score, never alone.

    Args:
        values: (n, d).
        batches: (n,).

    Raises:
        InputError: one batch.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> apart = np.r_[rng.normal(0, 1, (100, 2)), rng.normal(50, 1, (100, 2))]
        >>> mixing_rejection(apart, np.repeat(["a", "b"], 100))
        1.0
    """
    names, codes = np.unique(batches.astype(str), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"only one batch ({str(names[0])!r}): nothing can be mixed")
    k = int(np.clip(len(values) / len(names) / 4, 10, len(values) - 1))  # a quarter of the mean batch
    _, neighbours = kneighbors(values, values, k, exclude=np.arange(len(values)))
    counts = np.stack([(codes[neighbours] == code).sum(axis=1) for code in range(len(names))], axis=1)  # (n, B)
    expected = k * np.bincount(codes) / len(codes)
    statistic = ((counts - expected) ** 2 / expected).sum(axis=1)
    return float((chi2.sf(statistic, len(names) - 1) < _LEVEL).mean())


def recall_at_1(values: Array, *, names: Array, excluded: Array) -> Array:
    """Whether the nearest allowed row, by cosine, carries the query's name: (n,) 0 or 1; NaN without an allowed match.

    Args:
        values: (n, d).
        names: (n,) what must be found: compound, gene, target.
        excluded: (n,) candidates of the query's own value here are not allowed: batch, source, layout; unique values
            leave out the query alone.

    Example:
        >>> recall_at_1(np.array([[1.0, 0], [1, 0.1], [0, 1]]), names=np.array(["a", "a", "b"]), excluded=np.arange(3))
        array([ 1.,  1., nan])
    """
    unit = unit_rows(np.asarray(values, np.float64))
    _, name_codes = np.unique(names.astype(str), return_inverse=True)
    _, barred = np.unique(excluded.astype(str), return_inverse=True)
    recalls = np.full(len(values), np.nan)
    for start in range(0, len(values), _QUERIES):
        rows = np.arange(start, min(start + _QUERIES, len(values)))
        allowed = barred[rows, None] != barred[None, :]  # (Q, n)
        matched = (allowed & (name_codes[rows, None] == name_codes[None, :])).any(axis=1)
        nearest = np.where(allowed, unit[rows] @ unit.T, -np.inf).argmax(axis=1)
        recalls[rows] = np.where(matched, name_codes[nearest] == name_codes[rows], np.nan)
    return recalls


def enrichment(values: Array, *, names: Array, excluded: Array) -> tuple[Array, Array]:
    """Odds ratio (n,) of the query's name in the nearest hundredth of allowed rows, and p (n,); NaN without a match.

    The ratio of (in top, same name) to the rest, ad / bc, with 0.5 added to each cell where one is empty; p by the
    exact test of Fisher, one-sided.

    Args:
        values: (n, d).
        names: (n,) as in `recall_at_1`.
        excluded: (n,) as in `recall_at_1`.
    """
    unit = unit_rows(np.asarray(values, np.float64))
    ratios, ps = np.full(len(names), np.nan), np.full(len(names), np.nan)
    for row in range(len(names)):
        allowed = excluded != excluded[row]
        allowed[row] = False
        same = names[allowed] == names[row]
        if not same.any() or same.all():
            continue
        near = np.zeros(len(same), bool)
        count = max(1, int(np.ceil(_NEAR * len(same))))
        near[np.argsort(-(unit[allowed] @ unit[row]), kind="stable")[:count]] = True
        cells = np.array(
            [(near & same).sum(), (near & ~same).sum(), (~near & same).sum(), (~near & ~same).sum()], float
        )
        ps[row] = hypergeom.sf(cells[0] - 1, len(same), same.sum(), count)
        if (cells == 0).any():
            cells += 0.5
        ratios[row] = cells[0] * cells[3] / (cells[1] * cells[2])
    return ratios, ps
