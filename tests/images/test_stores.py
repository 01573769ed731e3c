"""Stores and files of microscopes: damaged, incomplete and unknown ones say what is wrong and who reads them."""

import importlib
import json
import math
import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import zarr

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import containers, find_images, look
from scripts.simulate.plate_layouts import write_omezarr
from tests.images.plates import eight_fields, values


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
    assert [values(image) for image in images] == [[1, 11], [101, 111]]
    assert images[1].read()[0].shape == (8, 10)


def write_czi(path, places, **written) -> None:
    """A file with a plane of the value C at every place."""
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(path)) as document:
        for place in places:
            document.write(np.full((8, 10, 1), 10 + place["C"], np.uint16), plane=place, **written)
        names = {place["C"]: f"dye {place['C']}" for place in places}
        document.write_metadata("x", channel_names={number: names[c] for number, c in enumerate(sorted(names))})


def test_a_czi_whose_planes_do_not_begin_at_the_first_is_refused_when_it_is_read(tmp_path) -> None:
    write_czi(tmp_path / "x.czi", [{"C": 0, "T": t} for t in (4, 5)])
    for image in find_images(tmp_path):
        with pytest.raises(InputError, match="pylibCZIrw cannot read"):
            image.read()


@pytest.mark.parametrize(
    ("axis", "message"), [("H", "phases or detectors, .* process it in ZEN first"), ("V", "views, .* fuse them")]
)
def test_a_czi_of_raw_data_is_refused_with_what_to_do(tmp_path, monkeypatch, axis, message) -> None:
    write_czi(tmp_path / "raw.czi", [{"C": 0}])
    box = {"T": (0, 1), "Z": (0, 1), "C": (0, 1), axis: (0, 3), "X": (0, 10), "Y": (0, 8)}
    reader = importlib.import_module("pylibCZIrw.czi").CziReader  # its writer has no such axes
    monkeypatch.setattr(reader, "total_bounding_box", box)
    with pytest.raises(InputError, match=rf"raw\.czi holds 3 {message}"):
        find_images(tmp_path)


def test_a_dye_that_files_count_differently_is_one_channel(tmp_path, monkeypatch) -> None:
    names = {"a.czi": ("DAPI", "GFP"), "b.czi": ("GFP", "DAPI"), "c.czi": ("Bright", "Bright")}
    for name in names:
        write_czi(tmp_path / name, [{"C": c} for c in (0, 1)])
    monkeypatch.setattr(containers, "_czi_channels", lambda metadata, dimensions, count: next(given))
    given = iter([names["a.czi"], names["b.czi"]])
    images = find_images(f"{tmp_path}/[ab].czi")
    assert [(image.channels, values(image)) for image in images] == [
        (("dapi", "gfp"), [10, 11]),
        (("dapi", "gfp"), [11, 10]),
    ]
    given = iter([names["c.czi"]])
    assert find_images(tmp_path / "c.czi")[0].channels == ("bright 1", "bright 2")


def test_channels_that_only_the_display_of_a_czi_names() -> None:
    unnamed = {"Channels": {"Channel": [{"@Id": "Channel:0"}, {"@Id": "Channel:1"}]}}
    shown = {"DisplaySetting": {"Channels": {"Channel": [{"@Name": "DAPI"}, {"@Name": "GFP"}]}}}
    assert containers._czi_channels(shown, unnamed, 2) == ("DAPI", "GFP")
    assert containers._czi_channels(shown, unnamed, 3) == ()
    assert containers._czi_channels({"DisplaySetting": None}, {}, 1) == ()


def test_a_mosaic_is_named(tmp_path) -> None:
    module = pytest.importorskip("pylibCZIrw.czi")
    with module.create_czi(str(tmp_path / "x.czi")) as document:
        for left in (0, 20):
            document.write(np.full((8, 10, 1), 5, np.uint16), plane={"C": 0}, location=(left, 0))
        document.write_metadata("x")
    found = look(tmp_path / "x.czi")
    assert found.notes == ("x.czi is a mosaic of 2 tiles: stitched, and black where no tile lies",)
    (plane,) = found.images[0].read()
    assert (plane.shape, plane[0, 9], plane[0, 10], plane[0, 20]) == ((8, 30), 5, 0, 5)


READERS = [(".czi", "pylibCZIrw.czi", "czi"), (".nd2", "nd2", "plates"), (".lif", "liffile", "plates")]


