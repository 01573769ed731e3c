"""Cellomics images, their bytes made by hand: Pillow writes and reads another format under the same name."""

import struct

import numpy as np
import pytest

from cytoimagenet_hf.imaging import ImageReadError, ImageTooLargeError, read_image
from cytoimagenet_hf.imaging.raw import parse_cellomics
from cytoimagenet_hf.imaging.stacks import describe_stack

PIXELS = np.array([[0, 1, 4095], [65535, 256, 7]], np.uint16)


def dib(pixels, *, height=None, compression=0, between=bytes(12)):
    rows, columns = pixels.shape
    header = struct.pack("<IiiHHIIiiII", 40, columns, height or rows, 1, 16, compression, 0, 0, 0, 0, 0)
    return header + between + pixels.astype("<u2").tobytes()


@pytest.mark.parametrize("height", [2, -2])
@pytest.mark.parametrize("between", [bytes(12), b"\xff" * 12])
@pytest.mark.parametrize("name", ["AS_1_A01f00d0.DIB", "a.tif"])
def test_sixteen_bits_of_gray_from_the_top(tmp_path, height, between, name) -> None:
    path = tmp_path / name
    path.write_bytes(dib(PIXELS, height=height, between=between))
    image = read_image(path)
    assert image.dtype == np.uint16
    assert image.tolist() == PIXELS.tolist()
    layout = describe_stack(path)
    assert (layout.axes, layout.shape, layout.dtype) == ("YX", (2, 3), np.dtype(np.uint16))


def test_a_file_that_ends_early_is_truncated_and_no_picture_in_colour(tmp_path) -> None:
    path = tmp_path / "a.DIB"
    path.write_bytes(dib(PIXELS)[:-4])
    with pytest.raises(ImageReadError, match="lacks 4 of its bytes"):
        read_image(path)
    assert read_image(path, partial=True).tolist() == [[0, 1, 4095], [65535, 0, 0]]


def test_a_header_of_a_huge_image_takes_no_memory(tmp_path) -> None:
    path = tmp_path / "a.DIB"
    path.write_bytes(struct.pack("<IiiHHII", 40, 2**31 - 1, 2**31 - 1, 1, 16, 0, 0) + bytes(100))
    with pytest.raises(ImageTooLargeError):
        read_image(path)


def test_bitmaps_in_colour_stay_bitmaps() -> None:
    masks = struct.pack("<3I", 0xF800, 0x07E0, 0x001F)
    assert parse_cellomics(dib(PIXELS, compression=3, between=masks), 64) is None
    colour = struct.pack("<IiiHHIIiiII", 40, 3, 2, 1, 16, 0, 0, 0, 0, 0, 0) + bytes(16)  # rows filled to four bytes
    assert parse_cellomics(colour, len(colour)) is None
    assert parse_cellomics(b"BM" + dib(PIXELS), 66) is None
