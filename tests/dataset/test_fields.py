"""Which rows show one physical field, and that a split and its report go by it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.fields import physical_fields
from cytoimagenet_hf.dataset.splits import apply_split_scheme, assign_splits, leak_report


def numbers(rows: pd.DataFrame) -> list[int]:
    """Fields numbered in the order of the rows; -1 for none."""
    return pd.factorize(physical_fields(rows))[0].tolist()


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        ({"field": ["f", "f", "g"], "idx": ["a", "b", "c"], "well": ["A01", "A02", "A01"]}, [0, 0, 1]),
        ({"dir_name": "s", "well": ["A01", "A01", "A02"], "idx": ["a", "b", "c"]}, [0, 0, 1]),
        ({"dir_name": ["s", "t", "s"], "well": "A01", "idx": ["a", "b", "c"]}, [0, 1, 0]),
        ({"plate": ["p", "p", "q"], "well": "A01", "site": ["1", "1", "1"]}, [0, 0, 1]),
        ({"dir_name": "s", "site": ["x", "y", "x"]}, [0, 1, 0]),  # an image of an atlas: no well
        ({"dir_name": "s", "plate": "p", "idx": ["a", "b", "b"]}, [0, 1, 1]),  # a plate alone is not a field
        ({"well": "A01", "idx": ["a", "b", "c"]}, [0, 1, 2]),  # of which plate, nobody knows
        ({"site": "hospital", "idx": ["a", "a", None]}, [0, 0, -1]),
        ({"field": [None, "f", None], "dir_name": "s", "well": ["A01", "A01", "A01"]}, [0, 1, 0]),
        ({"label": ["x", "y", "z"]}, [-1, -1, -1]),
    ],
)
def test_what_names_a_field(columns, fields):
    assert numbers(pd.DataFrame(columns, index=[5, 5, 7])) == fields


def plate(seed: int, *, wells: int = 96) -> pd.DataFrame:
    """Two channel images of each well as rows of their own, under two labels, in any order."""
    rows = [
        {"image_id": f"{well:02d}-{channel}", "idx": f"bbbc013-{well:02d}{channel}", "dir_name": "bbbc013"}
        | {"plate": None, "well": f"{'ABCDEFGH'[well // 12]}{well % 12 + 1:02d}", "site": None, "label": channel}
        for well in range(wells)
        for channel in ("gfp", "dna")
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=seed)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["field", "idx", "plate", "label"]))
def test_the_channels_of_a_well_stay_on_one_side_whatever_group_is_asked_for(seed, group):
    rows = plate(seed)
    split = assign_splits(rows, group=group, seed=seed)
    report = leak_report(rows.assign(split=split.to_numpy()))
    assert (report.group, report.groups, report.groups_on_both_sides) == ("field", 96, 0)
    if group not in ("plate", "label"):  # of which there is one or two: nothing can be set aside
        assert set(split) == {"train", "validation"}


def test_the_report_counts_wells_that_a_split_by_row_tears_apart():
    rows = plate(0, wells=3).sort_values("image_id")
    split = ["train", "validation", "train", "train", "validation", "validation"]
    report = leak_report(rows.assign(split=split))
    assert (report.groups, report.groups_on_both_sides, report.rows_of_those_groups) == (3, 1, 2)
    assert report.examples_groups == ("bbbc013//A01/",)
    assert leak_report(rows.assign(split=split), "idx").groups_on_both_sides == 0


def test_a_stored_split_that_tears_fields_is_made_anew():
    import datasets as hf

    rows = plate(1)
    sides = np.where(rows["label"] == "dna", "validation", "train")
    parts = {
        side: hf.Dataset.from_pandas(rows[sides == side], preserve_index=False) for side in ("train", "validation")
    }
    stored = hf.DatasetDict(parts)
    assert leak_report(stored).groups_on_both_sides == 96
    assert leak_report(apply_split_scheme(stored, "field")).groups_on_both_sides == 0


def test_a_table_that_names_no_field_is_refused():
    rows = pd.DataFrame({"image_id": ["a", "b"], "label": "x", "split": ["train", "validation"]})
    for refused in (lambda: leak_report(rows), lambda: assign_splits(rows, seed=0)):
        with pytest.raises(InputError, match=r"no column \['field'\]"):
            refused()
