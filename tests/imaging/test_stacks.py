"""Every plane of every stack is where its layout says, or the file does not say and the caller is asked."""

import os
import struct
import subprocess
import sys
import time

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging import (
    AmbiguousAxesError,
    ImageReadError,
    describe_stack,
    read_image,
    read_planes,
)
from cytoimagenet_hf.imaging.names import imagej_channel_names, read_ome
from cytoimagenet_hf.imaging.stacks import describe_series
from cytoimagenet_hf.networks.channels import as_channels
from tests.imaging.files import chain, deltavision

SIDE = (5, 7)


def stack(*sizes: int, dtype: str = "u2") -> np.ndarray:
    """Planes that all differ from each other."""
    count = int(np.prod(sizes)) * SIDE[0] * SIDE[1]
    return np.arange(count).reshape(*sizes, *SIDE).astype(dtype)


def write(path, pixels, axes, kind):
    if kind == "ome":
        tifffile.imwrite(path, pixels, ome=True, metadata={"axes": axes}, photometric="minisblack")
    elif kind == "imagej":
        tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": axes})
    elif kind == "shaped":
        tifffile.imwrite(path, pixels, metadata={"axes": axes})  # 3 or 4 planes at the end become samples
    elif kind == "unnamed":
        tifffile.imwrite(path, pixels)
    else:
        tifffile.imwrite(path, pixels, metadata=None, photometric="minisblack")


def check(layout, pixels, axes):
    """Each plane by name, all planes at once, and every plane once."""
    outer = axes.removesuffix("YX")
    for place in np.ndindex(pixels.shape[:-2]):
        index = dict(zip(outer.lower(), place, strict=True))
        found = read_image(layout.path, page=layout.page(**index))
        assert found.dtype == pixels.dtype
        assert np.array_equal(found, pixels[place])
    flat = pixels.reshape(-1, *SIDE)
    assert len(layout.pages) == len(flat)
    for one, other in zip(read_planes(layout.path, layout.pages), flat, strict=True):
        assert np.array_equal(one, other)
    assert (layout.shape, layout.dtype) == (SIDE, pixels.dtype)


NAMED = ["CYX", "ZYX", "TYX", "ZCYX", "TCYX", "TZYX", "TZCYX"]


@settings(deadline=None)
@given(
    kind=st.sampled_from(["ome", "imagej", "shaped"]),
    axes=st.sampled_from([*NAMED, "CZYX", "TCZYX", "CTYX", "AYX", "PCYX"]),
    sizes=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    dtype=st.sampled_from(["u1", "u2", "f4"]),
)
def test_axes_that_a_file_names_decide(tmp_path_factory, kind, axes, sizes, dtype):
    if (kind == "imagej" and axes not in NAMED) or (kind == "ome" and set(axes) & set("AP")):
        return  # kinds that cannot say this
    path = tmp_path_factory.getbasetemp() / f"named-{kind}.{'ome.tif' if kind == 'ome' else 'tif'}"
    pixels = stack(*sizes[: len(axes) - 2], dtype=dtype)
    write(path, pixels, axes, kind)
    layout = describe_stack(path)
    expected = {letter: size for letter, size in zip(axes, pixels.shape, strict=True) if size > 1 or letter in "YX"}
    assert layout.axes == "".join(expected)
    assert dict(layout.sizes) == expected
    assert layout.series_count == 1
    check(layout, pixels, axes)


