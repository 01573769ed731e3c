"""Stacks in folders: the axes that a file states decide, and where it states none the caller is asked."""

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_images, look
from tests.images.plates import values


def counted(*shape: int) -> np.ndarray:
    """Planes of 4 x 6 that hold their own number."""
    planes = np.arange(int(np.prod(shape)), dtype=np.uint16).reshape(*shape, 1, 1)
    return np.broadcast_to(planes, (*shape, 4, 6)).copy()


def test_an_ome_stack_keeps_time_focus_and_channels_apart(tmp_path) -> None:
    metadata = {"axes": "TCZYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "x.ome.tif", counted(2, 2, 3), ome=True, metadata=metadata)
    first, second = find_images(tmp_path)
    assert [first.id, second.id] == ["x/1", "x/2"]
    assert (first.channels, values(first)) == (("dapi", "gfp"), [2, 5])
    assert values(second) == [8, 11]
    assert values(find_images(tmp_path, projection="mean")[0]) == [1, 4]
    assert values(find_images(tmp_path, projection="z=1")[1]) == [6, 9]


def test_an_imagej_stack_and_bare_stains(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", counted(3), imagej=True, metadata={"axes": "CYX"})
    (image,) = find_images(tmp_path, stains="dna,er,rna")
    assert (image.id, image.channels, values(image)) == ("x", ("dna", "er", "rna"), [0, 1, 2])
    with pytest.raises(InputError, match=r"2 stains .* for 3 channels"):
        find_images(tmp_path, stains="dna,er")


def test_pages_without_axes_are_asked_for(tmp_path) -> None:
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", counted(3), metadata=None)
    with pytest.raises(InputError, match="axes="):
        find_images(tmp_path)
    assert values(find_images(tmp_path, axes="C")[0]) == [0, 1, 2]
    assert values(find_images(tmp_path, axes="zyx")[0]) == [2]
    by_stains = find_images(tmp_path, stains="dna,er,rna")
    assert [image.channels for image in by_stains] == [("dna", "er", "rna")] * 2
    tifffile.imwrite(tmp_path / "c.tif", counted(2), metadata=None)
    found = look(tmp_path, stains="dna,er,rna")
    assert [rejected.id for rejected in found.rejected] == ["c"]
    assert "does not say" in found.rejected[0].reason


def test_several_pictures_of_a_file_are_fields(tmp_path) -> None:
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True) as writer:
        for number in (1, 2):
            writer.write(counted(2) + np.uint16(10 * number), metadata={"axes": "CYX"})
    images = find_images(tmp_path)
    assert [(image.id, values(image)) for image in images] == [("x/1", [10, 11]), ("x/2", [20, 21])]


def test_named_channels_may_be_stacks_in_focus(tmp_path) -> None:
    for channel in (1, 2):
        stack = counted(3) + np.uint16(10 * channel)
        tifffile.imwrite(tmp_path / f"B02_w{channel}.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    (image,) = find_images(tmp_path, format="imagexpress")
    assert values(image) == [12, 22]


def test_a_damaged_file_among_good_ones(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", counted(2), imagej=True, metadata={"axes": "CYX"})
    (tmp_path / "b.tif").write_bytes(b"")
    found = look(tmp_path)
    assert [image.channels for image in found.images] == [("1", "2"), ("1", "2")]
    assert "empty" in found.rejected[0].reason
    with pytest.raises(InputError, match="empty"):
        found.images[1].read()
