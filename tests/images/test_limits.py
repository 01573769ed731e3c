"""Planes that claim too many pixels are refused before they are read, whatever holds them."""

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image, PlaneRef, find_images


def test_the_limit_of_a_source_reaches_its_images(tmp_path):
    Pillow.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((10, 10), np.uint16))
    large, small = find_images(tmp_path, max_pixels=1000)
    assert small.read()[0].shape == (10, 10)
    with pytest.raises(InputError, match=r"a\.png claims 40 x 30 pixels, more than the limit of 1,000"):
        large.read()


@pytest.mark.parametrize("kind", ["npy", "hdf5", "hdf5-flat"])
def test_arrays_are_judged_by_their_shape(tmp_path, kind):
    if kind == "npy":
        path, place = tmp_path / "a.npy", (1,)
        np.save(path, np.zeros((2, 30, 40), np.uint8))
    else:
        path = tmp_path / "a.h5"
        place = ("x", 1, "", "") if kind == "hdf5" else ("y", 0, 0, 30, 40)
        with h5py.File(path, "w") as file:
            file["x"], file["y"] = np.zeros((2, 30, 40), np.uint8), np.zeros((2, 1200), np.uint8)
    plane = PlaneRef(path, kind=kind, place=place)
    assert Image("a", ("1",), ((plane,),)).read()[0].shape == (30, 40)
    with pytest.raises(InputError, match="40 x 30 pixels"):
        Image("a", ("1",), ((plane,),), max_pixels=1000).read()
