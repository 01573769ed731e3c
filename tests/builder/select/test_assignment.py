"""Minimum first: every label that can be a class becomes one before any takes more than it needs."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.recipe import load
from builder.select.choice import choose
from builder.select.fields import frame_fields
from cytoimagenet_hf.dataset.schema import CATEGORIES

SMALL = {"min_fields": "3", "max_fields": "6", "strata": "", "presample_strata": ""}
MINIMUM, IN_TURN = (load("corrected", SMALL | {"assignment": name}) for name in ("minimum first", "in turn"))


def frame(cells: list[dict[str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(cells, columns=list(CATEGORIES), dtype=object)
    return table.assign(idx=[f"s-{n:04d}" for n in range(len(cells))], dir_name="s")


def chosen(table: pd.DataFrame, recipe, seed: int = 0) -> dict[str, int]:
    choice = choose(frame_fields(table, [*CATEGORIES, "dir_name"]), recipe, seed=seed)
    return {outcome.label: outcome.chosen for outcome in choice.outcomes if outcome.reason is None}


def test_compounds_leave_their_mechanism_its_rows():
    # Three inhibitors of one enzyme, five fields each: in turn they take all fifteen.
    table = frame([{"compound": name, "phenotype": "inhibitor"} for name in "abc" for _ in range(5)])
    assert chosen(table, IN_TURN) == {"a": 5, "b": 5, "c": 5}
    # Three each first, three of the six left for the mechanism; then a and b and c share what is open.
    sizes = chosen(table, MINIMUM)
    assert set(sizes) == {"a", "b", "c", "inhibitor"}
    assert sum(sizes.values()) == 15
    assert min(sizes.values()) >= 3


def test_a_label_of_a_single_compound_is_a_class_beside_it_where_rows_suffice_for_both():
    for rows, classes in ((6, {"a", "inhibitor"}), (5, {"a"})):
        table = frame([{"compound": "a", "phenotype": "inhibitor"}] * rows)
        assert set(chosen(table, MINIMUM)) == classes


def tables(draw) -> pd.DataFrame:
    labels = {"compound": "abcdef", "phenotype": "uvw", "cell_type": "xy", "organism": "o"}
    cell = st.fixed_dictionaries(
        {name: st.one_of(st.none(), st.sampled_from([*values, values[0] + "|" + values[-1]]))
         for name, values in labels.items()}
    )  # fmt: skip
    return frame(draw(st.lists(cell, min_size=5, max_size=80)))


@settings(max_examples=150, deadline=None)
@given(st.composite(tables)(), st.integers(0, 3))
def test_what_holds_for_every_table(table, seed):
    fields = frame_fields(table, [*CATEGORIES, "dir_name"])
    choice = choose(fields, MINIMUM, seed=seed)
    counts = {number: int((choice.taken_by == number).sum()) for number in range(len(choice.outcomes))}
    for number, outcome in enumerate(choice.outcomes):
        rows = table.index[choice.taken_by == number]
        assert counts[number] == outcome.chosen
        assert all(outcome.label in table[outcome.category][row].split("|") for row in rows)
        if outcome.reason is None:
            assert MINIMUM.min_fields <= outcome.chosen <= min(MINIMUM.max_fields, outcome.free)
        else:
            assert outcome.chosen == 0
    # The same rows whatever their order in the table.
    backwards = choose(frame_fields(table[::-1], [*CATEGORIES, "dir_name"]), MINIMUM, seed=seed)
    assert backwards.taken_by.tolist() == choice.taken_by.tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), st.integers(0, 3))
def test_without_competition_both_ways_choose_the_same_rows(labels, seed):
    table = frame_fields(frame([{"compound": label} for label in labels]), [*CATEGORIES, "dir_name"])
    first, in_turn = (choose(table, recipe, seed=seed) for recipe in (MINIMUM, IN_TURN))
    assert first.taken_by.tolist() == in_turn.taken_by.tolist()
    assert first.outcomes == in_turn.outcomes


@pytest.mark.parametrize("number", range(2, 12))
def test_of_many_rare_labels_over_one_frequent_one_none_is_lost(number):
    """Each of `number` compounds has four fields, all of one cell line: 3 + 1 of each are enough for all of them."""
    cells = [{"compound": f"c{n}", "cell_type": "hela"} for n in range(number) for _ in range(4)]
    sizes = chosen(frame(cells), MINIMUM)
    assert {label for label in sizes if label != "hela"} == {f"c{n}" for n in range(number)}
    assert ("hela" in sizes) == (number >= 3)
