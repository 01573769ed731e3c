"""Stores and files of microscopes: damaged, incomplete and unknown ones say what is wrong and who reads them."""

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import zarr

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.images import find_images, look
from cytoimagenet_hf.images.stores import lif, nd2
from cytoimagenet_hf.simulate.plate_layouts import write_omezarr
from tests.images.plates import eight_fields


@pytest.fixture(params=["0.4", "0.5"])
def plate(request, tmp_path):
    return write_omezarr(tmp_path, "P", eight_fields(), seed=0, version=request.param)


def metadata_file(folder):
    return folder / "zarr.json" if (folder / "zarr.json").exists() else folder / ".zattrs"


def test_an_absent_chunk_is_an_image_without_it(plate) -> None:
    array = plate / "B" / "2" / "0" / "0"
    chunk = next(path for path in sorted(array.rglob("*")) if path.is_file() and path.name == "0")
    images = find_images(plate)
    before = images[0].stamp
    chunk.unlink()
    with pytest.raises(InputError, match=r"chunk .* is absent"):
        images[0].read()
    assert images[0].stamp != before
    assert len(images[1].read()) == 5


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


def test_a_czi_that_its_library_wrote(tmp_path) -> None:
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(tmp_path / "x.czi")) as document:
        for scene in (0, 1):
            for c in (0, 1):
                for z in (0, 1):
                    plane = np.full((8, 10, 1), 100 * scene + 10 * c + z, np.uint16)
                    document.write(plane, plane={"C": c, "Z": z}, scene=scene, location=(50 * scene, 0))
        document.write_metadata("x", channel_names={0: "DAPI", 1: "GFP"})
    images = find_images(tmp_path)
    assert [(image.id, image.channels) for image in images] == [("x/1", ("dapi", "gfp")), ("x/2", ("dapi", "gfp"))]
    assert [[int(plane.max()) for plane in image.read()] for image in images] == [[1, 11], [101, 111]]
    assert images[1].read()[0].shape == (8, 10)


@pytest.mark.parametrize(("suffix", "package"), [(".czi", "pylibCZIrw"), (".nd2", "nd2"), (".lif", "liffile")])
def test_a_file_that_no_package_can_read_names_its_reader(tmp_path, suffix, package) -> None:
    pytest.importorskip(package)
    (tmp_path / f"x{suffix}").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(InputError, match=f"{package} cannot read .*x{suffix}"):
        find_images(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "module", "extra"),
    [(".czi", "pylibCZIrw.czi", "czi"), (".nd2", "nd2", "plates"), (".lif", "liffile", "plates")],
)
def test_an_absent_package_is_named_with_its_extra(tmp_path, monkeypatch, suffix, module, extra) -> None:
    (tmp_path / f"x{suffix}").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"pip install 'cytoimagenet-hf\[{extra}\]'"):
        find_images(tmp_path)


def test_zarr_absent_is_named(plate, monkeypatch) -> None:
    (image, *_) = find_images(plate)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError, match=r"cytoimagenet-hf\[plates\]"):
        image.read()


class FakeNd2:
    """The part of nd2.ND2File that is used: two positions, two z planes, two channels."""

    def __init__(self, path: str) -> None:
        points = [SimpleNamespace(name="B02_0000"), SimpleNamespace(name="B03_0000")]
        self.sizes = {"P": 2, "Z": 2, "C": 2, "Y": 4, "X": 5}
        self.loop_indices = [{"P": p, "Z": z} for p in (0, 1) for z in (0, 1)]
        names = [SimpleNamespace(channel=SimpleNamespace(name=name)) for name in ("DAPI", "GFP")]
        self.metadata = SimpleNamespace(channels=names)
        self.experiment = [SimpleNamespace(type="XYPosLoop", parameters=SimpleNamespace(points=points))]

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        return None

    def read_frame(self, number: int) -> np.ndarray:
        return np.stack([np.full((4, 5), 10 * number + c, np.uint16) for c in (0, 1)])


def test_positions_of_an_nd2_are_sites(tmp_path, monkeypatch) -> None:
    module = ModuleType("nd2")
    module.ND2File = FakeNd2
    monkeypatch.setitem(sys.modules, "nd2", module)
    (tmp_path / "P.nd2").write_bytes(b"x")
    images = find_images(tmp_path)
    assert [(image.id, image.channels) for image in images] == [
        ("P/B02/1", ("dapi", "gfp")),
        ("P/B03/2", ("dapi", "gfp")),
    ]
    assert [[int(plane.max()) for plane in image.read()] for image in images] == [[10, 11], [30, 31]]
    assert nd2.describe(tmp_path / "P.nd2").channels == ("DAPI", "GFP")


class FakeLif:
    """The part of liffile.LifFile that is used: one image with axes C and Z."""

    def __init__(self, path: str) -> None:
        self.images = [SimpleNamespace(name="s", path="folder/s", sizes={"Z": 2, "C": 2, "Y": 4, "X": 5}, frame=frame)]

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        return None


def frame(**at: int) -> np.ndarray:
    return np.full((4, 5), 10 * at["C"] + at["Z"], np.uint16)


def test_images_of_a_lif(tmp_path, monkeypatch) -> None:
    module = ModuleType("liffile")
    module.LifFile = FakeLif
    monkeypatch.setitem(sys.modules, "liffile", module)
    (tmp_path / "x.lif").write_bytes(b"x")
    (image,) = find_images(tmp_path, stains="dna,er")
    assert (image.id, image.channels) == ("x/folder/s", ("dna", "er"))
    assert [int(plane.max()) for plane in image.read()] == [1, 11]
    assert lif.describe(tmp_path / "x.lif")[0].sizes["Z"] == 2
