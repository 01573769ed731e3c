import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training.data import batches_for_rank, epoch_order


@given(count=st.integers(8, 60), processes=st.sampled_from([1, 2, 4]), accumulate=st.sampled_from([1, 2]))
def test_a_step_holds_the_same_rows_on_any_number_of_processes(count: int, processes: int, accumulate: int) -> None:
    order = epoch_order(None, count, seed=3, epoch=1)
    ranks = [
        batches_for_rank(order, batch_size=8, accumulate=accumulate, processes=processes, rank=rank)
        for rank in range(processes)
    ]
    assert ranks[0].shape == (count // 8, accumulate, 8 // (accumulate * processes))
    for step in range(count // 8):
        together = np.concatenate([part[step].ravel() for part in ranks])
        assert sorted(together) == sorted(order[8 * step : 8 * step + 8])


def test_orders_are_permutations_that_depend_on_seed_and_epoch_alone() -> None:
    orders = {
        (seed, epoch): tuple(epoch_order(None, 20, seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)
    }
    assert all(sorted(order) == list(range(20)) for order in orders.values())
    assert len(set(orders.values())) == 4
    assert tuple(epoch_order(None, 20, seed=1, epoch=1)) == orders[1, 1]


def test_groups_become_equally_frequent() -> None:
    groups = np.repeat([0, 1, 2], [900, 90, 10])
    drawn = groups[np.concatenate([epoch_order(groups, 1000, seed=0, epoch=epoch) for epoch in range(20)])]
    share = np.bincount(drawn) / len(drawn)
    np.testing.assert_allclose(share, 1 / 3, atol=0.02)


def test_what_cannot_be_dealt_is_refused() -> None:
    with pytest.raises(InputError, match="not divisible by 3 processes"):
        batches_for_rank(np.arange(64), batch_size=16, accumulate=1, processes=3, rank=0)
    with pytest.raises(InputError, match="do not fill one step"):
        batches_for_rank(np.arange(5), batch_size=16, accumulate=1, processes=1, rank=0)
