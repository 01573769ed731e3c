"""Cellomics ArrayScan images (.DIB): a bitmap header, 12 more bytes, then 16-bit gray from byte 52, top row first.

Readers of bitmaps take them for 15-bit colour that begins at byte 40 and stands on its head. BBBC017 is written so.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import ImageReadError
from .limits import check_pixels
from .percentile import Pixels

_START = 52
_BITMAP_HEADER = 40
_BITS = 16
# Where a bitmap says so, the 12 bytes are masks of its colours (5-5-5 and 5-6-5 bits): then it is a picture in colour.
_MASKS = {(0x7C00, 0x03E0, 0x001F), (0xF800, 0x07E0, 0x001F)}


@dataclass(frozen=True)
class Header:
    """What the header of a Cellomics image says.

    Attributes:
        width: pixels across.
        height: pixels down.
    """

    width: int
    height: int


def parse_header(head: bytes, size: int) -> Header | None:
    """The header of a Cellomics image; None where the bytes are none, such as those of a bitmap in colour.

    Args:
        head: the first 52 bytes of the file, or more.
        size: of the file, bytes.

    Example:
        >>> head = struct.pack("<IiiHHII", 40, 3, 2, 1, 16, 0, 0) + bytes(28)
        >>> parse_header(head, 52 + 12)
        Header(width=3, height=2)
    """
    if len(head) < _START:
        return None
    length, width, height, planes, bits, compression = struct.unpack_from("<IiiHHI", head)
    if length != _BITMAP_HEADER or planes != 1 or bits != _BITS or width <= 0 or height == 0:
        return None
    height = abs(height)
    rows = -(-width * 2 // 4) * 4 * height  # a bitmap fills its rows to four bytes
    is_bitmap = size == _BITMAP_HEADER + rows and size != _START + width * height * 2
    is_colour = compression != 0 and struct.unpack_from("<3I", head, 40) in _MASKS
    return None if is_bitmap or is_colour else Header(width, height)


def read_plane(path: Path, *, partial: bool, max_pixels: int) -> Pixels:
    """The image, (H, W) uint16, rows from the top.

    Args:
        path: a file whose first bytes `parse_header` knows.
        partial: take what a truncated file still holds, the rest 0.
        max_pixels: more are refused before they are read.

    Raises:
        ImageReadError: truncated, or too large.
    """
    with open(path, "rb") as handle:
        header = parse_header(handle.read(_START), path.stat().st_size)
        if header is None:
            raise ImageReadError(f"{path} has no header of a Cellomics image")
        check_pixels(path, header.width, header.height, max_pixels=max_pixels)
        length = header.width * header.height * 2
        content = handle.read(length)
    if len(content) < length and not partial:
        raise ImageReadError(f"{path} is truncated: {length - len(content):,} of its bytes are missing")
    pixels = np.frombuffer(content.ljust(length, b"\0"), "<u2").reshape(header.height, header.width)
    return pixels.astype(np.uint16)
