"""Pixel ranges over a plate: exact percentiles of a sample, one plate at a time, reused while nothing changes."""

import json

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.features.ranges import ValueCounts, measure_plates
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.tables import read_features
from tests.features.plates import plate_images, write_plate
from tests.tiny_encoder import tiny_encoder


@given(
    st.lists(arrays.arrays(np.uint16, (3, 4)), min_size=1, max_size=4),
    st.floats(0, 49.9),
    st.floats(50, 100),
)
def test_counted_percentiles_are_those_of_all_pixels(planes, low, high):
    counted = ValueCounts()
    for plane in planes:
        counted.add(plane)
    bottom, top = counted.between(low, high)
    expected = np.percentile(np.stack(planes).astype(np.float64), [low, high])
    assert bottom == pytest.approx(expected[0])
    assert top == pytest.approx(expected[1] if expected[1] > expected[0] else bottom + 1)


def test_floats_and_bytes_are_counted_too():
    counted = ValueCounts()
    counted.add(np.linspace(0, 1, 101))
    assert counted.between(10, 90) == pytest.approx((0.1, 0.9))
    counted = ValueCounts()
    counted.add(np.full((4, 4), 9, np.uint8))
    assert counted.between(0.1, 99.9) == (9, 10)


def test_each_plate_has_its_own_ranges_whatever_the_order_and_the_threads(tmp_path):
    write_plate(tmp_path / "screen", plate="p1")
    write_plate(tmp_path / "screen", plate="p2", gain=3)
    images = plate_images(tmp_path / "screen")
    plates = measure_plates(images, low=0, high=100)
    assert sorted(plates) == ["p1", "p2"]
    assert sorted(plates["p1"].ranges) == ["dna", "er"]
    for stain in ("dna", "er"):
        assert plates["p2"].ranges[stain] == pytest.approx([3 * end for end in plates["p1"].ranges[stain]])
    assert measure_plates(images[::-1], low=0, high=100, workers=2) == plates
    some = measure_plates(images, low=0, high=100, fields=3)
    assert some["p1"].fields == 3
    assert some == measure_plates(images[::-1], low=0, high=100, fields=3)


def test_over_a_plate_bright_stays_bright_and_a_dim_plate_is_comparable(tmp_path):
    write_plate(tmp_path / "screen", plate="p1")
    write_plate(tmp_path / "screen", plate="p2", gain=3)
    images = plate_images(tmp_path / "screen")
    means = {
        scope: extract_features(tiny_encoder(normalize=scope), images).values[:, 0].reshape(2, 4, 2).mean(2)
        for scope in ("image", "plate", "none")
    }
    # Wells grow brighter from the first to the last; the second plate is the first, three times as bright.
    assert np.ptp(means["image"]) < 0.05
    assert (np.diff(means["plate"], axis=1) > 0.02).all()
    np.testing.assert_allclose(means["plate"][0], means["plate"][1], atol=0.01)
    np.testing.assert_allclose(means["none"][1], 3 * means["none"][0], rtol=0.02)


def test_ranges_are_kept_recorded_and_measured_again_when_a_field_changes(tmp_path):
    encoder, output = tiny_encoder(normalize="plate"), tmp_path / "out"
    write_plate(tmp_path / "plate")
    settings = Extraction(shard_size=3, workers=0)
    extract_to_folder(encoder, plate_images(tmp_path / "plate"), output, settings=settings)
    table = read_features(output)
    assert table.about["normalize"] == "plate"
    assert (
        table.about["ranges"]["p1"]["dna"] == json.loads((output / "_ranges.json").read_text())["p1"]["ranges"]["dna"]
    )
    again = extract_to_folder(encoder, plate_images(tmp_path / "plate"), output, settings=settings)
    assert again.shards_made_now == 0
    tifffile.imwrite(tmp_path / "plate" / "p1_B01_s1_dna.tif", np.full((20, 20), 9000, np.uint16))
    again = extract_to_folder(encoder, plate_images(tmp_path / "plate"), output, settings=settings)
    assert (again.shards_made_now, again.shards_changed) == (3, 3)  # one field moved the range of all
    assert read_features(output).about["ranges"]["p1"]["dna"][1] == pytest.approx(9000)


def test_a_plate_of_which_nothing_can_be_read_is_refused_image_by_image(tmp_path):
    write_plate(tmp_path / "screen", plate="p1")
    write_plate(tmp_path / "screen", plate="p2")
    for file in (tmp_path / "screen").glob("p2_*"):
        file.write_bytes(b"")
    images = plate_images(tmp_path / "screen")
    summary = extract_to_folder(tiny_encoder(normalize="plate"), images, tmp_path / "out")
    assert (summary.kept, len(summary.rejected)) == (8, 8)


def test_arrays_have_no_plate():
    with pytest.raises(InputError, match=r"images\.Image"):
        extract_features(tiny_encoder(normalize="plate"), [np.eye(20)], ids=["a"])
