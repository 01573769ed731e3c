"""`extract` and other readers of models on damaged images, tables and models."""

import pytest

from tests.faults.files import FILES
from tests.faults.folders import snapshot
from tests.faults.models import MODELS, NAMED
from tests.faults.tables import TABLES
from tests.running import bounded, call, refused, refused_or_recorded, unchanged

HARMLESS = {"text_in_tags", "one_pixel_png", "one_pixel_tif", "thin_tif", "many_pages_tif", "half_nan_tif"}
"""Files that hold an image all the same: extracted or left out, but never a stop."""


@pytest.mark.parametrize("name", FILES)
def test_one_bad_image_is_one_recorded_rejection(name, sound, copied, tmp_path):
    suffix, make = FILES[name]
    plate = copied("plate")
    (plate / f"bad{suffix}").write_bytes(make())
    outcome = call(
        "cytoimagenet", "extract", plate, "--model", sound / "model", "--output", tmp_path / "out", "--json"
    )
    bounded(outcome)
    if name in HARMLESS:
        assert outcome.code in (0, 1), outcome.said
        return
    assert outcome.code == 1, outcome.said + outcome.shown
    assert "bad" in outcome.shown
    assert list((tmp_path / "out").glob("features-*.parquet"))


@pytest.mark.parametrize("name", TABLES)
def test_a_bad_table_of_images_is_refused(name, sound, copied, tmp_path):
    plate = copied("plate")
    table = plate / "images.csv"
    table.write_bytes(TABLES[name]((sound / "images.csv").read_bytes()))
    before = snapshot(tmp_path)
    outcome = call(
        *("cytoimagenet", "extract", table, "--model", sound / "model", "--output", tmp_path / "out"),
        *("--root", plate, "--channels", "dna"),
    )
    refused(outcome, "images.csv")
    unchanged(before, snapshot(tmp_path))


@pytest.mark.parametrize("name", MODELS)
def test_a_bad_model_gives_no_features(name, sound, copied, tmp_path):
    model = copied("model")
    MODELS[name](model)
    outcome = call("cytoimagenet", "extract", sound / "plate", "--model", model, "--output", tmp_path / "out")
    refused(outcome, NAMED.get(name, "model"))
    assert not list(tmp_path.glob("out/*.parquet"))


@pytest.mark.parametrize("name", ["cut_png", "huge_png", "vast_tif", "text_tif"])
def test_a_single_bad_file_is_refused_or_recorded(name, sound, tmp_path):
    suffix, make = FILES[name]
    (tmp_path / f"alone{suffix}").write_bytes(make())
    outcome = call(
        *("cytoimagenet", "extract", tmp_path / f"alone{suffix}", "--model", sound / "model"),
        *("--output", tmp_path / "out"),
    )
    refused_or_recorded(outcome, "alone")