@settings(deadline=None)
@given(
    kind=st.sampled_from(["unnamed", "plain"]),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=2),
    dtype=st.sampled_from(["u1", "u2", "f4"]),
    letters=st.permutations(["C", "Z", "T"]),
)
def test_what_a_file_does_not_say_is_asked_and_the_answer_holds(tmp_path_factory, kind, sizes, dtype, letters):
    path = tmp_path_factory.getbasetemp() / f"{kind}.tif"
    pixels = stack(*sizes, dtype=dtype)
    write(path, pixels, None, kind)
    if kind == "plain":  # one row of pages, whatever they were
        pixels = pixels.reshape(-1, *SIDE)
    if pixels.size > SIDE[0] * SIDE[1]:
        with pytest.raises(AmbiguousAxesError, match=rf"{kind}\.tif holds .* planes of 5 x 7 .* pass axes="):
            describe_stack(path)
        with pytest.raises(InputError, match="pass axes="):
            as_channels(path)
    kept = [size for size in pixels.shape[:-2] if size > 1]
    pixels = pixels.reshape(*kept, *SIDE)
    axes = "".join(letters[: len(kept)])
    for given_axes in (axes, f"{axes}YX", axes.lower()):
        layout = describe_stack(path, axes=given_axes or None)
        assert layout.axes == f"{axes}YX"
    check(layout, pixels, axes)


