import json

import datasets as hf
import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.leaks import leak_report
from tests.running import call

PLANTED = pd.DataFrame(
    {
        # Field f1 has a crop on each side; c and g are the same image under one label, d and h under two.
        "image_id": list("abcdefgh"),
        "idx": ["f1", "f2", "f3", "f4", "f1", "f5", "f6", "f7"],
        "label": ["x", "x", "x", "x", "x", "x", "x", "y"],
        "sha256": ["1", "2", "3", "4", "5", "6", "3", "4"],
        "split": ["train"] * 4 + ["validation"] * 4,
    }
)


def in_splits(table: pd.DataFrame) -> hf.DatasetDict:
    return hf.DatasetDict(
        {
            name: hf.Dataset.from_pandas(rows.drop(columns="split"), preserve_index=False)
            for name, rows in table.groupby("split")
        }
    )


def with_images(table: pd.DataFrame, pixels: list[np.ndarray]) -> hf.Dataset:
    features = hf.Features({name: hf.Value("string") for name in table} | {"image": hf.Image(mode="L")})
    return hf.Dataset.from_dict(table.to_dict("list") | {"image": pixels}, features=features)


def planted_images() -> hf.DatasetDict:
    """The same plants as pictures, without hashes."""
    sides = {}
    for name, rows in PLANTED.groupby("split"):
        pixels = [np.random.default_rng(int(sha)).integers(0, 255, (6, 5), np.uint8) for sha in rows["sha256"]]
        sides[name] = with_images(rows.drop(columns=["split", "sha256"]), pixels)
    return hf.DatasetDict(sides)


@pytest.mark.parametrize(
    "dataset",
    [
        PLANTED,
        in_splits(PLANTED),
        hf.Dataset.from_pandas(PLANTED),
        hf.IterableDatasetDict({name: part.to_iterable_dataset() for name, part in in_splits(PLANTED).items()}),
    ],
    ids=["frame", "splits", "split column", "streamed"],
)
def test_what_was_planted_is_found_in_every_form_of_dataset(dataset):
    report = leak_report(dataset)
    assert (report.groups, report.groups_on_both_sides, report.rows_of_those_groups) == (7, 1, 2)
    assert (report.copies_same_label, report.copies_conflicting_label, report.copies_by) == (1, 1, "sha256")
    assert report.examples_groups == ("f1",)
    assert report.examples_copies == (("c", "g"), ("d", "h"))
    assert report.rows == {"train": 4, "validation": 4}
    assert not report.leak_free


def test_without_hashes_the_decoded_pixels_are_compared():
    report = leak_report(planted_images())
    assert (report.copies_same_label, report.copies_conflicting_label, report.copies_by) == (1, 1, "pixels")


def test_equal_bytes_of_another_shape_are_no_copy():
    image = np.arange(12, dtype=np.uint8)
    table = pd.DataFrame({"idx": ["a", "b"], "split": ["train", "validation"]})
    assert leak_report(with_images(table, [image.reshape(3, 4), image.reshape(4, 3)])).leak_free
    assert leak_report(with_images(table, [image.reshape(3, 4)] * 2)).copies_same_label == 1


def test_copies_within_one_side_are_no_leak():
    table = PLANTED.assign(sha256=["1", "1", "2", "2", "5", "6", "6", "8"], idx=list("abcdefgh"))
    assert leak_report(table).leak_free


def test_unknown_groups_and_hashes_tie_nothing():
    table = PLANTED.assign(idx=None, sha256=None).astype({"idx": object})
    report = leak_report(table)
    assert (report.groups, report.groups_on_both_sides, report.leak_free) == (0, 0, True)


def test_a_dataset_without_images_says_that_copies_were_not_compared():
    assert leak_report(PLANTED.drop(columns="sha256")).copies_by == "none"


def test_the_number_of_examples_is_bounded():
    table = pd.DataFrame({"idx": [str(n % 50) for n in range(100)], "split": ["train"] * 50 + ["validation"] * 50})
    report = leak_report(table, examples=3)
    assert report.groups_on_both_sides == 50
    assert len(report.examples_groups) == 3


@pytest.mark.parametrize(
    ("dataset", "group", "says"),
    [
        (PLANTED, "plate", r"no column \['plate'\]; it has .*--group"),
        (in_splits(PLANTED), "plate", r"no column \['plate'\]"),
        (PLANTED.drop(columns="split"), "idx", r"no column \['split'\]"),
        (hf.Dataset.from_pandas(PLANTED.drop(columns="split")), "idx", "not divided into splits"),
        (hf.DatasetDict(), "idx", "has no split"),
    ],
)
def test_a_dataset_that_cannot_be_judged_is_refused(dataset, group, says):
    with pytest.raises(InputError, match=says):
        leak_report(dataset, group)


def test_the_command_prints_json_and_can_fail_a_pipeline(tmp_path, monkeypatch):
    folder = tmp_path / "cytoimagenet"
    (folder / "data").mkdir(parents=True)
    for name, part in planted_images().items():
        part.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    printed = call("cytoimagenet", "leaks", folder, "--json")
    assert printed.code == 0, printed.said
    report = json.loads(printed.shown)
    assert (report["groups_on_both_sides"], report["copies_same_label"], report["leak_free"]) == (1, 1, False)
    checked = call("cytoimagenet", "leaks", folder, "--check")
    assert checked.code == 1
    assert "exact copies, other label" in checked.shown
