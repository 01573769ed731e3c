"""Read a microscopy file at its native depth, or say what is wrong with it and where.

The kind of a file is told from its first bytes, never from its name. Palettes are resolved to the values they stand
for, alpha is dropped, and every image is decoded to its end (I5).
"""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageFile
import tifffile

from cytoimagenet_hf.errors import InputError

from .percentile import Image
from .png import decode_gray_png

_DELTAVISION = struct.pack("<h", -16224), struct.pack(">h", -16224)


class ImageReadError(InputError):
    """An image file that cannot be read; the message holds the path and the reason."""


def read_image(path: str | Path, *, page: int | None = None, partial: bool = False) -> Image:
    """Read one plane of an image file.

    PNG, JPEG, BMP, DIB, GIF and what else Pillow knows; TIFF and its kin (FLEX, LSM, OME) through tifffile: 8, 12,
    16 bit, float, any compression, palettes; NPY without pickles; DeltaVision (.dv) with the optional package `mrc`.

    Args:
        path: the file.
        page: plane of a multi-plane file, in file order; None reads the first.
        partial: take what a truncated file still holds, the rest black, as the published build did (I5).

    Returns:
        (H, W) or (H, W, 3) RGB, in the dtype of the file (one-bit images as 0 and 255).

    Raises:
        ImageReadError: the file is absent, empty, truncated, of an unknown kind, not an image, or lacks the page.
    """
    path = Path(path)
    try:
        with open(path, "rb") as handle:
            head = handle.read(128)
    except OSError as error:
        raise ImageReadError(f"cannot open {path}: {error.strerror or error}") from error
    if not head:
        raise ImageReadError(f"{path} is empty (0 bytes)")
    try:
        image = _reader(head)(path, page, partial)
    except ImageReadError:
        raise
    except Exception as error:  # decoders raise whatever their file made them stumble over
        raise ImageReadError(f"cannot decode {path}: {type(error).__name__}: {error}") from error
    return _checked(image, path)


def _reader(head: bytes) -> Callable[[Path, int | None, bool], Image]:
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_tiff
    if head.startswith(b"\x93NUMPY"):
        return _read_npy
    if head[96:98] in _DELTAVISION:
        return _read_deltavision
    if head.startswith(b"\x89PNG") and head[25:26] == b"\0" and head[28:29] == b"\0":
        return _read_gray_png
    # Pillow cuts 16-bit colour to 8 bits; bit depth and colour type are bytes 24 and 25 of a PNG.
    if head.startswith(b"\x89PNG") and head[24:25] == b"\x10" and head[25:26] != b"\0":
        return _read_deep_colour_png
    return _read_pillow


def _read_tiff(path: Path, page: int | None, partial: bool) -> Image:
    with tifffile.TiffFile(path) as tiff:
        index = page or 0
        planes = len(tiff.pages)
        if planes == 1 and index:
            # ImageJ writes one directory for a whole stack.
            stack = tiff.series[0]
            planes = stack.size // tiff.pages[0].size
            _require_page(path, index, planes)
            return np.asarray(stack.asarray()).reshape(planes, *tiff.pages[0].shape)[index]
        _require_page(path, index, planes)
        plane = tiff.pages[index]
        end = max(offset + count for offset, count in zip(plane.dataoffsets, plane.databytecounts, strict=True))
        short = end - path.stat().st_size
        if short > 0 and not partial:
            raise ImageReadError(f"{path} is truncated: {short:,} of its bytes are missing")
        if short > 0:
            return _read_padded_tiff(path, index, short)
        return _tiff_plane(plane)


def _read_padded_tiff(path: Path, index: int, short: int) -> Image:
    with tifffile.TiffFile(io.BytesIO(path.read_bytes() + bytes(short))) as tiff:
        return _tiff_plane(tiff.pages[index])


def _tiff_plane(plane: tifffile.TiffPage) -> Image:
    pixels = np.asarray(plane.asarray())
    if plane.photometric == tifffile.PHOTOMETRIC.PALETTE:
        # Palettes hold 16 bits per colour, of which the upper eight carry 8-bit values in every common spelling.
        return _from_palette(pixels, (plane.colormap >> 8).astype(np.uint8).T)
    if plane.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind in "bu":
        pixels = ~pixels if pixels.dtype == bool else (1 << plane.bitspersample) - 1 - pixels
        pixels = pixels.astype(plane.dtype)
    if plane.axes[:1] == "S":  # colours in planes of their own
        pixels = np.moveaxis(pixels, 0, -1)
    return pixels


def _read_npy(path: Path, page: int | None, partial: bool) -> Image:
    pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        _require_page(path, page or 0, len(pixels))
        pixels = pixels[page or 0]
    else:
        _require_page(path, page or 0, 1)
    return np.array(pixels)


def _read_deltavision(path: Path, page: int | None, partial: bool) -> Image:
    try:
        import mrc
    except ImportError:
        raise ImageReadError(f"{path} is a DeltaVision file: pip install mrc reads it") from None
    pixels = np.asarray(mrc.imread(str(path)))
    planes = pixels.reshape(-1, *pixels.shape[-2:])
    _require_page(path, page or 0, len(planes))
    return np.array(planes[page or 0])


def _read_gray_png(path: Path, page: int | None, partial: bool) -> Image:
    if not (page or partial):
        pixels = decode_gray_png(path.read_bytes())
        if pixels is not None:
            return pixels
    return _read_pillow(path, page, partial)


def _read_deep_colour_png(path: Path, page: int | None, partial: bool) -> Image:
    _require_page(path, page or 0, 1)
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ImageReadError(f"{path} is truncated or damaged")
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 2::-1])


def _read_pillow(path: Path, page: int | None, partial: bool) -> Image:
    with PIL.Image.open(path) as image:
        _require_page(path, page or 0, getattr(image, "n_frames", 1))
        image.seek(page or 0)
        if partial:
            _load_what_is_there(image)
        return _pillow_pixels(image)


def _load_what_is_there(image: PIL.Image.Image) -> None:
    # Pillow offers this as a module-wide switch only.
    PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        image.load()
    finally:
        PIL.ImageFile.LOAD_TRUNCATED_IMAGES = False


def _pillow_pixels(image: PIL.Image.Image) -> Image:
    if image.mode == "P":
        colours = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        return _from_palette(np.asarray(image), colours)
    if image.mode == "I" and image.format == "PNG":  # how older Pillow opens 16-bit gray
        return np.asarray(image).astype(np.uint16)
    if image.mode not in {"1", "L", "LA", "La", "I", "F", "RGB", "RGBA"} and not image.mode.startswith("I;16"):
        image = image.convert("RGB")
    return np.asarray(image)


def _from_palette(indices: Image, colours: Image) -> Image:
    """Pixel values of a palette image: gray where the palette is gray."""
    padded = np.zeros((max(len(colours), int(indices.max()) + 1), 3), dtype=np.uint8)
    padded[: len(colours)] = colours
    gray = (padded == padded[:, :1]).all()
    return padded[:, 0][indices] if gray else padded[indices]


def _checked(image: Image, path: Path) -> Image:
    """The image as (H, W) or (H, W, 3), or an error that says what it is instead."""
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
