"""Read a microscopy file at its native depth, or say what is wrong with it and where.

The kind of a file is read from its first bytes, never from its name. Signatures come first: DeltaVision has none but
two bytes in the middle of its header, which stand in other files by chance. Palettes are resolved to the values they
stand for, alpha is dropped, and every image is decoded to its end (I5). Its size is judged from the header first.
"""

import math
import stat
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import MAX_PIXELS

from . import raw
from .errors import ImageReadError, check_pixels
from .npy import npy_header, read_npy_part
from .opencv import require_opencv
from .percentile import Pixels
from .png import decode_gray_png
from .ranges import RangedFile
from .tiff import MINISWHITE, PALETTE, count_pages, from_palette, read_tiff

_Planes = list[Pixels]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHER_IMAGES = (b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
# Sizes of the header that follows the first 14 bytes of a BMP: two letters alone are not a signature.
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_REFUSED = {
    b"PK\x03\x04": "a ZIP archive: unpack it first",
    b"PK\x05\x06": "an empty ZIP archive",
    b"\x1f\x8b": "compressed by gzip: unpack it first",
    b"BZh": "compressed by bzip2: unpack it first",
    b"\xfd7zXZ\0": "compressed by xz: unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it first",
    b"Rar!": "a RAR archive: unpack it first",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file: export its planes as TIFF",
    b"PAR1": "a Parquet table",
    b"ZISRAWFILE": "a Zeiss CZI file, which has a reader of its own",
    b"\xda\xce\xbe\x0a": "a Nikon ND2 file, which has a reader of its own",
    b"\x70\0\0\0\x2a": "a Leica LIF file, which has a reader of its own",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an OLE container (OIB, ZVI, old Office): export its planes as TIFF",
    b"%PDF": "a PDF document: export its pictures first",
    b"%!PS": "a PostScript program: export its pictures first",
    b"\x7fELF": "a program",
    b"version https://git-lfs": "a pointer of Git LFS, without the file itself: run git lfs pull",
    b"<?xml": "XML text",
    b"<!DOCTYPE": "a web page: was the download refused?",
    b"<html": "a web page: was the download refused?",
}


def read_image(
    path: str | Path, *, page: int | None = None, partial: bool = False, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Read one plane of an image file.

    PNG, JPEG, BMP, DIB, GIF and what else Pillow knows; TIFF and its kin (FLEX, LSM, OME) through tifffile: 8, 12,
    16 bit, float, any compression, palettes; NPY without pickles; DeltaVision (.dv); Cellomics (.DIB).

    Args:
        path: the file.
        page: plane of a multi-plane file, in file order; `describe_stack` says which plane is which. Samples of a
            page that are not colours count as planes. None reads the first page as one picture.
        partial: take what a truncated file still holds, the rest black, as the published build did (I5).
        max_pixels: planes that claim more in their header are refused before memory is taken.

    Returns:
        (H, W) or (H, W, 3) RGB, in the dtype of the file (one-bit images as 0 and 255).

    Raises:
        ImageReadError: the file is absent, empty, truncated, of an unknown kind, not an image, too large, or lacks
            the page.

    Example:
        >>> import tempfile, tifffile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "field.tif"
        ...     tifffile.imwrite(file, np.array([[0, 4095]], np.uint16))
        ...     read_image(file)
        array([[   0, 4095]], dtype=uint16)
    """
    return read_planes(path, [page], partial=partial, max_pixels=max_pixels)[0]


def read_planes(
    path: str | Path, pages: Sequence[int | None], *, partial: bool = False, max_pixels: int = MAX_PIXELS
) -> list[Pixels]:
    """Several planes of one file, which is opened once.

    Args:
        path: the file.
        pages: planes, as `read_image` takes them, in any order.
        partial: see `read_image`.
        max_pixels: see `read_image`; the limit of each plane.

    Returns:
        One array per page.

    Raises:
        ImageReadError: as of `read_image`.
    """
    path = Path(path)
    with decoding(path):
        kind, head = look_at(path)
        planes = _READERS[kind](_Wanted(path, kind, head, pages, partial, max_pixels))
        return [_checked(image, path) for image in planes]


def read_labels(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read a label image with the numbers that it stores.

    A palette gives labels their colours, and zero is the background also where it is shown white, as programs write
    masks (tifffile of one bit, ImageJ by an inverting table).

    Raises:
        ImageReadError: as of `read_image`; the file holds several planes, or is a JPEG.
    """
    path = Path(path)
    pixels = read_image(path, max_pixels=max_pixels)
    several = f"{path} holds several planes: a label image is one"
    with decoding(path):
        kind, _ = look_at(path)
        if kind == "tiff":
            with open(path, "rb") as handle, tifffile.TiffFile(handle) as tiff:
                page = tiff.pages.first
                if count_pages(path, 2) > 1 and tiff.pages[1].shape == page.shape:
                    raise ImageReadError(several)
                return np.asarray(page.asarray()) if page.photometric in (MINISWHITE, PALETTE) else pixels
        if kind == "npy" and len(shape := npy_header(path).shape) == 3 and shape[0] > 1 and pixels.ndim == 2:
            raise ImageReadError(several)
        if kind in ("png", "other"):
            with _open_pillow(path) as picture:
                if picture.format == "JPEG":
                    raise ImageReadError(f"{path} is a JPEG, which blurs numbers: save label images as PNG or TIFF")
                return np.asarray(picture) if picture.mode == "P" else pixels
    return pixels


def read_fetched_tiff(handle: RangedFile, path: Path, pages: Sequence[int | None], *, max_pixels: int) -> list[Pixels]:
    """Planes of a TIFF file elsewhere, as `read_planes`; `path` is what messages call it."""
    with decoding(path):
        planes = read_tiff(path, pages, partial=False, max_pixels=max_pixels, handle=handle)
        return [_checked(image, path) for image in planes]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a reader is asked for: planes of one file, whose kind and first bytes are known."""

    path: Path
    kind: str
    head: bytes
    pages: Sequence[int | None]
    partial: bool
    max_pixels: int


def look_at(path: Path) -> tuple[str, bytes]:
    """The kind of an image file, see `kind_of`, and its first bytes."""
    try:
        status = path.stat()
        # A pipe would block for ever, a device never end.
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise ImageReadError(f"cannot open {path}: not a regular file")
        with open(path, "rb") as handle:
            head = handle.read(raw.HEAD)
    except (OSError, ValueError) as error:
        if isinstance(error, ImageReadError):
            raise
        raise ImageReadError(f"cannot open {path}: {getattr(error, 'strerror', None) or error}") from error
    if not head:
        raise ImageReadError(f"{path} is empty (0 bytes)")
    kind = kind_of(head, status.st_size)
    if kind == "other" and (words := refused(head)) is not None:
        raise ImageReadError(f"{path} is {words}")
    return kind, head


def kind_of(head: bytes, size: int) -> str:
    """`"png"`, `"tiff"`, `"npy"`, `"deltavision"`, `"cellomics"`, or `"other"`: what Pillow may know.

    Judged are the first bytes of the file, `raw.HEAD` or all, and its size.
    """
    if head.startswith(b"\x89PNG"):
        return "png"
    if head.startswith(_TIFF):
        return "tiff"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(_OTHER_IMAGES) or _is_bmp(head) or refused(head) is not None:
        return "other"
    return next((kind for kind in ("cellomics", "deltavision") if raw.PARSERS[kind](head, size) is not None), "other")


def refused(head: bytes) -> str | None:
    """What a file is that is not an image, in words; None where it may be one."""
    return next((words for signature, words in _REFUSED.items() if head.startswith(signature)), None)


def _is_bmp(head: bytes) -> bool:
    return head.startswith(b"BM") and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADERS


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Whatever a decoder stumbles over becomes an `ImageReadError` that names the file."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise ImageReadError(f"cannot decode {path}: not enough memory for it") from error
    except Exception as error:  # decoders raise whatever their file made them stumble over
        raise ImageReadError(f"cannot decode {path}: {type(error).__name__}: {error}") from error


def _read_tiff(wanted: _Wanted) -> _Planes:
    return read_tiff(wanted.path, wanted.pages, partial=wanted.partial, max_pixels=wanted.max_pixels)


def _read_npy(wanted: _Wanted) -> _Planes:
    path = wanted.path
    header = npy_header(path)
    shape = header.shape
    is_stack = len(shape) == 3 and shape[2] not in (3, 4)
    height, width, *colours = (*shape[is_stack:], 1, 1)[: max(2, len(shape) - is_stack)]
    check_pixels(path, width, height, max_pixels=wanted.max_pixels, values=math.prod(colours))
    planes = []
    for page in wanted.pages:
        _require_page(path, page or 0, shape[0] if is_stack else 1)
        planes.append(read_npy_part(path, header, (page or 0,) if is_stack else ()))
    return planes


def _read_raw(wanted: _Wanted) -> _Planes:
    path, partial, most = wanted.path, wanted.partial, wanted.max_pixels
    header = raw.read_header(path, wanted.kind)
    for page in wanted.pages:
        _require_page(path, page or 0, header.planes)
    return [raw.read_plane(path, header, page or 0, partial=partial, max_pixels=most) for page in wanted.pages]


def _read_png(wanted: _Wanted) -> _Planes:
    path, head, pages = wanted.path, wanted.head, wanted.pages
    if len(head) >= 33 and head[12:16] == b"IHDR":
        width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", head[16:29])
        check_pixels(path, width, height, max_pixels=wanted.max_pixels)
        if not (any(pages) or wanted.partial) and colour == 0 and not interlaced:
            pixels = decode_gray_png(path.read_bytes())
            if pixels is not None:
                return [pixels] * len(pages)
        # Pillow cuts 16-bit colour to 8 bits.
        if depth == 16 and colour != 0:
            return [_deep_colour_png(path, page) for page in pages]
    return _read_pillow(wanted)


def _deep_colour_png(path: Path, page: int | None) -> Pixels:
    _require_page(path, page or 0, 1)
    cv2 = require_opencv(f"{path}, a colour PNG of 16 bits,")
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageReadError(f"{path} is truncated or damaged")
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 2::-1])


def _read_pillow(wanted: _Wanted) -> _Planes:
    path, planes = wanted.path, []
    with _open_pillow(path) as image:
        for page in wanted.pages:
            check_pixels(path, *image.size, max_pixels=wanted.max_pixels)
            if page:  # frames are counted by walking through all of them
                _require_page(path, page, getattr(image, "n_frames", 1))
            if image.tell() != (page or 0):
                image.seek(page or 0)
            if wanted.partial:
                _load_what_is_there(image)
            planes.append(_pillow_pixels(image))
    return planes


def picture_header(path: Path) -> tuple[int, tuple[int, ...], np.dtype[np.generic]]:
    """Frames, shape and dtype of what `read_image` gives of a PNG or another of Pillow's files, without decoding."""
    with open(path, "rb") as handle:
        head = handle.read(raw.HEAD)
    with _open_pillow(path) as image:
        size, frames = (image.height, image.width), int(getattr(image, "n_frames", 1))
        if head.startswith(b"\x89PNG") and head[24] == 16 and head[25] != 0:  # colour beyond 8 bits, see `_read_png`
            return frames, (*size, 3), np.dtype(np.uint16)
        pixel = PIL.Image.new(image.mode, (1, 1))
        pixel.format = image.format
        if image.mode == "P":
            pixel.putpalette(image.getpalette("RGB") or [])
        pixels = _pillow_pixels(pixel)
        return frames, (*size, *pixels.shape[2:]), pixels.dtype


# Pillow offers these as module-wide switches only.
_SWITCHES = threading.Lock()


def _open_pillow(path: Path) -> PIL.Image.Image:
    """Open without Pillow's own limit, which warns from 90 million pixels on: ours is checked before decoding."""
    with _SWITCHES:
        before = PIL.Image.MAX_IMAGE_PIXELS
        PIL.Image.MAX_IMAGE_PIXELS = None
        try:
            return PIL.Image.open(path)
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = before


def _load_what_is_there(image: PIL.Image.Image) -> None:
    with _SWITCHES:
        PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            image.load()
        finally:
            PIL.ImageFile.LOAD_TRUNCATED_IMAGES = False


def _pillow_pixels(image: PIL.Image.Image) -> Pixels:
    if image.mode == "P":
        colours = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        return from_palette(np.asarray(image), colours)
    if image.mode == "I" and image.format == "PNG":  # how older Pillow opens 16-bit gray
        return np.asarray(image).astype(np.uint16)
    return picture_pixels(image)


def picture_pixels(picture: PIL.Image.Image) -> Pixels:
    """A picture of Pillow as (H, W) in its own depth, or (H, W, 3) where it has colours; alpha is dropped."""
    if picture.mode in ("L", "I", "F") or picture.mode.startswith("I;16"):
        return np.asarray(picture)
    return np.asarray(picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB"))


_READERS: dict[str, Callable[[_Wanted], _Planes]] = {
    "tiff": _read_tiff,
    "npy": _read_npy,
    "deltavision": _read_raw,
    "cellomics": _read_raw,
    "png": _read_png,
    "other": _read_pillow,
}


def _checked(image: Pixels, path: Path) -> Pixels:
    """The image as (H, W) or (H, W, 3); an error names any other shape or dtype."""
    shape = image.shape
    if image.size == 0:
        raise ImageReadError(f"{path} has no pixels: its shape is {shape}")
    while image.ndim > 3 and image.shape[0] == 1:
        image = image[0]
    if image.ndim == 3 and image.shape[2] in (2, 4):  # the last one is alpha
        image = image[..., :-1]
    if image.ndim == 3 and 1 in (image.shape[0], image.shape[2]):
        image = image.squeeze(axis=0 if image.shape[0] == 1 and image.shape[2] != 3 else 2)
    if image.ndim != 2 and (image.ndim != 3 or image.shape[2] != 3):
        raise ImageReadError(f"{path} holds an array of shape {shape}; an image is (H, W) or (H, W, 3)")
    if image.dtype.kind not in "buif":
        raise ImageReadError(f"{path} holds {image.dtype} values; pixels are integers or floats")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ImageReadError(f"{path} has NaN or infinite pixels")
    if image.dtype == bool:
        return image.astype(np.uint8) * np.uint8(255)
    return image.astype(image.dtype.newbyteorder("="), copy=False)


def _require_page(path: Path, index: int, planes: int) -> None:
    if not 0 <= index < planes:
        raise ImageReadError(f"{path} has no page {index}: it has {planes}, counted from 0")
