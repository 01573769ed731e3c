"""A visitor's files as fields of view with channels."""

import numpy as np
import tifffile

from cytoimagenet_hf.explore.upload import read_upload


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
