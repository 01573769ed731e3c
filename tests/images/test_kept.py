"""Images that stay in memory: read once as long as they fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.kept import kept_in_memory


def images_in(folder: Path) -> list[Image]:
    found = []
    for number in range(2):
        path = folder / f"{number}.tif"
        tifffile.imwrite(path, np.full((4, 5), number, np.uint16))
        found.append(Image(str(number), ("dna",), ((PlaneRef(path),),), {"plate": "p"}))
    return found


def test_an_image_is_read_once_and_its_stamp_is_that_of_its_file(tmp_path):
    plain = images_in(tmp_path)
    kept = kept_in_memory(plain)
    assert [image.stamp for image in kept] == [image.stamp for image in plain]
    first = [image.read()[0].tolist() for image in kept]
    for number in range(2):
        (tmp_path / f"{number}.tif").unlink()
    assert [replace(image, metadata={}).read()[0].tolist() for image in kept] == first
    with pytest.raises(InputError):
        plain[0].read()


def test_what_does_not_fit_is_read_again(tmp_path):
    first, second = kept_in_memory(images_in(tmp_path), most_bytes=40)  # 4 x 5 of two bytes: one image
    first.read(), second.read()
    for number in range(2):
        (tmp_path / f"{number}.tif").unlink()
    assert first.read()[0].shape == (4, 5)
    with pytest.raises(InputError):
        second.read()