@pytest.mark.parametrize("kind", ["ome", "imagej", "shaped", "unnamed", "plain"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_one_to_six_channels_never_lose_or_mix_one(tmp_path, kind, count):
    path = tmp_path / ("cell.ome.tif" if kind == "ome" else "cell.tif")
    pixels = stack(count)
    write(path, pixels, "CYX", kind)
    asked = kind in ("unnamed", "plain")
    for option in ({"axes": "C"}, {"channels_axis": "channels_first"} if asked else {}):
        found = as_channels(path, **option)
        assert [plane.tolist() for plane in found] == pixels.tolist()


@pytest.mark.parametrize(
    ("count", "asked"), [(3, "'S' for the colours of one picture"), (4, "'C' if they are channels")]
)
def test_planar_samples_are_asked_for(tmp_path, count, asked):
    pixels = stack(count)
    tifffile.imwrite(tmp_path / "cell.tif", pixels)  # tagged as planar RGB
    with pytest.raises(AmbiguousAxesError, match=rf"holds {count} planes of 5 x 7 .*{asked}"):
        describe_stack(tmp_path / "cell.tif")
    assert [read_image(tmp_path / "cell.tif", page=page).tolist() for page in range(count)] == pixels.tolist()
    with pytest.raises(ImageReadError, match=f"no page {count}: it has {count}"):
        read_image(tmp_path / "cell.tif", page=count)
    if count == 3:
        layout = describe_stack(tmp_path / "cell.tif", axes="S")
        assert (layout.axes, layout.shape, layout.page()) == ("YX", (*SIDE, 3), None)
        (picture,) = read_planes(layout.path, layout.pages)
        assert np.array_equal(picture, np.moveaxis(pixels, 0, -1))
    else:
        with pytest.raises(ImageReadError, match=r"4 planes .* may be channels or colours with alpha"):
            read_image(tmp_path / "cell.tif")


def test_interleaved_colours_are_one_picture_and_other_samples_are_asked_for(tmp_path):
    rgb = np.moveaxis(stack(3, dtype="u1"), 0, -1)
    tifffile.imwrite(tmp_path / "rgb.tif", rgb)
    layout = describe_stack(tmp_path / "rgb.tif")
    assert (layout.axes, layout.shape) == ("YX", (*SIDE, 3))
    assert np.array_equal(as_channels(tmp_path / "rgb.tif")[0], rgb)
    two = np.moveaxis(stack(2), 0, -1)
    tifffile.imwrite(tmp_path / "two.tif", two, photometric="minisblack", planarconfig="contig")
    with pytest.raises(AmbiguousAxesError):
        describe_stack(tmp_path / "two.tif")
    with pytest.raises(ImageReadError, match="may be channels"):
        read_image(tmp_path / "two.tif")
    assert [plane.tolist() for plane in as_channels(tmp_path / "two.tif", axes="C")] == stack(2).tolist()
    tifffile.imwrite(tmp_path / "slices.ome.tif", np.stack([rgb, 255 - rgb]), ome=True, metadata={"axes": "ZYXS"})
    layout = describe_stack(tmp_path / "slices.ome.tif")
    assert (layout.axes, layout.shape) == ("ZYX", (*SIDE, 3))
    assert np.array_equal(read_image(layout.path, page=layout.page(z=1)), 255 - rgb)


def test_fields_of_an_ome_file_and_pages_of_other_sizes_are_series(tmp_path):
    path = tmp_path / "fields.ome.tif"
    pixels = stack(2, 3)
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for field in pixels:
            tiff.write(field, metadata={"axes": "CYX", "Channel": {"Name": ["DNA", "actin", "tubulin"]}})
    for number in (0, 1):
        layout = describe_stack(path, series=number)
        assert (layout.axes, layout.series, layout.series_count) == ("CYX", number, 2)
        assert layout.channel_names == ("DNA", "actin", "tubulin")
        check(layout, pixels[number], "CYX")
    with pytest.raises(ImageReadError, match="no series 2: it has 2"):
        describe_stack(path, series=2)
    with pytest.raises(InputError, match="holds 2 pictures"):
        as_channels(path)
    mixed = tmp_path / "mixed.tif"
    with tifffile.TiffWriter(mixed) as tiff:
        for size in (5, 5, 9, 5):
            tiff.write(np.full((size, 7), size, np.uint8), metadata=None, contiguous=False)
    layouts = [describe_stack(mixed, axes="Z", series=number) for number in (0, 1)]
    assert [(layout.axes, layout.pages, layout.shape) for layout in layouts] == [
        ("ZYX", (0, 1, 3), (5, 7)),
        ("YX", (2,), (9, 7)),
    ]
    assert layouts[0].series_count == 2


def test_pages_written_one_by_one_become_one_stack_when_the_caller_says_so(tmp_path):
    pixels = stack(4)
    with tifffile.TiffWriter(tmp_path / "cell.tif") as tiff:
        for plane in pixels:
            tiff.write(plane, contiguous=False)
    with pytest.raises(InputError, match=r"holds 4 pictures.*axes='C'"):
        as_channels(tmp_path / "cell.tif")
    check(describe_stack(tmp_path / "cell.tif", axes="C"), pixels, "C")


def test_focus_positions_and_time_points_are_no_channels(tmp_path):
    write(tmp_path / "deep.ome.tif", stack(2, 3), "ZCYX", "ome")
    with pytest.raises(InputError, match=r"deep.*several planes per channel \(2 along Z\).*find_images projects Z"):
        as_channels(tmp_path / "deep.ome.tif")
    write(tmp_path / "film.tif", stack(4), "TYX", "imagej")
    with pytest.raises(InputError, match="4 along T"):
        as_channels(tmp_path / "film.tif")
    assert len(as_channels(tmp_path / "film.tif", axes="C")) == 4


def test_names_of_channels(tmp_path):
    path = tmp_path / "cell.ome.tif"
    tifffile.imwrite(path, stack(2), ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["DNA", "ER"]}})
    assert describe_stack(path).channel_names == ("DNA", "ER")
    tifffile.imwrite(tmp_path / "ij.tif", stack(2), imagej=True, metadata={"axes": "CYX", "Labels": ["DNA", "ER"]})
    assert describe_stack(tmp_path / "ij.tif").channel_names == ("DNA", "ER")
    labels = ["DNA", "ER"] * 3
    tifffile.imwrite(tmp_path / "z.tif", stack(3, 2), imagej=True, metadata={"axes": "ZCYX", "Labels": labels})
    assert describe_stack(tmp_path / "z.tif").channel_names == ("DNA", "ER")
    assert describe_stack(tmp_path / "z.tif", axes="TZ").channel_names == ()
    other = '<a:OME xmlns:a="http://x/2013-06"><a:Image><a:Pixels>{}</a:Pixels></a:Image></a:OME>'
    assert read_ome(other.format('<a:Channel Name="x"/>')).channel_names == (("x",),)
    assert read_ome(other.format("<a:Channel/>")).channel_names == ((),)
    assert read_ome("<OME").channel_names == ()
    assert imagej_channel_names(["z1", "z2", "z3"], {"Z": 3}) == ()
    assert imagej_channel_names(["a", "b", "a", "c"], {"C": 2, "Z": 2}) == ()


