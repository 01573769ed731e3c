"""Planes without compression behind a header: DeltaVision (.dv, .r3d) and Cellomics ArrayScan (.DIB).

DeltaVision has a header of 1,024 bytes, then an extended one. Cellomics has the header of a bitmap and 12 more bytes,
then 16-bit gray from byte 52, top row first; readers of bitmaps take it for 15-bit colour that begins at byte 40 and
stands on its head. BBBC017 is written so.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import ImageReadError, check_pixels
from .percentile import Pixels

HEAD = 1024
"""Bytes of the longer header."""

_MARK = -16224
_DTYPES = {0: "u1", 1: "i2", 2: "f4", 5: "i2", 6: "u2", 7: "i4"}  # 3 and 4 are complex: no pictures
_LARGEST = 1 << 17  # pixels per side
_MOST_WAVES = 64
# The header numbers the order of planes; here slowest first.
_ORDERS = {0: "CTZ", 1: "TZC", 2: "TCZ"}

_CELLOMICS_START = 52
_BITMAP_HEADER = 40
# Where a bitmap says so, the 12 bytes are masks of its colours (5-5-5 and 5-6-5 bits): then it is a picture in colour.
_MASKS = {(0x7C00, 0x03E0, 0x001F), (0xF800, 0x07E0, 0x001F)}


@dataclass(frozen=True)
class Header:
    """What a header says."""

    width: int
    height: int
    planes: int = 1
    dtype: str = "<u2"  # byte order included
    start: int = _CELLOMICS_START  # where the first plane begins, bytes
    axes: str = ""  # of the planes, slowest first: a permutation of CTZ, or Q where they do not fill one
    sizes: tuple[int, ...] = ()  # along `axes`


def parse_deltavision(head: bytes, size: int) -> Header | None:
    """The header of a DeltaVision file of `size` bytes; None where its first bytes are not plausible."""
    if len(head) < HEAD:
        return None
    order = next((mark for mark in "<>" if struct.unpack_from(f"{mark}h", head, 96) == (_MARK,)), None)
    if order is None:
        return None
    width, height, planes, mode = struct.unpack_from(f"{order}4i", head, 0)
    (extended,) = struct.unpack_from(f"{order}i", head, 92)
    times, sequence = struct.unpack_from(f"{order}2h", head, 180)
    (waves,) = struct.unpack_from(f"{order}h", head, 196)
    waves, times = max(waves, 1), max(times, 1)
    if not (0 < width <= _LARGEST and 0 < height <= _LARGEST and planes > 0 and mode in _DTYPES):
        return None
    if not 0 <= extended < size - HEAD or sequence not in _ORDERS or waves > _MOST_WAVES:
        return None
    axes = _ORDERS[sequence]
    length = {"C": waves, "T": times, "Z": planes // (waves * times)}
    sizes = tuple(length[axis] for axis in axes)
    if planes % (waves * times):  # an acquisition that was stopped: its planes cannot be assigned
        axes, sizes = "Q", (planes,)
    return Header(width, height, planes, order + _DTYPES[mode], HEAD + extended, axes, sizes)


def parse_cellomics(head: bytes, size: int) -> Header | None:
    """The header of a Cellomics image; None for other files, such as bitmaps in colour."""
    if len(head) < _CELLOMICS_START:
        return None
    length, width, height, planes, bits, compression = struct.unpack_from("<IiiHHI", head)
    if (length, planes, bits) != (_BITMAP_HEADER, 1, 16) or width <= 0 or height == 0:
        return None
    height = abs(height)
    rows = -(-width * 2 // 4) * 4 * height  # a bitmap fills its rows to four bytes
    is_bitmap = size == _BITMAP_HEADER + rows and size != _CELLOMICS_START + width * height * 2
    is_colour = compression != 0 and struct.unpack_from("<3I", head, 40) in _MASKS
    return None if is_bitmap or is_colour else Header(width, height)


PARSERS = {"deltavision": parse_deltavision, "cellomics": parse_cellomics}
"""Kind of a file → the parser of its header."""


def read_header(path: Path, kind: str) -> Header:
    """The header of a file that is known to be of that kind, whether or not all its planes are there."""
    with open(path, "rb") as handle:
        header = PARSERS[kind](handle.read(HEAD), path.stat().st_size)
    if header is None:
        raise ImageReadError(f"{path} has no plausible header of a {kind} file")
    return header


def require_planes(path: Path, header: Header) -> None:
    """Refuse a file that is shorter than the planes it states."""
    plane = header.width * header.height * np.dtype(header.dtype).itemsize
    there = (path.stat().st_size - header.start) // plane
    if there < header.planes:
        raise ImageReadError(
            f"{path} is truncated: its header states {header.planes:,} planes of {header.width} x {header.height}, "
            f"and {there:,} are there"
        )


def read_plane(path: Path, header: Header, page: int, *, partial: bool, max_pixels: int) -> Pixels:
    """One plane, (H, W), counted in the order of the file; with `partial`, 0 where a truncated file holds nothing."""
    check_pixels(path, header.width, header.height, max_pixels=max_pixels)
    length = header.width * header.height * np.dtype(header.dtype).itemsize
    with open(path, "rb") as handle:
        handle.seek(header.start + page * length)
        content = handle.read(length)
    if (lacking := length - len(content)) and not partial:
        raise ImageReadError(f"{path} is truncated: page {page} lacks {lacking:,} of its bytes")
    pixels = np.frombuffer(content.ljust(length, b"\0"), header.dtype)
    return pixels.reshape(header.height, header.width).copy()
