"""Crops lie where the rule puts them, for any image and any seed."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.render import Crop, plan_crops

SIDE = st.integers(1, 3000)
SEED = st.integers(0, 2**32)


def window_of(crop: Crop, height: int, width: int) -> tuple[int, int, int, int]:
    """x_min, x_max, y_min, y_max of the quarter a crop belongs to."""
    row, column = divmod(crop.window, 2)
    return column * (width // 2), (column + 1) * (width // 2), row * (height // 2), (row + 1) * (height // 2)


@given(SIDE, SIDE, st.integers(1, 4), SEED)
@settings(max_examples=300, deadline=None)
def test_crops_lie_in_their_own_windows_at_the_scale_they_record(height, width, wanted, seed):
    crops = plan_crops(height, width, wanted=wanted, rng=np.random.default_rng(seed))
    assert len(crops) == (wanted if min(height, width) >= 140 else 0)
    assert len({crop.window for crop in crops}) == len(crops)
    for crop in crops:
        x_min, x_max, y_min, y_max = window_of(crop, height, width)
        assert 0 <= x_min <= crop.x_min < crop.x_max <= x_max <= width
        assert 0 <= y_min <= crop.y_min < crop.y_max <= y_max <= height
        assert crop.scaling in (1 / 2, 1 / 4, 1 / 8, 1 / 16)
        assert (crop.x_max - crop.x_min, crop.y_max - crop.y_min) == (
            int(width * crop.scaling),
            int(height * crop.scaling),
        )
        assert min(crop.x_max - crop.x_min, crop.y_max - crop.y_min) >= 70


@given(st.integers(140, 900), st.integers(140, 900), SEED)
@settings(max_examples=50, deadline=None)
def test_fewer_crops_are_the_first_of_more(height, width, seed):
    planned = [plan_crops(height, width, wanted=n, rng=np.random.default_rng(seed)) for n in (1, 2, 3, 4)]
    assert all(shorter == longer[: len(shorter)] for shorter, longer in itertools.pairwise(planned))


def test_half_the_side_is_the_window_itself():
    crops = plan_crops(141, 150, wanted=4, rng=np.random.default_rng(0))
    assert sorted((dataclasses.astuple(crop) for crop in crops), key=lambda crop: crop[-1]) == [
        (0, 75, 0, 70, 0.5, 0),
        (75, 150, 0, 70, 0.5, 1),
        (0, 75, 70, 140, 0.5, 2),
        (75, 150, 70, 140, 0.5, 3),
    ]


def test_every_fitting_scale_and_place_comes_up():
    rng = np.random.default_rng(0)
    crops = [crop for _ in range(300) for crop in plan_crops(1120, 1120, wanted=1, rng=rng)]
    assert {crop.scaling for crop in crops} == {1 / 2, 1 / 4, 1 / 8, 1 / 16}
    assert {crop.window for crop in crops} == {0, 1, 2, 3}
    smallest = [crop.x_min % 560 for crop in crops if crop.scaling == 1 / 16]
    assert min(smallest) < 60
    assert max(smallest) > 430  # of 490


@pytest.mark.parametrize(
    ("options", "count"),
    [({"min_whole_side": 200}, 0), ({"min_side": 80}, 0), ({"scales": (1 / 4,)}, 0), ({"min_side": 30}, 4)],
)
def test_the_recipe_can_ask_for_other_sizes(options, count):
    assert len(plan_crops(150, 150, wanted=4, rng=np.random.default_rng(0), **options)) == count
