import datasets as hf
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.splits import apply_split_scheme, assign_splits, leak_report


def images(fields: dict[str, list[int]], *, copies: dict[str, str] | None = None) -> pd.DataFrame:
    """label → crops of each of its fields; `copies` gives an image the pixels of another."""
    rows = []
    for label, crops in fields.items():
        for field, count in enumerate(crops):
            rows += [
                {"image_id": f"{label}{field}-{crop}", "idx": f"{label}{field}", "label": label}
                for crop in range(count)
            ]
    table = pd.DataFrame(rows)
    table["sha256"] = table["image_id"].replace(copies or {})
    return table


tables = st.dictionaries(
    st.sampled_from(["actin", "dmso", "nucleus"]), st.lists(st.integers(1, 4), min_size=1, max_size=60), min_size=1
)


@settings(deadline=None)
@given(tables, st.sampled_from([0.1, 0.25, 0.5]), st.integers(0, 3), st.data())
def test_groups_and_copies_stay_on_one_side_and_labels_near_their_fraction(fields, fraction, seed, data):
    table = images(fields)
    ids = table["image_id"].tolist()
    copied = data.draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), max_size=4))
    table["sha256"] = table["image_id"].replace(dict(copied))
    split = assign_splits(table, fraction=fraction, seed=seed)
    report = leak_report(table.assign(split=split.to_numpy()))
    assert report.leak_free
    if not copied:
        of_label = (split == "validation").groupby(table["label"].to_numpy()).agg(["sum", "size"])
        sizes = table.groupby(["label", "idx"]).size().groupby("label")
        near = (of_label["sum"] - fraction * of_label["size"]).abs() <= sizes.max() / 2 + 1e-9
        took_a_turn = of_label["sum"] == sizes.min()  # too small to give one by itself
        assert (near | took_a_turn).all()


@settings(deadline=None)
@given(tables, st.sampled_from(["field", "published"]), st.integers(0, 3))
def test_the_order_of_rows_changes_nothing(fields, scheme, seed):
    table = images(fields)
    split = assign_splits(table, scheme=scheme, seed=seed)
    shuffled = assign_splits(table.sample(frac=1, random_state=1), scheme=scheme, seed=seed)
    pd.testing.assert_series_equal(split, shuffled.loc[split.index])


def test_the_published_scheme_is_by_row_stratified_and_exact():
    table = images({"actin": [4] * 50, "dmso": [1] * 100})
    split = assign_splits(table, scheme="published", seed=0)
    assert (split == "validation").groupby(table["label"].to_numpy()).sum().to_dict() == {"actin": 20, "dmso": 10}
    report = leak_report(table.assign(split=split.to_numpy()))
    # Twenty of 200 crops, four a field: most of the fields they come from have crops on the other side.
    assert report.groups_on_both_sides >= 10


def test_copies_tie_fields_of_different_labels_and_chains_of_them():
    # a0 = b0 by one pair of crops, b0 = c0 by another: the three fields are one component.
    table = images({"a": [2, 2], "b": [2, 2], "c": [2, 2]}, copies={"b0-0": "a0-0", "c0-1": "b0-1"})
    for seed in range(20):
        split = assign_splits(table, fraction=0.5, seed=seed)
        assert split[table["idx"].isin(["a0", "b0", "c0"]).to_numpy()].nunique() == 1


