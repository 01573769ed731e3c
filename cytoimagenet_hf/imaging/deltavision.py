"""DeltaVision files (.dv, .r3d): a header of 1,024 bytes, an extended header, then planes without compression."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import ImageReadError
from .limits import check_pixels
from .percentile import Pixels

HEADER = 1024
"""Bytes of the header."""

_MARK = -16224
_DTYPES = {0: "u1", 1: "i2", 2: "f4", 5: "i2", 6: "u2", 7: "i4"}  # 3 and 4 are complex: no pictures
_LARGEST = 1 << 17  # pixels per side
_MOST_WAVES = 64
# The header numbers the order of planes; here slowest first.
_ORDERS = {0: "CTZ", 1: "TZC", 2: "TCZ"}


@dataclass(frozen=True)
class Header:
    """What a DeltaVision header says.

    Attributes:
        width: pixels across.
        height: pixels down.
        planes: 2-D planes in the file.
        dtype: of the pixels, byte order included.
        start: where the first plane begins, bytes.
        axes: of the planes, slowest first: a permutation of CTZ, or Q where they do not fill one.
        sizes: along `axes`.
    """

    width: int
    height: int
    planes: int
    dtype: str
    start: int
    axes: str
    sizes: tuple[int, ...]


def parse_header(head: bytes, size: int) -> Header | None:
    """The header of a DeltaVision file; None where the bytes are not a plausible one.

    Args:
        head: the first 1,024 bytes of the file.
        size: of the file, bytes.
    """
    if len(head) < HEADER:
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
    if not 0 <= extended < size - HEADER or sequence not in _ORDERS or waves > _MOST_WAVES:
        return None
    axes = _ORDERS[sequence]
    length = {"C": waves, "T": times, "Z": planes // (waves * times)}
    sizes = tuple(length[axis] for axis in axes)
    if planes % (waves * times):  # an acquisition that was stopped: its planes cannot be assigned
        axes, sizes = "Q", (planes,)
    return Header(width, height, planes, order + _DTYPES[mode], HEADER + extended, axes, sizes)


def read_header(path: Path) -> Header:
    """`parse_header` of a file that is known to be one, whether or not all its planes are there."""
    with open(path, "rb") as handle:
        header = parse_header(handle.read(HEADER), path.stat().st_size)
    if header is None:
        raise ImageReadError(f"{path} has no plausible DeltaVision header")
    return header


def require_planes(path: Path, header: Header) -> None:
    """Refuse a file that is shorter than the planes it states.

    Raises:
        ImageReadError: it is.
    """
    plane = header.width * header.height * np.dtype(header.dtype).itemsize
    there = (path.stat().st_size - header.start) // plane
    if there < header.planes:
        raise ImageReadError(
            f"{path} is truncated: its header states {header.planes:,} planes of {header.width} x {header.height}, "
            f"and {there:,} are there"
        )


def read_plane(path: Path, header: Header, page: int, *, partial: bool, max_pixels: int) -> Pixels:
    """One plane, (H, W), counted in the order of the file."""
    check_pixels(path, header.width, header.height, max_pixels=max_pixels)
    count = header.width * header.height
    length = count * np.dtype(header.dtype).itemsize
    with open(path, "rb") as handle:
        handle.seek(header.start + page * length)
        content = handle.read(length)
    if len(content) < length and not partial:
        raise ImageReadError(f"{path} is truncated: page {page} lacks {length - len(content):,} of its bytes")
    pixels = np.frombuffer(content.ljust(length, b"\0"), header.dtype)
    return pixels.reshape(header.height, header.width).copy()
