"""A file is what its first bytes say: DeltaVision's two bytes in the middle of other files change nothing."""

import gzip
import struct
import zipfile
import zlib

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.imaging import ImageReadError, read_image
from cytoimagenet_hf.imaging.raw import HEAD, parse_deltavision
from cytoimagenet_hf.imaging.read import kind_of
from tests.imaging.files import deltavision, png

MARKS = [struct.pack("<h", -16224), struct.pack(">h", -16224)]
SIZED = st.tuples(st.integers(1, 12), st.integers(1, 12))


def png_with(mark: bytes, rows: np.ndarray, text: bytes = b"") -> bytes:
    """A gray PNG whose bytes 96 and 97 are `mark`: they lie in a text chunk of its own."""
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    note = b"note\0" + bytes(96 - 33 - 8 - 5) + mark + text
    content = png(rows.shape[1], rows.shape[0], data, text=note)
    assert content[96:98] == mark
    return content


@given(mark=st.sampled_from(MARKS), size=SIZED, seed=st.integers(0, 2**32 - 1), text=st.binary(max_size=2000))
def test_a_png_with_the_mark_of_deltavision_is_a_png(tmp_path_factory, mark, size, seed, text):
    rows = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    path = tmp_path_factory.getbasetemp() / "marked.png"
    path.write_bytes(png_with(mark, rows, text))
    assert np.array_equal(read_image(path), rows)


def with_mark(content: bytes, mark: bytes) -> bytes:
    return content[:96] + mark + content[98:]


@given(st.binary(min_size=98, max_size=4000), st.sampled_from(MARKS))
def test_random_bytes_are_never_deltavision(content, mark):
    content = with_mark(content, mark)
    assert parse_deltavision(content[:HEAD], len(content)) is None
    assert kind_of(content[:HEAD], len(content)) != "deltavision"


@pytest.mark.parametrize("mark", MARKS, ids=["little", "big"])
@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpeg", "tiff", "npy"])
def test_every_signature_comes_before_the_mark(tmp_path, suffix, mark):
    path = tmp_path / f"cell.{suffix}"
    pixels = np.full((90, 90), 7, np.uint8)
    if suffix == "npy":
        np.save(path, pixels)
    elif suffix == "tiff":
        tifffile.imwrite(path, pixels, metadata=None)
    else:
        PIL.Image.fromarray(pixels).save(path)
    content = with_mark(path.read_bytes(), mark)
    assert kind_of(content[:HEAD], len(content)) == {"tiff": "tiff", "npy": "npy"}.get(suffix, "other")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("dtype", "mode"), [("u1", 0), ("i2", 1), ("f4", 2), ("u2", 6), ("i4", 7)])
def test_deltavision_planes_of_both_byte_orders(tmp_path, order, dtype, mode):
    planes = np.arange(2 * 5 * 7).reshape(2, 5, 7).astype(dtype)
    (tmp_path / "cell.dv").write_bytes(deltavision(planes, order, mode))
    for page in (0, 1):
        found = read_image(tmp_path / "cell.dv", page=page)
        assert (found.dtype, found.tolist()) == (np.dtype(dtype), planes[page].tolist())
    with pytest.raises(ImageReadError, match="no page 2: it has 2"):
        read_image(tmp_path / "cell.dv", page=2)


def test_a_truncated_deltavision_file_says_so_or_gives_what_is_there(tmp_path):
    planes = np.arange(1, 1 + 2 * 5 * 7, dtype=np.uint16).reshape(2, 5, 7)
    (tmp_path / "cell.dv").write_bytes(deltavision(planes)[:-20])
    assert np.array_equal(read_image(tmp_path / "cell.dv"), planes[0])
    with pytest.raises(ImageReadError, match=r"cell\.dv is truncated: page 1 lacks 20"):
        read_image(tmp_path / "cell.dv", page=1)
    found = read_image(tmp_path / "cell.dv", page=1, partial=True)
    assert found.ravel()[:25].tolist() == planes[1].ravel()[:25].tolist()
    assert not found.ravel()[25:].any()


@pytest.mark.parametrize(
    ("field", "value"), [(0, 0), (0, -4), (4, 1 << 30), (8, 0), (12, 3), (12, 99), (92, -1), (92, 1 << 30)]
)
def test_an_implausible_header_is_no_deltavision(field, value):
    content = bytearray(deltavision(np.zeros((1, 4, 4), np.uint16)))
    struct.pack_into("<i", content, field, value)
    assert parse_deltavision(bytes(content[:HEAD]), len(content)) is None


def test_what_is_no_image_is_refused_by_name(tmp_path):
    (tmp_path / "a.tif").write_bytes(gzip.compress(b"II*\0" + bytes(2000)))
    with zipfile.ZipFile(tmp_path / "b.png", "w") as archive:
        archive.writestr("x", "y")
    (tmp_path / "c.tif").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "d.tif").write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    (tmp_path / "e.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    said = {"a.tif": "gzip", "b.png": "ZIP", "c.tif": "git lfs pull", "d.tif": "web page", "e.png": "PostScript"}
    for name, words in said.items():
        with pytest.raises(ImageReadError, match=rf"{name} is .*{words}"):
            read_image(tmp_path / name)