def test_other_files_of_several_planes(tmp_path):
    np.save(tmp_path / "cell.npy", stack(2))
    PIL.Image.fromarray(stack(1, dtype="u1")[0]).save(
        tmp_path / "film.gif", save_all=True, append_images=[PIL.Image.fromarray(255 - stack(1, dtype="u1")[0])]
    )
    for name in ("cell.npy", "film.gif"):
        with pytest.raises(AmbiguousAxesError, match=f"{name} holds 2 planes"):
            as_channels(tmp_path / name)
        assert len(as_channels(tmp_path / name, axes="C")) == 2
    (tmp_path / "cell.dv").write_bytes(deltavision(stack(3)))
    check(describe_stack(tmp_path / "cell.dv"), stack(3), "CYX")
    content = bytearray(deltavision(stack(6)))
    for sequence, axes in enumerate(("CTZYX", "TZCYX", "TCZYX")):
        struct.pack_into("<2h", content, 180, 1, sequence)
        struct.pack_into("<h", content, 196, 2)
        (tmp_path / "deep.dv").write_bytes(bytes(content))
        layout = describe_stack(tmp_path / "deep.dv")
        sizes = {"C": 2, "T": 1, "Z": 3}
        assert layout.axes == axes.replace("T", "")
        check(layout, stack(6).reshape(*(sizes[letter] for letter in axes[:3]), *SIDE), axes)
    PIL.Image.fromarray(stack(1, dtype="u1")[0]).save(tmp_path / "one.png")
    assert describe_stack(tmp_path / "one.png").axes == "YX"


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F", "CMYK", "gray palette", "deep", "I"]
)
@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "jpg", "webp", "im"])
def test_a_layout_says_what_reading_gives(tmp_path, mode, suffix):
    path = tmp_path / f"cell.{suffix}"
    if mode == "deep":
        if suffix != "png":
            return
        cv2.imwrite(str(path), np.dstack([stack(1)[0] * 900] * 3))
    else:
        picture = PIL.Image.fromarray(np.dstack([stack(1, dtype="u1")[0] * scale for scale in (1, 2, 3)]))
        if mode == "I;16":
            picture = PIL.Image.fromarray(stack(1)[0])
        elif mode == "P":
            picture = picture.quantize(4)
        elif mode == "gray palette":
            picture = picture.convert("L").convert("P")
        else:
            picture = picture.convert("L").convert(mode) if mode in ("F", "I") else picture.convert(mode)
        try:
            picture.save(path)
        except (OSError, ValueError):
            return  # a kind of file that has no such pictures
    layout, image = describe_stack(path), read_image(path)
    assert (layout.axes, layout.shape, layout.dtype) == ("YX", image.shape, image.dtype)
    assert layout.page() == 0


@pytest.mark.parametrize("axes", ["", "CC", "CX", "Q C", "C1", "ZC"])
def test_axes_that_do_not_fit_are_refused(tmp_path, axes):
    tifffile.imwrite(tmp_path / "cell.tif", stack(3))
    with pytest.raises(ImageReadError, match=r"axes=.*cell\.tif"):
        describe_stack(tmp_path / "cell.tif", axes=axes)


def test_places_that_are_not_there_are_refused(tmp_path):
    write(tmp_path / "cell.ome.tif", stack(2), "CYX", "ome")
    layout = describe_stack(tmp_path / "cell.ome.tif")
    assert layout.page(c=1, z=0, t=0) == 1
    for index in ({"c": 2}, {"z": 1}, {"c": -1}):
        with pytest.raises(ImageReadError, match=r"cell\.ome\.tif has no .*CYX \(2 x 5 x 7\)"):
            layout.page(**index)


