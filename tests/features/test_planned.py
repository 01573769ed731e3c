"""What is said before an extraction: counts, bytes and minutes."""

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.features import planned
from cytoimagenet_hf.features.planned import plan_line
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.networks import load_encoder


@pytest.fixture
def images(tmp_path):
    for site in range(4):
        for channel in (1, 2):
            tifffile.imwrite(tmp_path / f"A01_s{site}_w{channel}.tif", np.full((40, 40), site, np.uint16))
    return find_images(tmp_path, pattern="{well}_s{site}_w{c}.tif")


def test_a_plan_counts_images_and_bytes(images, tmp_path):
    size = sum(path.stat().st_size for path in tmp_path.iterdir()) / 1000
    assert plan_line(load_encoder("random:0"), images) == f"4 images of 2 channels, {size:.1f} kB to read"


def test_of_many_images_the_minutes_are_measured(images, monkeypatch):
    monkeypatch.setattr(planned, "_MANY", 4)
    monkeypatch.setattr(planned.torch.cuda, "is_available", lambda: False)
    line = plan_line(load_encoder("random:0"), images, storage="float16")
    assert line.endswith("of features to write, about 1 minute on this machine")


def test_a_plan_of_images_that_cannot_be_read_says_what_is_known(images, tmp_path, monkeypatch):
    monkeypatch.setattr(planned, "_MANY", 4)
    for path in tmp_path.iterdir():
        path.write_bytes(b"broken")
    assert plan_line(load_encoder("random:0"), images) == "4 images of 2 channels, 48 bytes to read"
