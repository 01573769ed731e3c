"""Zarr stores: absent chunks, acquisitions, and metadata that are damaged, incomplete or lead elsewhere."""

import json
import sys

import numpy as np
import pytest
import zarr

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_images, look
from scripts.simulate.plate_layouts import write_omezarr
from tests.images.plates import eight_fields


@pytest.fixture(params=["0.4", "0.5"])
def plate(request, tmp_path):
    return write_omezarr(tmp_path, "P", eight_fields(), seed=0, version=request.param)


def metadata_file(folder):
    return folder / "zarr.json" if (folder / "zarr.json").exists() else folder / ".zattrs"


def test_an_absent_chunk_is_the_fill_value_and_counted(plate) -> None:
    array = plate / "B" / "2" / "0" / "0"
    chunk = next(path for path in sorted(array.rglob("*")) if path.is_file() and path.name == "0")
    images = find_images(plate)
    before = images[0].stamp
    chunk.unlink()
    assert any(not plane.any() for plane in images[0].read())
    assert images[0].stamp != before
    found = look(plate)
    assert [image.metadata.get("absent_chunks", 0) for image in found.images] == [1, *[0] * 7]
    assert any("1 chunk is absent in 1 of 8 images" in note for note in found.notes)


@pytest.mark.parametrize("place", ["B/2", "B/2/0"])
def test_metadata_that_is_absent_refuses_what_lies_below(plate, place) -> None:
    metadata_file(plate / place).unlink()
    found = look(plate)
    assert len(found.images) == (7 if place == "B/2" else 8)
    assert len(found.rejected) == 1
    assert "no metadata" in found.rejected[0].reason
    assert all(image.channels == ("dna", "er", "rna", "agp", "mito") for image in found.images)


@pytest.mark.parametrize("content", [None, "{", "{}", '{"plate": {"wells": [3]}}', '{"plate": {"wells": []}}'])
def test_a_store_without_usable_metadata_is_one_line(plate, content) -> None:
    file = plate / ".zattrs"
    metadata_file(plate).unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=r"metadata|no images|JSON"):
        find_images(plate)


def test_acquisitions_and_fields_counted_from_one(tmp_path) -> None:
    root = write_omezarr(tmp_path, "P", eight_fields()[:2], seed=0, version="0.4")
    well = root / "B" / "2"
    (well / "1").rename(well / "2")
    (well / "0").rename(well / "1")
    images = [{"path": "1", "acquisition": 0}, {"path": "2", "acquisition": 3}]
    (well / ".zattrs").write_text(json.dumps({"well": {"images": images}}))
    found = find_images(root)
    assert [image.id for image in found] == ["P/B02/1", "P/B02/2"]
    assert [image.metadata["acquisition"] for image in found] == ["0", "3"]


@pytest.mark.parametrize(
    "content",
    [
        '{"plate": {"wells": [{"path": "../B", "rowIndex": 0, "columnIndex": 0}], "rows": [{"name": "B"}], "columns": '
        '[{"name": "2"}]}}',
        '{"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "../0"}]}]}',
    ],
)
def test_metadata_cannot_lead_out_of_the_store(tmp_path, content) -> None:
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / ".zattrs").write_text(content)
    with pytest.raises(InputError, match="outside it"):
        find_images(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [5, 1, 12]},
        {"chunks": [1, 1, 0, 16]},
        {"shape": "x"},
        {"shape": None},
        {"dimension_separator": 3},
        {"shape": [10**9, 1, 12, 16]},
        {"shape": [5, 1, 10**9, 10**9]},
    ],
)
def test_the_metadata_of_an_array_is_checked(tmp_path, change) -> None:
    plate = write_omezarr(tmp_path, "P", eight_fields()[:2], seed=0, version="0.4")
    array = plate / "B" / "2" / "0" / "0" / ".zarray"
    array.write_text(json.dumps(json.loads(array.read_text()) | change))
    (rejected,) = look(plate).rejected
    assert rejected.id == "P/B02/1"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_images_that_zarr_itself_wrote(tmp_path, zarr_format) -> None:
    pixels = np.arange(1, 2 * 2 * 10 * 14 + 1, dtype=np.uint16).reshape(2, 2, 10, 14)
    group = zarr.open_group(tmp_path / "x.ome.zarr", mode="w", zarr_format=zarr_format)
    group.create_array("0", data=pixels, chunks=(1, 1, 4, 5))
    group.create_array("1", data=pixels[..., ::2, ::2], chunks=(1, 1, 4, 5))
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space"} for name in "yx"]
    facts = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}, {"path": "1"}]}]}
    group.attrs.update({"ome": {"version": "0.5", **facts}} if zarr_format == 3 else facts)
    images = find_images(tmp_path / "x.ome.zarr", stains="dna,er")
    assert [(image.id, image.channels) for image in images] == [("x/1", ("dna", "er")), ("x/2", ("dna", "er"))]
    for image, expected in zip(images, pixels, strict=True):
        np.testing.assert_array_equal(image.read(), expected)
    assert [image.id for image in find_images(tmp_path)] == ["x/1", "x/2"]


def test_zarr_absent_is_named(plate, monkeypatch) -> None:
    (image, *_) = find_images(plate)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError, match=r"cytoimagenet-hf\[plates\]"):
        image.read()
