"""A visitor's files as fields of view with channels."""

import os

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.explore import upload
from cytoimagenet_hf.explore.upload import keep_within, read_upload
from scripts.simulate.object_server import ObjectServer


def write(folder, *names):
    folder.mkdir(exist_ok=True)
    for value, name in enumerate(names):
        tifffile.imwrite(folder / name, np.full((6, 7), value, np.uint16))
    return [folder / name for name in names]


def test_wells_in_unknown_names_are_fields_to_choose_from(tmp_path):
    wells = ("01-A-01", "02-A-02", "13-B-01")
    files = write(tmp_path / "in", *(f"Channel{c}-{well}.tif" for c in (1, 2) for well in wells))
    first = read_upload(files)
    assert (first.images, first.names) == (("upload/A01", "upload/A02", "upload/B01"), ("1", "2"))
    assert first.note == "Names of files are read as Channel{c}-{_}-{row}-{column}.tif."
    last = read_upload(files, image="upload/B01")
    assert [int(plane.max()) for plane in last.planes] == [2, 5]


def test_names_without_places_are_channels_of_one_field(tmp_path):
    both = read_upload(write(tmp_path / "in", "nuclei.tif", "actin.tif"))
    assert (both.image, both.names) == ("one image", ("actin", "nuclei"))
    assert [int(plane.max()) for plane in both.planes] == [1, 0]


def test_of_a_very_large_image_the_middle_is_looked_up(tmp_path):
    plane = np.zeros((30, 2100), np.uint16)
    plane[:, 26:-26] = 7
    tifffile.imwrite(tmp_path / "slide.tif", plane)
    upload = read_upload([tmp_path / "slide.tif"])
    assert [one.shape for one in upload.planes] == [(30, 2048)]
    assert (upload.planes[0] == 7).all()
    assert upload.note == "30 x 2,100 pixels: the middle 30 x 2,048 are looked up."


@pytest.mark.parametrize("name", ["img.tif", "A01_s1_w1.tif", "dna.tif"])
def test_two_files_of_one_name_are_both_read(tmp_path, name):
    files = [write(tmp_path / folder, "filler.tif", name)[1] for folder in ("a", "b")]
    tifffile.imwrite(files[1], np.full((6, 7), 9, np.uint16))
    answers = [read_upload(files)]
    answers += [read_upload(files, image=image) for image in answers[0].images[1:]]  # or two images to choose from
    assert {int(plane.max()) for answer in answers for plane in answer.planes} == {1, 9}


def test_too_many_pixels_and_too_many_planes_are_refused_before_they_are_read(tmp_path, monkeypatch):
    (large,) = write(tmp_path / "in", "large.tif")
    monkeypatch.setattr(upload, "MAX_PIXELS", 41)
    with pytest.raises(InputError, match=r"large\.tif claims 7 x 6 pixels"):
        read_upload([large])
    monkeypatch.setattr(upload, "MAX_PIXELS", 42)
    assert read_upload([large]).planes[0].shape == (6, 7)
    monkeypatch.setattr(upload, "MAX_PLANES", 4)
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.zeros((5, 6, 7), np.uint16), imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(InputError, match="one image of 5 planes"):
        read_upload([stack])
    with pytest.raises(InputError, match="one image of 5 planes"):
        read_upload(write(tmp_path / "many", *(f"{name}.tif" for name in "vwxyz")))


def test_the_oldest_uploads_go_when_all_take_too_much(tmp_path):
    for age, name in enumerate(("new", "looked-at", "old", "oldest")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.tif").write_bytes(bytes(10))
        os.utime(tmp_path / name / "a.tif", (1e9 - age, 1e9 - age))
    keep_within(tmp_path, quota=40)
    assert len(list(tmp_path.rglob("*.tif"))) == 4
    keep_within(tmp_path, quota=20, spared=[tmp_path / "oldest" / "a.tif"])
    assert {path.parent.name for path in tmp_path.rglob("*.tif")} == {"new", "oldest"}


def test_an_address_is_read_and_a_table_of_addresses_is_not(tmp_path):
    pytest.importorskip("obstore")
    write(tmp_path / "plate", "p_B02_s1_w1.tif", "p_B02_s1_w2.tif")
    with ObjectServer.of_folder(tmp_path, "b") as server:
        one = read_upload([f"{server.url}/b/plate/p_B02_s1_w2.tif"])
        assert [int(plane.max()) for plane in one.planes] == [1]
        before = dict(server.asked)
        table = tmp_path / "load_data.csv"
        table.write_text(
            "Metadata_Plate,Metadata_Well,Metadata_Site,FileName_OrigDNA,URL_OrigDNA\n"
            f"p,B02,1,x.tif,{server.url}/b/plate/p_B02_s1_w1.tif\n"
        )
        with pytest.raises(InputError, match="no address of this kind is opened here"):
            read_upload([table])
        assert server.asked == before