def test_a_stricter_group_keeps_its_plates_whole_and_falls_back_to_the_field_where_unknown():
    table = images({"actin": [2] * 40, "dmso": [2] * 40})
    number = table["idx"].str.extract(r"(\d+)")[0].astype(int)
    table["plate"] = ("p" + (number // 4).astype(str)).where(number < 36)
    split = assign_splits(table, group="plate", seed=0).to_numpy()
    report = leak_report(table.assign(split=split), "plate")
    assert (report.groups, report.groups_on_both_sides) == (9, 0)
    assert leak_report(table.assign(split=split), "idx").groups_on_both_sides == 0
    assert 0.05 <= (split == "validation").mean() <= 0.15


def test_another_seed_gives_another_split_and_another_field_enters():
    table = images({"actin": [2] * 100})
    first, second = (assign_splits(table, seed=seed) for seed in (0, 1))
    assert (first == "validation").sum() == (second == "validation").sum() == 20
    assert not first.equals(second)


def test_validation_is_not_made_of_the_largest_fields():
    table = images({"actin": [1, 4] * 200})
    split = assign_splits(table, seed=0)
    crops = table.groupby("idx").size()
    in_validation = split[split == "validation"].index.str.split("-").str[0].unique()
    assert 0.3 <= (crops[in_validation] == 4).mean() <= 0.7


def test_arrow_tables_and_frames_agree():
    table = images({"actin": [3] * 20})
    pd.testing.assert_series_equal(
        assign_splits(table, seed=0), assign_splits(pa.Table.from_pandas(table), seed=0), check_index_type=False
    )


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (lambda t: t, {"scheme": "random"}, "unknown split scheme 'random': choose one of field, published"),
        (lambda t: t, {"fraction": 0.0}, "must lie between 0 and 1"),
        (lambda t: t, {"group": "plate"}, r"no column \['plate'\]"),
        (lambda t: t.drop(columns="label"), {}, r"no column \['label'\]"),
        (lambda t: t.assign(image_id="x"), {}, "image_id 'x' and 4 others occur twice"),
        (lambda t: t.assign(label=None), {}, "6 rows of the image table have no label"),
    ],
)
def test_an_unusable_table_or_option_is_refused(change, options, says):
    with pytest.raises(InputError, match=says):
        assign_splits(change(images({"actin": [2, 2, 2]})), seed=0, **options)


# Schemes of a loaded dataset.


def stored(table: pd.DataFrame, split: pd.Series) -> hf.DatasetDict:
    sides = {}
    for side in ("train", "validation"):
        rows = table[(split == side).to_numpy()]
        sides[side] = hf.Dataset.from_pandas(rows, preserve_index=False).cast_column(
            "label", hf.ClassLabel(names=["actin", "dmso"])
        )
    return hf.DatasetDict(sides)


@pytest.fixture
def dataset() -> hf.DatasetDict:
    table = images({"actin": [4] * 50, "dmso": [2] * 50})
    return stored(table, assign_splits(table, seed=0))


def test_the_published_scheme_of_a_stored_split_keeps_every_row_once_and_leaks(dataset):
    published = apply_split_scheme(dataset, "published")
    ids = [set(published[side]["image_id"]) for side in ("train", "validation")]
    assert ids[0] | ids[1] == {*dataset["train"]["image_id"], *dataset["validation"]["image_id"]}
    assert not ids[0] & ids[1]
    assert np.bincount(published["validation"]["label"]).tolist() == [20, 10]
    assert leak_report(dataset).leak_free
    assert leak_report(published).groups_on_both_sides > 10


def test_a_scheme_is_the_same_for_a_stream_and_the_same_again(dataset):
    published = apply_split_scheme(dataset, "published")
    again = apply_split_scheme(apply_split_scheme(dataset, "published"), "published")
    streamed = apply_split_scheme(
        hf.IterableDatasetDict({name: part.to_iterable_dataset() for name, part in dataset.items()}), "published"
    )
    for side in ("train", "validation"):
        ids = set(published[side]["image_id"])
        assert {row["image_id"] for row in streamed[side]} == ids
        assert set(again[side]["image_id"]) == ids


def test_the_published_scheme_of_a_loaded_dataset_is_the_one_of_its_build(dataset):
    table = images({"actin": [4] * 50, "dmso": [2] * 50})
    built = assign_splits(table, scheme="published", seed=0)
    loaded = apply_split_scheme(dataset, "published")
    assert set(loaded["validation"]["image_id"]) == set(built.index[built == "validation"])


def test_a_leak_free_dataset_is_returned_as_stored_and_a_leaking_one_is_mended(dataset):
    assert apply_split_scheme(dataset, "field") is dataset
    published = apply_split_scheme(dataset, "published")
    assert leak_report(apply_split_scheme(published, "field")).leak_free


def test_an_unknown_scheme_of_a_loaded_dataset_is_refused(dataset):
    with pytest.raises(InputError, match="unknown split scheme"):
        apply_split_scheme(dataset, "rows")


def test_small_labels_of_large_fields_take_turns_instead_of_leaving_validation_empty():
    rows = pd.DataFrame({"image_id": [f"{n:03d}" for n in range(120)]})
    rows["label"], rows["idx"] = rows.index // 12, rows.index // 4
    split = assign_splits(rows, fraction=0.1, seed=0).to_numpy()
    taken = rows[split == "validation"]
    assert len(taken) == 12
    assert taken["label"].nunique() == taken["idx"].nunique() == 3
    lone = rows.assign(idx=rows["label"])  # one field a label: nothing could be taken without losing the label
    assert set(assign_splits(lone, fraction=0.1, seed=0)) == {"train"}
