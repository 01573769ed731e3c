"""Files whose bytes are made by hand, since no encoder writes what they claim."""

import struct
import zlib
from collections.abc import Mapping

import numpy as np


def png(width: int, height: int, *data: bytes, depth: int = 8, text: bytes = b"") -> bytes:
    """A gray PNG that claims a size and holds these chunks of packed rows, and a text in front of them."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), *([(b"tEXt", text)] if text else []), *((b"IDAT", part) for part in data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in [*chunks, (b"IEND", b"")]
    )


def tiff(tags: Mapping[int, int], before: bytes = b"") -> bytes:
    """A TIFF of one directory behind some bytes, of which the first is at 8; tags of whole numbers, in order."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(before)) + before + directory


def chain(pages: int, *, loop: bool = False) -> bytes:
    """A TIFF whose every page is the same pixel."""
    tags = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    directory = tiff(tags)[8:-4]
    size, start = len(directory) + 4, 12
    after = [start + size * (page + 1) for page in range(pages)]
    after[-1] = start if loop else 0
    return b"II*\0" + struct.pack("<I", start) + bytes(4) + b"".join(directory + struct.pack("<I", o) for o in after)


def deltavision(
    planes: np.ndarray, order: str = "<", mode: int = 6, extended: int = 32, *, waves: int = 0, times: tuple = (1, 0)
) -> bytes:
    """A DeltaVision file of planes (n, H, W), by default a channel each; `times` are how many and the sequence."""
    header = bytearray(1024)
    struct.pack_into(f"{order}4i", header, 0, planes.shape[2], planes.shape[1], len(planes), mode)
    struct.pack_into(f"{order}i", header, 92, extended)
    struct.pack_into(f"{order}h", header, 96, -16224)
    struct.pack_into(f"{order}2h", header, 180, *times)
    struct.pack_into(f"{order}h", header, 196, waves or len(planes))
    return bytes(header) + bytes(extended) + planes.astype(planes.dtype.newbyteorder(order)).tobytes()