def test_a_file_without_pages_is_damaged_and_no_library_chatters(tmp_path):
    path = tmp_path / "cut.tif"
    path.write_bytes(b"II*\0broken")  # the first directory would lie beyond the end
    with pytest.raises(ImageReadError, match="is a TIFF without pages: truncated or damaged"):
        describe_stack(path)
    listed = subprocess.run(
        [sys.executable, "-m", "cytoimagenet_hf", "extract", str(tmp_path), "--list"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "truncated or damaged" in " ".join((listed.stdout + listed.stderr).split())
    assert "tifffile" not in listed.stdout + listed.stderr


def test_a_file_of_very_many_pages_is_described_or_refused_in_bounded_time(tmp_path):
    (tmp_path / "many.tif").write_bytes(chain(20_000))
    (tmp_path / "million.tif").write_bytes(chain(1_000_000))
    began = time.process_time()
    assert len(describe_stack(tmp_path / "many.tif", axes="T").pages) == 20_000
    with pytest.raises(ImageReadError, match=r"million\.tif has more than 65,536 pages"):
        as_channels(tmp_path / "million.tif")
    assert time.process_time() - began < 10


def test_planes_are_read_with_one_opening_of_the_file(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "cell.tif", stack(6), photometric="minisblack")
    opened = []
    original = tifffile.TiffFile.__init__

    def counted(self, *arguments, **options):
        opened.append(1)
        original(self, *arguments, **options)

    monkeypatch.setattr(tifffile.TiffFile, "__init__", counted)
    found = read_planes(tmp_path / "cell.tif", [5, 0, 3])
    assert [plane.tolist() for plane in found] == stack(6)[[5, 0, 3]].tolist()
    assert len(opened) == 1


def ome_document(channels, *, places="<TiffData/>", images=1, names=None):
    pixels = (
        f'<Pixels DimensionOrder="XYCZT" Type="uint16" SizeX="6" SizeY="4" SizeC="{channels}" SizeZ="1" SizeT="1">'
        + '<Channel SamplesPerPixel="1"/>' * (names or channels)
    )
    body = "".join(f"<Image>{pixels}{places.format(i=i)}</Pixels></Image>" for i in range(images))
    return f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{body}</OME>'


@pytest.mark.parametrize(
    ("pages", "document", "message"),
    [
        (1, ome_document(2), "state 2 planes, of which 1 are missing"),
        (2, ome_document(3), "state 3 planes, of which 1 are missing"),
        (1, ome_document(2, places='<TiffData IFD="0"/><TiffData IFD="0" FirstC="1"/>'), "one page for several"),
        (1, ome_document(1, images=3, places='<TiffData IFD="{i}"/>'), "state 3 images, and 1 are there"),
        (
            1,
            ome_document(2, places='<TiffData IFD="0"><UUID FileName="a.ome.tif">urn:uuid:1</UUID></TiffData>'),
            "state 2 planes, of which 1 are missing",
        ),
        (1, ome_document(10**9, names=1), "state 1,000,000,000 planes"),
        (1, ome_document(-2, names=1), "SizeC of its OME metadata '-2' is not a whole number"),
        (1, ome_document("9" * 5_000, names=1), "SizeC of its OME metadata '999.* is not a whole number"),
        (1, ome_document(1, places='<TiffData IFD="0" PlaneCount="1000000000"/>'), "state 1,000,000,000 planes"),
        (
            1,
            ome_document(1, places='<TiffData/><ModuloAlongT Start="0" End="1e12"/>'),
            "state 1,000,000,000,001 planes",
        ),
        (
            1,
            ome_document(1, places='<TiffData/><ModuloAlongT Start="0" End="inf"/>'),
            "state 9,007,199,254,740,992 planes",
        ),
    ],
)
def test_metadata_that_state_more_than_the_file_or_memory_holds_refuse_it(tmp_path, pages, document, message) -> None:
    path = tmp_path / "a.ome.tif"
    pixels = np.zeros((pages, 4, 6), np.uint16)
    tifffile.imwrite(path, pixels, description=document, metadata=None, photometric="minisblack")
    with pytest.raises(ImageReadError, match=message):
        describe_stack(path)


def in_files(*names):
    """Where the planes of channels lie that are files of their own."""
    return "".join(
        f'<TiffData IFD="0" FirstC="{c}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{c}</UUID></TiffData>'
        for c, name in enumerate(names)
    )


def test_an_image_spread_over_several_files_is_judged_by_the_pages_of_each(tmp_path) -> None:
    files = [tmp_path / f"c{number}.ome.tif" for number in (0, 1)]
    document = ome_document(2, places=in_files(*(file.name for file in files)))
    for number, file in enumerate(files):
        tifffile.imwrite(file, np.full((4, 6), number, np.uint16), description=document, metadata=None)
    for number, file in enumerate(files):
        layout = describe_stack(file)
        assert layout.axes == "YX"
        assert np.array_equal(read_image(file, page=layout.page()), np.full((4, 6), number))
    assert len(as_channels(files)) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_other_files_that_metadata_name_are_not_opened(tmp_path) -> None:
    path = tmp_path / "a.ome.tif"
    document = ome_document(2, places=in_files("a.ome.tif", "pipe.ome.tif"))
    tifffile.imwrite(path, np.zeros((4, 6), np.uint16), description=document, metadata=None)
    os.mkfifo(tmp_path / "pipe.ome.tif")  # whoever opens it waits for ever
    assert describe_stack(path).axes == "YX"


@pytest.mark.parametrize(("stated", "held"), [(2, 1), (2_000_000_000, 1), (3, 2)])
def test_imagej_files_that_hold_fewer_planes_than_they_state_are_refused(tmp_path, stated, held) -> None:
    path = tmp_path / "a.tif"
    description = f"ImageJ=1.53t\nimages={stated}\nchannels={stated}\n"
    pixels = np.zeros((held, 4, 6), np.uint16)
    tifffile.imwrite(path, pixels, description=description, metadata=None, photometric="minisblack")
    with pytest.raises(ImageReadError, match=f"state {stated:,} planes, and it holds {held}"):
        describe_stack(path)


def test_all_pictures_of_a_file_are_described_at_once(tmp_path) -> None:
    with tifffile.TiffWriter(tmp_path / "p.ome.tif", ome=True) as writer:
        for field in range(3):
            pixels = np.full((2, 4, 6), field, np.uint16)
            metadata = {"axes": "CYX", "Channel": {"Name": [f"a{field}", f"b{field}"]}}
            writer.write(pixels, metadata=metadata, photometric="minisblack")
    layouts = describe_series(tmp_path / "p.ome.tif")
    assert layouts == [describe_stack(tmp_path / "p.ome.tif", series=number) for number in range(3)]
    assert [layout.channel_names for layout in layouts] == [("a0", "b0"), ("a1", "b1"), ("a2", "b2")]


def test_a_deltavision_file_shorter_than_its_header_says_is_refused(tmp_path) -> None:
    header = bytearray(1024)
    header[96:98] = struct.pack("<h", -16224)
    header[:12] = struct.pack("<iii", 64, 64, 3_000_000)
    (tmp_path / "x.dv").write_bytes(bytes(header) + bytes(8192))
    with pytest.raises(ImageReadError, match="states 3,000,000 planes of 64 x 64, and 2 are there"):
        describe_stack(tmp_path / "x.dv")


def test_more_planes_than_are_listed_is_one_line(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((300_000, 2, 2), np.uint8))
    with pytest.raises(ImageReadError, match="300,000 planes, more than 65,536"):
        describe_stack(tmp_path / "a.npy")
