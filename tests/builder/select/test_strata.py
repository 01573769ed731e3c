import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.select.strata import draw, fraction_sizes, largest_remainder_sizes, stratify

sizes_and_wanted = st.lists(st.integers(1, 60), min_size=1, max_size=40).flatmap(
    lambda sizes: st.tuples(st.just(np.array(sizes)), st.integers(1, sum(sizes)))
)


@given(sizes_and_wanted, st.integers(0, 5))
def test_largest_remainder_is_exact_within_bounds_and_represents_all_before_doubling_any(case, seed):
    sizes, wanted = case
    take = largest_remainder_sizes(sizes, wanted, np.random.default_rng(seed))
    assert take.sum() == wanted
    assert (take >= 0).all()
    assert (take <= sizes).all()
    if take.max() > 1:
        assert take.min() >= 1


@given(sizes_and_wanted, st.integers(0, 5))
def test_a_larger_stratum_never_gives_less(case, seed):
    sizes, wanted = case
    take = largest_remainder_sizes(sizes, wanted, np.random.default_rng(seed))
    order = np.argsort(sizes, kind="stable")
    larger, smaller = np.meshgrid(order, order)
    strictly = sizes[larger] > sizes[smaller]
    assert (take[larger][strictly] >= take[smaller][strictly]).all()


def test_largest_remainder_by_hand():
    rng = np.random.default_rng(0)
    # One each, then 7 seats over 89 + 8 + 0 remaining rows: quotas 6.42, 0.58 and 0.
    assert largest_remainder_sizes(np.array([90, 9, 1]), 10, rng).tolist() == [7, 2, 1]
    # Fewer seats than strata: the largest.
    assert largest_remainder_sizes(np.array([3, 5, 1, 9]), 2, rng).tolist() == [0, 1, 0, 1]
    assert largest_remainder_sizes(np.array([1, 1, 1]), 3, rng).tolist() == [1, 1, 1]


def test_ties_between_equal_strata_go_by_lot_not_by_position():
    winners = [
        int(largest_remainder_sizes(np.ones(5, int), 1, np.random.default_rng(seed)).argmax()) for seed in range(200)
    ]
    assert set(winners) == {0, 1, 2, 3, 4}


def test_the_published_fraction_starves_small_strata_and_rounds_half_to_even():
    sizes = np.array([5000, 3000, 4, 1])
    # A fraction of 1000 / 8005: 624.6, 374.8, 0.5 and 0.1.
    assert fraction_sizes(sizes, 1000, until_enough=False).tolist() == [625, 375, 0, 0]


def test_the_published_fraction_is_raised_until_there_are_enough():
    sizes = np.full(3000, 1)  # a third of 1 rounds to nothing; from above a half on, all are taken
    assert fraction_sizes(sizes, 1000, until_enough=False).sum() == 0
    assert fraction_sizes(sizes, 1000, until_enough=True).sum() == 3000


def test_the_published_fraction_stops_at_all_there_is():
    assert fraction_sizes(np.array([3, 4]), 1000, until_enough=True).tolist() == [3, 4]


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=30).flatmap(
        lambda sizes: st.tuples(st.just(np.array(sizes)), st.integers(1, sum(sizes)))
    )
)
def test_the_published_fraction_equals_pandas_own_sampling_of_groups(case):
    sizes, wanted = case
    table = pd.DataFrame({"group": np.repeat(np.arange(len(sizes)), sizes)})
    ours = fraction_sizes(sizes, wanted, until_enough=False)
    theirs = [len(rows.sample(frac=wanted / len(table), random_state=0)) for _, rows in table.groupby("group")]
    assert ours.tolist() == theirs


@given(st.data())
def test_draws_are_distinct_members_of_their_strata_in_the_sizes_asked(data):
    strata = np.array(data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=200)))
    strata = pd.factorize(strata)[0]
    sizes = np.bincount(strata)
    take = np.array([data.draw(st.integers(0, int(size))) for size in sizes])
    drawn = draw(strata, take, np.random.default_rng(data.draw(st.integers(0, 9))))
    assert len(set(drawn.tolist())) == len(drawn)
    assert drawn.tolist() == sorted(drawn.tolist())
    assert np.bincount(strata[drawn], minlength=len(take)).tolist() == take.tolist()


def test_every_member_of_a_stratum_is_drawn_equally_often():
    strata = np.array([0, 1, 0, 0, 1, 0])
    seen = np.zeros(6)
    for seed in range(3000):
        seen[draw(strata, np.array([1, 1]), np.random.default_rng(seed))] += 1
    assert seen[strata == 0] / 3000 == pytest.approx(np.full(4, 1 / 4), abs=0.03)
    assert seen[strata == 1] / 3000 == pytest.approx(np.full(2, 1 / 2), abs=0.03)


@given(st.lists(st.tuples(*[st.integers(-1, 3)] * 3), min_size=1, max_size=60))
def test_strata_are_the_distinct_combinations_by_first_appearance(rows):
    columns = [np.array(column, np.int32) for column in zip(*rows, strict=True)]
    strata = stratify(columns, np.arange(len(rows), dtype=np.int32))
    seen: dict[tuple[int, ...], int] = {}
    assert strata.tolist() == [seen.setdefault(row, len(seen)) for row in rows]


def test_combinations_beyond_64_bits_stay_apart():
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 2**30, 500).astype(np.int32) for _ in range(7)]
    assert len(set(stratify(columns, np.arange(500, dtype=np.int32)).tolist())) == 500
