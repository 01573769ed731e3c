"""Acquisitions in one file: the name, a table or the file itself says the place, the file its planes."""

import importlib
import math
import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from builder.recipe import RECIPES
from builder.render.reader import FieldRejected, PlaneReader
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import containers, find_images, look
from tests.images.plates import values

czi = pytest.importorskip("pylibCZIrw.czi")


def write_czi(path, planes, names=()):
    """A file of planes, each its place, its value and what else says where it lies."""
    path.parent.mkdir(exist_ok=True, parents=True)
    with czi.create_czi(str(path)) as file:
        for place, value, where in planes:
            file.write(np.full((8, 10, 1), value, np.uint16), plane=place, **where)
        if names:
            file.write_metadata("x", channel_names=dict(enumerate(names)))


def write(path, *, channels=2, depth=1, value=0):
    write_czi(path, [({"C": c, "Z": z}, value + 10 * c + z, {}) for c in range(channels) for z in range(depth)])


@pytest.fixture
def plate(tmp_path):
    for n, (well, site) in enumerate([("A01", 1), ("A01", 2), ("B11", 1)]):
        write(tmp_path / f"plate7_{well}_s{site}.czi", value=100 * n)
    return tmp_path


def test_the_name_says_the_place_and_the_file_its_channels(plate) -> None:
    found = look(plate, pattern="{plate}_{well}_s{site}.czi", stains="1=dna,2=er")
    assert [image.id for image in found.images] == ["plate7/A01/1", "plate7/A01/2", "plate7/B11/1"]
    assert [values(image) for image in found.images] == [[0, 10], [100, 110], [200, 210]]
    assert not found.rejected


def test_without_a_pattern_the_note_says_how_wells_are_named(plate) -> None:
    assert any("--pattern '{well}_s{site}.czi'" in note for note in look(plate).notes)


def test_a_file_per_channel_with_a_stack_each(tmp_path) -> None:
    for c, name in enumerate(("dna", "er")):
        write(tmp_path / f"A01_{name}.czi", channels=1, depth=3, value=100 * c)
    (image,) = find_images(tmp_path, pattern="{well}_{c}.czi")
    assert (image.channels, values(image)) == (("dna", "er"), [2, 102])
    (second,) = find_images(tmp_path, pattern="{well}_{c}.czi", projection="z=2")
    assert values(second) == [1, 101]


def test_a_name_that_says_one_channel_of_a_file_of_two_is_refused(plate) -> None:
    with pytest.raises(InputError, match="holds 2 channels"):
        find_images(plate, pattern="plate7_{well}_s1{c}czi")[0].read()


def test_a_table_names_files_and_places(plate) -> None:
    (plate / "t.csv").write_text("id,path,plate,well,site\na,plate7_A01_s2.czi,Q,A01,2\n")
    (image,) = find_images(plate / "t.csv")
    assert (image.id, image.metadata["well"], values(image)) == ("a", "A01", [100, 110])


def test_loaddata_chooses_channel_and_focus(tmp_path) -> None:
    write(tmp_path / "a.czi", depth=3)
    (tmp_path / "t.csv").write_text(
        "FileName_DNA,C_DNA,Z_DNA,FileName_ER,C_ER,Z_ER,Metadata_Well\na.czi,0,2,a.czi,1,1,A01\n"
    )
    (image,) = find_images(tmp_path / "t.csv")
    assert (image.channels, values(image)) == (("dna", "er"), [2, 11])
    (tmp_path / "t.csv").write_text("FileName_DNA,C_DNA,Metadata_Well\na.czi,2,A01\n")
    (image,) = find_images(tmp_path / "t.csv")
    assert "no plane of series 0, channel 2" in image.reason_against()


def test_the_builder_reads_planes_by_their_page(tmp_path) -> None:
    write(tmp_path / "source" / "a.czi")
    reader = PlaneReader(tmp_path, RECIPES["corrected"])
    field = {"channel_files": ["source/a.czi", "source/a.czi"], "channel_pages": [1, 0], "region": None}
    assert [int(plane.max()) for plane in reader.read(field)] == [10, 0]
    with pytest.raises(FieldRejected, match="say which"):
        reader.read(field | {"channel_pages": [None, None]})


# What the files say themselves


def test_a_czi_that_its_library_wrote(tmp_path) -> None:
    planes = [
        ({"C": c, "Z": z}, 100 * scene + 10 * c + z, {"scene": scene, "location": (50 * scene, 0)})
        for scene in (0, 1)
        for c in (0, 1)
        for z in (0, 1)
    ]
    write_czi(tmp_path / "x.czi", planes, names=("DAPI", "GFP"))
    images = find_images(tmp_path)
    assert [(image.id, image.channels) for image in images] == [("x/1", ("dapi", "gfp")), ("x/2", ("dapi", "gfp"))]
    assert [values(image) for image in images] == [[1, 11], [101, 111]]
    assert images[1].read()[0].shape == (8, 10)


def test_a_czi_whose_planes_do_not_begin_at_the_first_is_refused_when_it_is_read(tmp_path) -> None:
    write_czi(tmp_path / "x.czi", [({"C": 0, "T": t}, 10, {}) for t in (4, 5)])
    for image in find_images(tmp_path):
        with pytest.raises(InputError, match="pylibCZIrw cannot read"):
            image.read()


@pytest.mark.parametrize(
    ("axis", "message"), [("H", "phases or detectors, .* process it in ZEN first"), ("V", "views, .* fuse them")]
)
def test_a_czi_of_raw_data_is_refused_with_what_to_do(tmp_path, monkeypatch, axis, message) -> None:
    write_czi(tmp_path / "raw.czi", [({"C": 0}, 10, {})])
    box = {"T": (0, 1), "Z": (0, 1), "C": (0, 1), axis: (0, 3), "X": (0, 10), "Y": (0, 8)}
    reader = importlib.import_module("pylibCZIrw.czi").CziReader  # its writer has no such axes
    monkeypatch.setattr(reader, "total_bounding_box", box)
    with pytest.raises(InputError, match=rf"raw\.czi holds 3 {message}"):
        find_images(tmp_path)


def test_a_dye_that_files_count_differently_is_one_channel(tmp_path, monkeypatch) -> None:
    names = {"a.czi": ("DAPI", "GFP"), "b.czi": ("GFP", "DAPI"), "c.czi": ("Bright", "Bright")}
    for name in names:
        write_czi(tmp_path / name, [({"C": c}, 10 + c, {}) for c in (0, 1)])
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
    write_czi(tmp_path / "x.czi", [({"C": 0}, 5, {"location": (left, 0)}) for left in (0, 20)], names=("DAPI",))
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
