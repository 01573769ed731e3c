"""The limit on pixels holds for every kind of file and is judged before memory is taken."""

import os
import struct
import subprocess
import sys
import time
import warnings
import zlib

import numpy as np
import PIL.Image
import pytest
import tifffile

from cytoimagenet_hf.imaging import MAX_PIXELS, ImageReadError, read_image
from tests.imaging.files import chain, deltavision, png, tiff

GRAY = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)


def write(path, kind):
    if kind == "tiff":
        tifffile.imwrite(path, GRAY)
    elif kind == "tiles":
        tifffile.imwrite(path, GRAY[:2, :2], tile=(32, 32))
    elif kind == "imagej":
        tifffile.imwrite(path, np.stack([GRAY, GRAY]), imagej=True)
    elif kind == "npy":
        with open(path, "wb") as handle:
            np.save(handle, GRAY)
    elif kind == "deltavision":
        path.write_bytes(deltavision(GRAY[None], mode=0))
    elif kind == "png16":
        PIL.Image.fromarray(GRAY.astype(np.uint16)).save(path, "png")
    elif kind in ("rgb", "palette"):
        picture = PIL.Image.fromarray(np.dstack([GRAY] * 3))
        (picture if kind == "rgb" else picture.quantize(8)).save(path, "png")
    else:
        PIL.Image.fromarray(GRAY).save(path, kind)


KINDS = "PNG JPEG BMP GIF DIB WEBP PPM png16 rgb palette tiff tiles imagej npy deltavision"


@pytest.mark.parametrize("kind", KINDS.split())
@pytest.mark.parametrize("page", [None, 0])
def test_the_limit_names_file_size_and_option(tmp_path, kind, page):
    path = tmp_path / "cell.img"
    write(path, kind)
    height, width = read_image(path, page=page).shape[:2]
    shown = "32 x 32" if kind == "tiles" else f"{width} x {height}"
    with pytest.raises(ImageReadError, match=rf"cell\.img claims {shown} pixels.* limit of 599: .*max_pixels"):
        read_image(path, page=page, max_pixels=599)
    assert read_image(path, page=page, max_pixels=1024).shape[:2] == (height, width)


def test_the_bombs_take_no_memory(tmp_path):
    """In a process that may take 1 GB more than the libraries did."""
    packer, row = zlib.compressobj(9), bytes(1 + 30_000)
    rows = b"".join([*(packer.compress(row) for _ in range(30_000)), packer.flush()])  # small, however large it is
    (tmp_path / "gray.png").write_bytes(png(30_000, 30_000, rows))
    for name, tags in {
        "strip.tif": {256: 30_000, 257: 30_000, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: 30_000, 279: 1000},
        "tile.tif": {256: 10, 257: 10, 258: 8, 259: 1, 262: 1, 277: 1, 322: 65536, 323: 65536, 324: 8, 325: 1000},
        "samples.tif": {256: 16000, 257: 16000, 258: 8, 259: 1, 262: 1, 273: 8, 277: 4000, 278: 16000, 279: 1000},
    }.items():
        (tmp_path / name).write_bytes(tiff(tags, bytes(1000)))
    with open(tmp_path / "deep.npy", "wb") as handle:
        np.lib.format.write_array_header_1_0(
            handle, {"descr": "<f8", "fortran_order": False, "shape": (30_000, 30_000)}
        )
        handle.truncate(128 + 8 * 30_000**2)  # a hole: no disk is taken
    (tmp_path / "cell.bmp").write_bytes(
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 1000, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(900)
    )
    code = """
import resource, sys
from pathlib import Path
from cytoimagenet_hf.imaging import ImageReadError, read_image
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30),) * 2)
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_image(path)
    except ImageReadError as error:
        assert path.name in str(error) and "limit of 268,435,456" in str(error), error
    else:
        raise AssertionError(path)
    print(path.name)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == sorted(path.name for path in tmp_path.iterdir())
    assert len(done.stdout.split()) == 6


def test_pillows_own_limit_neither_warns_nor_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    PIL.Image.fromarray(np.dstack([GRAY] * 3)).save(tmp_path / "cell.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "cell.jpg").shape == (20, 30, 3)
    assert PIL.Image.MAX_IMAGE_PIXELS == 100
    assert MAX_PIXELS == 2**28


def test_a_million_pages_are_read_in_bounded_time(tmp_path):
    path = tmp_path / "long.tif"
    path.write_bytes(chain(1_000_000))
    began = time.process_time()
    assert read_image(path).shape == (1, 1)
    assert read_image(path, page=0).shape == (1, 1)
    assert read_image(path, page=1000).shape == (1, 1)
    assert time.process_time() - began < 1
    with pytest.raises(ImageReadError, match="no page 1000000: it has 1000000"):
        read_image(path, page=1_000_000)
    with pytest.raises(ImageReadError, match="no page -1"):
        read_image(path, page=-1)


def test_a_loop_of_pages_is_damage(tmp_path):
    (tmp_path / "loop.tif").write_bytes(chain(300, loop=True))
    assert read_image(tmp_path / "loop.tif", page=299).shape == (1, 1)
    with pytest.raises(ImageReadError, match=r"loop\.tif is damaged: its pages form a loop"):
        read_image(tmp_path / "loop.tif", page=300)


@pytest.mark.parametrize("name", [b"a\xff\xfe.tif", b"line\nbreak.tif", b"tab\t.png"])
def test_messages_are_one_printable_line(tmp_path, name):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    with open(path, "wb") as handle:
        handle.write(b"II*\0damaged")
    with pytest.raises(ImageReadError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.isprintable()
    assert message.encode("utf-8")
    assert str(tmp_path) in message


def test_loops_pipes_and_locked_folders_are_refused_by_name(tmp_path):
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    os.mkfifo(tmp_path / "pipe.tif")
    for name in ("loop.tif", "pipe.tif", "nul\0.tif", "x" * 300):
        with pytest.raises(ImageReadError, match="cannot open") as caught:
            read_image(tmp_path / name)
        assert str(caught.value).isprintable()
