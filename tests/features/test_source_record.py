"""A report finds the images behind features by itself, or says why not."""

import json

import pytest

from cytoimagenet_hf.cli import main
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.features.source_record import SOURCE, recorded_images, write_source
from cytoimagenet_hf.features.store import Settings
from cytoimagenet_hf.images import find_images
from tests.features.plates import PATTERN, write_plate
from tests.tiny_encoder import tiny_encoder


@pytest.fixture
def plate(tmp_path, monkeypatch):
    """A plate and its features, made from within the folder that holds both."""
    write_plate(tmp_path / "plate")
    monkeypatch.chdir(tmp_path)
    options = {"pattern": PATTERN, "stains": "dna=nuclei"}
    images = find_images("plate", **options)
    extract_to_folder(tiny_encoder(), images, "features", settings=Settings(workers=0))
    write_source(tmp_path / "features", "plate", options, images)
    return tmp_path / "plate"


def test_the_same_images_are_found_from_elsewhere(plate, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    images, why = recorded_images(tmp_path / "features")
    assert (len(images), why, set(images[0].channels)) == (8, "", {"nuclei", "er"})


def test_images_that_moved_or_changed_are_not_shown(plate, tmp_path):
    features = tmp_path / "features"
    file = next(plate.glob("*_dna.tif"))
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    assert recorded_images(features) == ([], f"the images in {plate} have changed since the features were made")
    plate.rename(tmp_path / "moved")
    images, why = recorded_images(features)
    assert (images, why.startswith("the images are not found again: ")) == ([], True)
    assert str(plate) in why


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"source": "x"}', '{"source": "x", "options": {"a": 1}, "stamp": ""}']
)
def test_features_without_a_record_say_so(plate, tmp_path, content):
    (tmp_path / "features" / SOURCE).unlink()
    if content is not None:
        (tmp_path / "features" / SOURCE).write_text(content)
    images, why = recorded_images(tmp_path / "features")
    assert images == []
    assert "where their images lie" in why or "not found again" in why


def profile(tmp_path, capsys, *options):
    code = main(["profile", "features", "--output", "wells.parquet", "--report", "plate.html", "--json", *options])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if code == 0 else printed.err


def test_the_page_has_pictures_without_being_told_of_them(plate, tmp_path, capsys):
    code, said = profile(tmp_path, capsys)
    assert (code, said["report"]["without_pictures"]) == (0, "")
    assert "data:image/jpeg" in (tmp_path / "plate.html").read_text()
    code, said = profile(tmp_path, capsys, "--images", "none")
    assert (code, said["report"]["without_pictures"]) == (0, "--images none")
    assert "data:image/jpeg" not in (tmp_path / "plate.html").read_text()
    plate.rename(tmp_path / "moved")
    code, said = profile(tmp_path, capsys)
    assert code == 0
    assert "not found again" in said["report"]["without_pictures"]


def test_a_report_that_cannot_be_written_leaves_no_profiles(plate, tmp_path, capsys):
    code, said = profile(tmp_path, capsys, "--level", "site")
    assert (code, "--level well" in said) == (2, True)
    code, said = profile(tmp_path, capsys, "--pattern", PATTERN)
    assert (code, "give --images" in said) == (2, True)
    assert not (tmp_path / "wells.parquet").exists()
