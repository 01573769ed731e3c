"""Which images an optimiser step sees: a pure function of (seed, epoch), own to processes by position.

The order is drawn for the whole run and then cut into `batch_size` images per step, so step i of epoch e holds the
same images on one process or on eight, and a restart continues at step i without replaying anything.
"""

import numpy as np
from numpy.typing import NDArray

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng

Positions = NDArray[np.int64]


def epoch_order(groups: Positions | None, count: int, *, seed: int, epoch: int) -> Positions:
    """Row numbers in the order of one epoch, int64 (count,).

    Args:
        groups: None for a permutation; otherwise the group code of each row (its class, say): rows are drawn with
            replacement so that every group is equally frequent.
        count: number of rows.
        seed: the run's seed.
        epoch: each epoch has its own order.

    Example:
        >>> sorted(epoch_order(None, 4, seed=0, epoch=0).tolist())
        [0, 1, 2, 3]
    """
    rng = derive_rng(seed, "order", str(epoch))
    if groups is None:
        return rng.permutation(count)
    _, code, size = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1.0 / size[code]
    return rng.choice(count, size=count, p=weight / weight.sum())


def batches_for_rank(
    order: Positions, *, batch_size: int, accumulate: int, processes: int, rank: int
) -> NDArray[np.int64]:
    """Cut an epoch's order into the batches of one process: int64 (steps, accumulate, images).

    Fewer than `batch_size` rows remain at the end of an epoch; the next epoch's order is another, so none is left out
    for good.

    Raises:
        InputError: a step cannot be divided evenly, or there are fewer rows than one step takes.

    Example:
        >>> batches_for_rank(np.arange(9), batch_size=4, accumulate=1, processes=2, rank=1).tolist()
        [[[2, 3]], [[6, 7]]]
    """
    steps = count_steps(len(order), batch_size=batch_size, accumulate=accumulate, processes=processes)
    return order[: steps * batch_size].reshape(steps, accumulate, processes, -1)[:, :, rank]


def draw_partners(fields: Positions, *, seed: int, epoch: int) -> Positions:
    """For each row another row of the same field, int64 (count,); a row that is alone is its own partner.

    Args:
        fields: int (count,), which field of view each row is a crop of.
        seed: the run's seed.
        epoch: each epoch draws others.

    Example:
        >>> draw_partners(np.array([7, 3, 7]), seed=0, epoch=0).tolist()
        [2, 1, 0]
    """
    order = np.lexsort((derive_rng(seed, "partners", str(epoch)).random(len(fields)), fields))
    sorted_fields = fields[order]
    starts = np.flatnonzero(np.r_[True, sorted_fields[1:] != sorted_fields[:-1]])
    following = np.arange(1, len(fields) + 1)
    following[np.r_[starts[1:], len(fields)] - 1] = starts  # the last of a field is followed by its first
    partners = np.empty(len(fields), dtype=np.int64)
    partners[order] = order[following]
    return partners


def count_steps(rows: int, *, batch_size: int, accumulate: int, processes: int) -> int:
    """Optimiser steps of an epoch of `rows` rows; see `batches_for_rank` for the arguments and errors."""
    if batch_size % (accumulate * processes):
        raise InputError(
            f"batch_size {batch_size} is not divisible by {processes} processes x {accumulate} accumulation steps: "
            f"choose a multiple of {accumulate * processes}"
        )
    steps = rows // batch_size
    if steps == 0:
        raise InputError(f"{rows} training rows do not fill one step of batch_size {batch_size}: lower it")
    return steps
