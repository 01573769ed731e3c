"""How many rows each stratum gives, and which: arrays only.

Two rules stand beside each other. `fraction_sizes` is the published one: a rounded fraction of each stratum, raised
until there are enough. `largest_remainder_sizes` is the corrected one (L3): exact, and every stratum is represented
before any is doubled.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from .fields import Codes

Sizes = npt.NDArray[np.int64]


def stratify(columns: Sequence[Codes], rows: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Number the combinations of values that `rows` hold, by first appearance; unknown (-1) is a value of its own.

    Returns (len(rows),) strata, from 0 without gaps.

    Example:
        >>> stratify([np.array([0, 1, 0, -1]), np.array([2, 2, 2, 0])], np.array([0, 1, 2, 3], np.int32)).tolist()
        [0, 1, 0, 2]
    """
    key = np.zeros(len(rows), np.int64)
    if len(rows) == 0:
        return key
    span = 1  # key < span
    for column in columns:
        codes = column[rows]
        lowest, width = int(codes.min()), int(codes.max()) + 2
        if lowest + 2 == width:
            continue  # one value in all rows tells nothing apart
        if span > np.iinfo(np.int64).max // width:
            key = pd.factorize(key)[0].astype(np.int64)
            span = int(key.max(initial=0)) + 1
        key *= width
        key += codes + 1  # unknown, -1, becomes 0
        span *= width
    return pd.factorize(key)[0].astype(np.int64)


def fraction_sizes(sizes: Sizes, wanted: int, *, until_enough: bool) -> Sizes:
    """The published allocation: the same fraction of each stratum, rounded half to even, so small ones get nothing.

    With `until_enough` the fraction rises by 0.03 below half of `wanted`, else by 0.02. The original asked for more
    rows than there are when it passed 1; here it stops at 1. The sum may miss or exceed `wanted`.
    """
    fraction = wanted / sizes.sum()
    take: Sizes = np.rint(min(fraction, 1.0) * sizes).astype(np.int64)
    while until_enough and take.sum() < wanted and fraction < 1:
        fraction += 0.03 if take.sum() < wanted / 2 else 0.02
        take = np.rint(min(fraction, 1.0) * sizes).astype(np.int64)
    return take


def largest_remainder_sizes(sizes: Sizes, wanted: int, rng: np.random.Generator) -> Sizes:
    """The corrected allocation: exactly `wanted`, each stratum at least one, the rest in proportion (L3).

    With fewer seats than strata the largest strata get one each. Otherwise every stratum gets one, and what is left
    of the seats is divided by the largest remainder in proportion to what is left of the strata: such a quota never
    exceeds a stratum. Ties go to the larger stratum, then by lot.

    Example:
        >>> largest_remainder_sizes(np.array([90, 9, 1]), 10, np.random.default_rng(0)).tolist()
        [7, 2, 1]
    """
    lot = rng.permutation(len(sizes))
    take: Sizes = np.zeros(len(sizes), np.int64)
    if wanted <= len(sizes):
        take[np.lexsort((lot, -sizes))[:wanted]] = 1
        return take
    seats, left = wanted - len(sizes), sizes - 1
    quota, remainder = np.divmod(seats * left, max(int(left.sum()), 1))
    take += 1 + quota
    take[np.lexsort((lot, -sizes, -remainder))[: wanted - int(take.sum())]] += 1
    return take


def draw(strata: npt.NDArray[np.int64], take: Sizes, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Positions in `strata`, ascending, of `take[s]` members of each stratum s, drawn without replacement."""
    shuffled = rng.permutation(len(strata))
    keys = strata[shuffled]
    # Stable sorting of 16-bit keys is a radix sort.
    grouped = shuffled[np.argsort(keys.astype(np.uint16) if len(take) <= 65_536 else keys, kind="stable")]
    sizes = np.bincount(strata, minlength=len(take))
    rank = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # position within its stratum
    return np.sort(grouped[rank < np.repeat(take, sizes)])