@pytest.mark.parametrize(("suffix", "module", "extra"), READERS)
def test_a_file_names_its_reader_that_fails_or_is_absent(tmp_path, monkeypatch, suffix, module, extra) -> None:
    pytest.importorskip(module)
    (tmp_path / f"x{suffix}").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(InputError, match=f"{module.partition('.')[0]} cannot read .*x{suffix}"):
        find_images(tmp_path)
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
    assert [values(image) for image in images] == [[10, 11], [30, 31]]
    assert [channel.label for channel in look(tmp_path).stains] == ["DAPI", "GFP"]


AXES = {"X": (1, "m"), "Y": (2, "m"), "Z": (3, "m"), "T": (4, "s"), "λ": (5, "m")}
"""Axis → its number and unit in a LIF file."""

CHANNEL = (
    '<ChannelDescription DataType="0" ChannelTag="0" Resolution="8" NameOfMeasuredQuantity="" Min="0" Max="255" '
    'Unit="" LUTName="Green" IsLUTInverted="0" BytesInc="{}" BitInc="0"/>'
)
AXIS = (
    '<DimensionDescription DimID="{}" NumberOfElements="{}" Origin="0" Length="1" Unit="{}" BitInc="0" BytesInc="{}"/>'
)


def write_lif(path: Path, **images: dict[str, int]) -> None:
    """A LIF file of 8-bit images whose axes are given fastest first; a plane holds its number in file order."""
    elements, blocks = "", b""
    for number, (name, sizes) in enumerate(images.items()):
        channels, axes, stride = CHANNEL.format(0), "", 1
        for axis, size in sizes.items():
            if axis == "C":
                channels = "".join(CHANNEL.format(c * stride) for c in range(size))
            else:
                numbered, unit = AXES[axis]
                axes += AXIS.format(numbered, size, unit, stride)
            stride *= size
        (width, height), planes = list(sizes.values())[:2], math.prod(list(sizes.values())[2:])
        pixels = np.repeat(np.arange(1, planes + 1, dtype=np.uint8), width * height).tobytes()
        elements += (
            f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channels}</Channels><Dimensions>{axes}'
            f'</Dimensions></ImageDescription></Image></Data><Memory Size="{len(pixels)}" '
            f'MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        block = f"MemBlock_{number}".encode("utf-16-le")
        head = struct.pack("<BQBI", 0x2A, len(pixels), 0x2A, len(block) // 2) + block
        blocks += struct.pack("<II", 0x70, len(head)) + head + pixels
    xml = (
        f'<LMSDataContainerHeader Version="2"><Element Name="x"><Children>{elements}</Children></Element>'
        "</LMSDataContainerHeader>"
    ).encode("utf-16-le")
    head = struct.pack("<BI", 0x2A, len(xml) // 2) + xml
    path.write_bytes(struct.pack("<II", 0x70, len(head)) + head + blocks)


def test_images_of_a_lif(tmp_path) -> None:
    pytest.importorskip("liffile")
    write_lif(tmp_path / "x.lif", s={"X": 5, "Y": 4, "C": 2, "Z": 3}, t={"X": 5, "Y": 4, "C": 2, "T": 2})
    images = find_images(tmp_path, stains="dna,er")
    assert [(image.id, image.channels) for image in images] == [
        ("x/s", ("dna", "er")),
        ("x/t/1", ("dna", "er")),
        ("x/t/2", ("dna", "er")),
    ]
    # planes 1 2 | 3 4 | 5 6 of the stack, channels fastest; the deepest are 5 and 6
    assert [values(image) for image in images] == [[5, 6], [1, 2], [3, 4]]
    assert images[0].read()[0].shape == (4, 5)
    assert [len(stack) for stack in images[0].planes] == [3, 3]


def test_scans_in_x_and_z_are_planes_of_a_lif(tmp_path) -> None:
    pytest.importorskip("liffile")
    write_lif(tmp_path / "x.lif", xzt={"X": 5, "Z": 4, "T": 2}, xzy={"X": 5, "Z": 4, "Y": 3})
    images = find_images(tmp_path)
    assert [image.id for image in images] == ["x/xzt/1", "x/xzt/2", "x/xzy"]
    assert [[(plane.shape, int(plane.max())) for plane in image.read()] for image in images] == [
        [((4, 5), 1)],
        [((4, 5), 2)],
        [((4, 5), 3)],
    ]
    assert [len(image.planes[0]) for image in images] == [1, 1, 3]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"X": 5, "Y": 4, "λ": 3}, "image s has 3 planes along λ: a sweep of wavelengths gives no stains; export"),
        ({"X": 5, "T": 4}, "image s has the axes T, X: no picture"),
    ],
)
def test_what_is_no_picture_of_a_lif_is_refused(tmp_path, sizes, message) -> None:
    pytest.importorskip("liffile")
    write_lif(tmp_path / "x.lif", s=sizes)
    with pytest.raises(InputError, match=message):
        find_images(tmp_path)
