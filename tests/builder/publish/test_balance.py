"""Conflicting copies, class sizes and near-duplicates: exact counts, no dependence on row order."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.publish.balance import balance, copy_counts, near_groups
from builder.recipe import RECIPES
from builder.render.difference_hash import difference_hash
from cytoimagenet_hf.imaging import merge_channels
from tests.builder.tiny_builds import cells


def rule(**changes):
    return dataclasses.replace(RECIPES["corrected"], **({"min_images": 1, "max_images": 1000} | changes))


def table(rows):
    columns = ("image_id", "label", "sha256")
    return pa.table(
        {name: [row[n] for row in rows] for n, name in enumerate(columns)}
        | {"idx": [row[0] for row in rows], "dir_name": ["tiny"] * len(rows)}
    )


COPIES = [("d", "actin", "x"), ("b", "yeast", "x"), ("c", "actin", "y"), ("a", "actin", "y"), ("e", "yeast", "z")]


@pytest.mark.parametrize(("conflict", "kept"), [("keep", "abcde"), ("keep_first", "abce"), ("drop_all", "ace")])
def test_exact_copies_under_two_labels(conflict, kept):
    keep, rejections = balance(table(COPIES), rule(duplicate_conflict=conflict), seed=0)
    assert sorted(row[0] for row, kept_row in zip(COPIES, keep, strict=True) if kept_row) == list(kept)
    assert {r.reason for r in rejections} <= {"duplicate_conflict"}
    assert sorted(r.image_id for r in rejections) == sorted(set("abcde") - set(kept))


def test_a_source_that_is_left_out_takes_no_part_in_conflicts():
    images = table([("a", "actin", "x"), ("b", "yeast", "x"), ("c", "actin", "y")])
    images = images.set_column(
        images.schema.get_field_index("dir_name"), "dir_name", [["bbbc013", "idr0088", "idr0088"]]
    )
    keep, rejections = balance(images, rule(), seed=0, sources=["idr0088"])
    assert keep.tolist() == [False, True, True]
    assert [(rejection.image_id, rejection.reason) for rejection in rejections] == [("a", "source_left_out")]


def test_small_classes_go_and_large_ones_are_sampled_down():
    rows = [(f"a{n:03d}", "actin", f"a{n}") for n in range(50)] + [(f"y{n}", "yeast", f"y{n}") for n in range(4)]
    keep, rejections = balance(table(rows), rule(min_images=5, max_images=20), seed=0)
    assert keep[:50].sum() == 20
    assert not keep[50:].any()
    reasons = [rejection.reason for rejection in rejections]
    assert (reasons.count("over_max_images"), reasons.count("under_min_images")) == (30, 4)
    assert not np.array_equal(keep, balance(table(rows), rule(min_images=5, max_images=20), seed=1)[0])


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("pqrstuvw")), min_size=1, max_size=40), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_changes_nothing_and_every_row_is_accounted_for(pairs, random):
    rows = [(f"image{n:03d}", label, content) for n, (label, content) in enumerate(pairs)]
    shuffled = random.sample(rows, len(rows))
    recipe = rule(min_images=2, max_images=6)
    outcomes = []
    for given_rows in (rows, shuffled):
        keep, rejections = balance(table(given_rows), recipe, seed=3)
        outcomes.append({row[0] for row, kept in zip(given_rows, keep, strict=True) if kept})
        assert len(rejections) + keep.sum() == len(rows)
        assert outcomes[-1].isdisjoint(rejection.image_id for rejection in rejections)
    assert outcomes[0] == outcomes[1]


def test_copies_are_counted_across_labels_and_sources():
    columns = [["x", "x", "y", "y", "z"], ["a", "b", "a", "a", "a"], ["s", "s", "s", "t", "s"]]
    counts = copy_counts(*(pa.chunked_array([column]) for column in columns))
    assert counts == {"groups": 2, "images": 4, "across_labels": 1, "across_sources": 1}


def test_groups_of_near_duplicates_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2, (12, 128))
    rows = []
    for row in base:
        for flips in (0, 1, 3, 5):
            other = row.copy()
            other[rng.choice(128, flips, replace=False)] ^= 1
            rows.append(other)
    bits = np.array(rows)
    groups = near_groups([np.packbits(row).tobytes().hex() for row in bits])
    near = (bits[:, None] != bits[None]).sum(axis=2) <= 3
    reach = np.linalg.matrix_power(near.astype(np.int64), 8) > 0
    assert np.array_equal(groups[:, None] == groups[None], reach)
    assert 12 < len(set(groups.tolist())) <= 24


def test_noise_changes_few_bits_and_another_field_many():
    rng = np.random.default_rng(0)
    for seed in range(5):
        plane = cells(seed, side=200, channels=1)[0]
        noisy = (plane + rng.normal(0, 4, plane.shape)).clip(0).astype(np.uint16)
        other = cells(seed + 50, side=200, channels=1)[0]
        hashes = [difference_hash(merge_channels([image])) for image in (plane, noisy, other)]
        first, second, third = near_groups(hashes).tolist()
        assert first == second != third
        different = [bin(int(hashes[0], 16) ^ int(value, 16)).count("1") for value in hashes]
        assert different[1] <= 3 < 20 < different[2]


def test_many_equal_hashes_are_one_group():
    assert sorted(set(near_groups(["ab" * 16] * 5000 + ["00" * 16]).tolist())) == [0, 1]
    assert len(set(near_groups(["ab" * 16] * 5000).tolist())) == 1
