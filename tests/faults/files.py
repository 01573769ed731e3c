"""Image files as people hold them: cut, empty, renamed, lying about themselves. name → (suffix, maker)."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import tifffile
from PIL import Image

from tests.imaging import files as made

PIXELS = np.random.default_rng(0).integers(0, 4000, (40, 40)).astype(np.uint16)


def sound(kind: str = "PNG") -> bytes:
    """A sound 8-bit image."""
    buffer = io.BytesIO()
    Image.fromarray((PIXELS >> 4).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def tiff(array: np.ndarray = PIXELS, **options: object) -> bytes:
    """A sound TIFF."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **{"photometric": "minisblack", **options})
    return buffer.getvalue()


def tiff_header(width: int, height: int) -> bytes:
    """A TIFF that claims a size and holds nothing."""
    length = 2 * width * height & 0xFFFFFFFF
    return made.tiff({256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: length})


def looping_tiff() -> bytes:
    """A TIFF whose first directory is followed by itself."""
    content = bytearray(tiff())
    offset = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[offset : offset + 2])[0]
    content[offset + 2 + 12 * count : offset + 6 + 12 * count] = struct.pack("<I", offset)
    return bytes(content)


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty_png": (".png", lambda: b""),
    "empty_tif": (".tif", lambda: b""),
    "text_png": (".png", lambda: b"not an image at all\n" * 20),
    "text_tif": (".tif", lambda: b"not an image at all\n" * 20),
    "text_jpg": (".jpg", lambda: b"not an image at all\n" * 20),
    "html_png": (".png", lambda: b"<!DOCTYPE html><html><body>404</body></html>"),
    "lfs_pointer": (".tif", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"),
    "zeros_png": (".png", lambda: bytes(4096)),
    "zeros_tif": (".tif", lambda: bytes(4096)),
    "signature_png": (".png", lambda: sound()[:8]),
    "signature_tif": (".tif", lambda: b"II*\0"),
    "cut_png": (".png", lambda: sound()[:300]),
    "cut_png_end": (".png", lambda: sound()[:-20]),
    "cut_tif": (".tif", lambda: tiff()[:500]),
    "cut_tif_head": (".tif", lambda: tiff()[:9]),
    "cut_jpg": (".jpg", lambda: sound("JPEG")[:200]),
    "cut_bmp": (".bmp", lambda: sound("BMP")[:200]),
    "cut_gif": (".gif", lambda: sound("GIF")[:60]),
    "flipped_png": (".png", lambda: sound()[:600] + bytes(8) + sound()[608:]),
    "bad_crc_png": (".png", lambda: sound()[:20] + b"\xff" + sound()[21:]),
    "gzip_png": (".png", lambda: b"\x1f\x8b\x08\0" + bytes(60)),
    "zip_tif": (".tif", lambda: b"PK\x03\x04" + bytes(60)),
    "parquet_png": (".png", lambda: b"PAR1" + bytes(60) + b"PAR1"),
    "huge_png": (".png", lambda: made.png(30_000, 30_000, zlib.compress(bytes(1000)))),
    "huge_png_packed": (".png", lambda: made.png(30_000, 30_000, zlib.compress(bytes(30_001 * 30_000), 1))),
    "vast_png": (".png", lambda: made.png(2**31 - 1, 2**31 - 1, b"")),
    "zero_png": (".png", lambda: made.png(0, 0, b"")),
    "no_data_png": (".png", lambda: made.png(40, 40, b"")),
    "huge_tif": (".tif", lambda: tiff_header(30_000, 30_000)),
    "vast_tif": (".tif", lambda: tiff_header(2**31, 2**31)),
    "zero_tif": (".tif", lambda: tiff_header(0, 40)),
    "loop_tif": (".tif", looping_tiff),
    "nan_tif": (".tif", lambda: tiff(np.full((40, 40), np.nan, np.float32))),
    "inf_tif": (".tif", lambda: tiff(np.full((40, 40), np.inf, np.float32))),
    "half_nan_tif": (".tif", lambda: tiff(np.where(PIXELS > 2000, np.nan, PIXELS).astype(np.float32))),
    "complex_tif": (".tif", lambda: tiff(PIXELS.astype(np.complex64))),
    "text_in_tags": (".tif", lambda: tiff(description="<OME>" + "x" * 3000)),
    "one_pixel_png": (".png", lambda: made.png(1, 1, zlib.compress(b"\0\7"))),
    "one_pixel_tif": (".tif", lambda: tiff(PIXELS[:1, :1])),
    "thin_tif": (".tif", lambda: tiff(PIXELS[:1])),
    "dv_claim": (".dv", lambda: bytes(96) + b"\xa0\xc0" + bytes(2000)),
    "cut_dv": (".dv", lambda: struct.pack("<4i", 40, 40, 1, 6) + bytes(80) + struct.pack("<h", -16224) + bytes(100)),
    "many_pages_tif": (".tif", lambda: tiff(np.zeros((300, 4, 4), np.uint8))),
}
"""Name → (suffix, maker). Some are sound but of no use: constant, of one pixel, not finite."""
