"""A report finds the images behind features by itself, or says why not."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from cytoimagenet_hf.cli import main
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.features.source_record import SOURCE, found_place, recorded_images, recorded_place, write_source
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.options.source import SourceOptions
from tests.features.plates import PATTERN, write_plate
from tests.tiny_encoder import tiny_encoder


@pytest.fixture
def plate(tmp_path, monkeypatch):
    """A plate and its features, made from within the folder that holds both."""
    write_plate(tmp_path / "plate")
    monkeypatch.chdir(tmp_path)
    options = {"pattern": PATTERN, "stains": "dna=nuclei"}
    images = find_images("plate", **options)
    extract_to_folder(tiny_encoder(), images, "features", settings=Extraction(workers=0))
    write_source(tmp_path / "features", "plate", SourceOptions(**options), images)
    return tmp_path / "plate"


def test_the_same_images_are_found_from_elsewhere(plate, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    images, why = recorded_images(tmp_path / "features")
    assert why == ""
    wanted = find_images(plate, pattern=PATTERN, stains="dna=nuclei")
    assert [(image.id, image.channels, image.stamp) for image in images] == [
        (image.id, image.channels, image.stamp) for image in wanted
    ]
    assert len({image.id for image in images}) == 8
    for image, other in zip(images, wanted, strict=True):
        np.testing.assert_array_equal(image.read(), other.read())


def test_the_record_names_no_place_of_the_machine_and_moves_with_the_data(plate, tmp_path):
    record = json.loads((tmp_path / "features" / SOURCE).read_text())
    assert record["source"] == "../plate"
    assert str(tmp_path) not in json.dumps(record)
    before, _ = recorded_images(tmp_path / "features")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("plate", "features"):
        (tmp_path / name).rename(moved / name)
    images, why = recorded_images(moved / "features")
    assert (why, [image.id for image in images]) == ("", [image.id for image in before])


@pytest.mark.parametrize(
    ("place", "folder", "recorded"),
    [
        ("/home/ada/screens/p1", "/home/ada/features/p1", "../../screens/p1"),
        ("/home/ada/screens/p1/*.tif", "/home/ada/screens/features", "../p1/*.tif"),
        ("/home/ada/screens/p1", "/scratch/features", "~/screens/p1"),
        ("/home/ada/p1", "/home/eve/features", "~/p1"),
        ("/data/p1", "/home/ada/features", "/data/p1"),
        ("/data/p1", "/data/p1/features", ".."),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of Windows have drives")
def test_places_are_relative_or_below_home(place, folder, recorded, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert recorded_place(place, Path(folder)) == recorded
    assert found_place(recorded, Path(folder)) == place


def test_the_root_of_a_table_is_written_the_same_way(plate, tmp_path):
    features = tmp_path / "features"
    rows = [f"a,{file.name}" for file in sorted(plate.glob("*_dna.tif"))[:1]]
    (tmp_path / "files.csv").write_text("\n".join(["id,dna", *rows]))
    options = {"format": "table", "channels": "dna", "root": plate}
    images = find_images(tmp_path / "files.csv", **options)
    write_source(features, str(tmp_path / "files.csv"), SourceOptions(**options), images)
    record = json.loads((features / SOURCE).read_text())
    assert (record["source"], record["options"]["root"]) == ("../files.csv", "../plate")
    again, why = recorded_images(features)
    assert (why, [image.stamp for image in again]) == ("", [image.stamp for image in images])


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
    code, printed = profile(tmp_path, capsys)
    assert (code, printed["report"]["without_pictures"]) == (0, "")
    assert "data:image/jpeg" in (tmp_path / "plate.html").read_text()
    code, printed = profile(tmp_path, capsys, "--images", "none")
    assert (code, printed["report"]["without_pictures"]) == (0, "--images none")
    assert "data:image/jpeg" not in (tmp_path / "plate.html").read_text()
    plate.rename(tmp_path / "moved")
    code, printed = profile(tmp_path, capsys)
    assert code == 0
    assert "not found again" in printed["report"]["without_pictures"]


def test_a_report_that_cannot_be_written_leaves_no_profiles(plate, tmp_path, capsys):
    code, printed = profile(tmp_path, capsys, "--level", "site")
    assert (code, "--level well" in printed) == (2, True)
    code, printed = profile(tmp_path, capsys, "--pattern", PATTERN)
    assert (code, "give --images" in printed) == (2, True)
    assert not (tmp_path / "wells.parquet").exists()
