"""Planes of TIFF files and their kin (FLEX, LSM, OME), by their place in the file.

A plane is a directory of the file (a page), one sample of a page whose samples are not colours, or one picture of a
stack that ImageJ wrote behind a single directory.
"""

import io
import os
import struct
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import tifffile

from cytoimagenet_hf.core.errors import InputError

from .errors import ImageReadError, check_pixels
from .names import OmeDocument, read_ome
from .percentile import Pixels
from .ranges import RangedFile

MOST_PAGES = 1 << 20
"""Directories of a file that are looked at; a chain of more, or a loop, is an error."""

MAX_PAGES = 1 << 16
"""Pages of a file that are described; single pages beyond can still be read."""

_SEPARATE, MINISWHITE, _MINISBLACK, _RGB, PALETTE, _YCBCR = 2, 0, 1, 2, 3, 6
_ALPHA = {1, 2}


def read_tiff(
    path: Path, pages: Sequence[int | None], *, partial: bool, max_pixels: int, handle: RangedFile | None = None
) -> list[Pixels]:
    """Planes of one file, which is opened once; None stands for the whole first page.

    With `partial`, what a truncated file still holds. A `handle` is the content of a file elsewhere, which messages
    call by its path.
    """
    with open(path, "rb") if handle is None else nullcontext(handle) as file, tifffile.TiffFile(file) as tiff:
        require_pages(tiff, path)
        highest = max((page or 0 for page in pages), default=0)
        # two: a first page that is its own next one is damage
        count = count_pages(path, max(highest + 1, 2), handle=handle)
        if handle is not None:
            places = {(page or 0) // own_samples(tiff.pages.first) for page in pages}
            wanted = [tiff.pages[place].aspage() for place in places if 0 <= place < count]
            for page in wanted:
                _check_page(page, path, max_pixels)
            handle.fetch(span for page in wanted for span in zip(page.dataoffsets, page.databytecounts, strict=True))
        return [_read_plane(tiff, path, page, count, partial, max_pixels) for page in pages]


def own_samples(page: tifffile.TiffPage) -> int:
    """How many planes the samples of one page are: 1 where they are gray, or the colours of a picture."""
    samples = int(page.samplesperpixel)
    if samples == 1 or page.photometric == PALETTE:
        return 1
    if page.planarconfig == _SEPARATE:
        return samples
    if page.photometric in (_RGB, _YCBCR):
        return 1 if samples <= 4 else samples
    is_gray_with_alpha = samples == 2 and bool({*page.extrasamples[:1]} & _ALPHA)
    return 1 if is_gray_with_alpha else samples


def count_pages(path: Path, most: int, *, handle: RangedFile | None = None) -> int:
    """Directories of a TIFF file, at most `most`: the chain is followed without reading what the directories say.

    A chain that is a loop, or has more than `MOST_PAGES` directories while more are asked for, is refused.
    """
    with open(path, "rb") if handle is None else nullcontext(handle) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        order, wide = _byte_order(file.read(16))
        count, entry, offset = (f"{order}Q", 20, f"{order}Q") if wide else (f"{order}H", 12, f"{order}I")
        file.seek(8 if wide else 4)
        place = struct.unpack(offset, file.read(struct.calcsize(offset)))[0]
        seen: set[int] = set()
        while 0 < place < size and len(seen) < most:
            if place in seen:
                raise ImageReadError(f"{path} is damaged: its pages form a loop after {len(seen):,}")
            if len(seen) == MOST_PAGES:
                raise ImageReadError(f"{path} has more than {MOST_PAGES:,} pages: split it")
            seen.add(place)
            file.seek(place)
            (tags,) = struct.unpack(count, file.read(struct.calcsize(count)).ljust(struct.calcsize(count), b"\0"))
            file.seek(tags * entry, os.SEEK_CUR)
            following = file.read(struct.calcsize(offset))
            place = struct.unpack(offset, following)[0] if len(following) == struct.calcsize(offset) else 0
    return len(seen)


def _byte_order(head: bytes) -> tuple[str, bool]:
    order = "<" if head[:2] == b"II" else ">"
    return order, struct.unpack_from(f"{order}H", head, 2)[0] == 43


def require_pages(tiff: tifffile.TiffFile, path: Path) -> None:
    """Refuse a file whose first directory cannot be read."""
    try:
        tiff.pages.first  # noqa: B018 - reads the first directory
    except (IndexError, tifffile.TiffFileError) as error:
        raise ImageReadError(f"{path} is a TIFF without pages: truncated or damaged") from error


def bounded_ome(tiff: tifffile.TiffFile, path: Path) -> OmeDocument:
    """The OME metadata of a file, judged before tifffile lists the planes that they state; or nothing."""
    if not (tiff.is_ome and tiff.ome_metadata):
        return OmeDocument()
    try:
        document = read_ome(tiff.ome_metadata)
    except InputError as error:
        raise ImageReadError(f"{path} is damaged: {error}") from error
    if document.planes > MAX_PAGES:
        raise ImageReadError(
            f"{path} is damaged or incomplete: its metadata state {document.planes:,} planes, more than {MAX_PAGES:,}"
        )
    return document


def _read_plane(
    tiff: tifffile.TiffFile, path: Path, number: int | None, count: int, partial: bool, max_pixels: int
) -> Pixels:
    first = tiff.pages.first
    samples = own_samples(first)
    index, sample = divmod(number or 0, samples)
    if index < 0:
        raise ImageReadError(f"{path} has no page {number}: pages count from 0")
    if index and count == 1 and samples == 1:
        return _one_directory(tiff, path, index, partial, max_pixels)
    if index >= count:
        raise ImageReadError(f"{path} has no page {number}: it has {count * samples}, counted from 0")
    page = first if index == 0 else tiff.pages[index].aspage()
    pixels = _page_pixels(page, path, partial, max_pixels)
    parts = own_samples(page)
    if parts == 1:
        return pixels
    planes = pixels if page.planarconfig == _SEPARATE else np.moveaxis(pixels, -1, 0)
    if number is not None and parts == samples:
        return np.ascontiguousarray(planes[sample])
    if parts == 3 and page.photometric == _RGB:
        return np.ascontiguousarray(np.moveaxis(planes, 0, -1))
    raise ImageReadError(
        f"{path} holds {parts} planes of {page.imagelength} x {page.imagewidth} that may be channels or colours with "
        f"alpha: read one of them with page=0 … {parts - 1}"
    )


def _page_pixels(page: tifffile.TiffPage, path: Path, partial: bool, max_pixels: int) -> Pixels:
    _check_page(page, path, max_pixels)
    end = max((o + c for o, c in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
    short = end - page.parent.filehandle.size
    if short <= 0:
        return _resolved(page, np.asarray(page.asarray()))
    if not partial or short > page.nbytes + (1 << 20):
        raise ImageReadError(f"{path} is truncated: {short:,} of its bytes are missing")
    with tifffile.TiffFile(io.BytesIO(path.read_bytes() + bytes(short))) as padded:
        whole = padded.pages[page.index].aspage()
        return _resolved(whole, np.asarray(whole.asarray()))


def _one_directory(tiff: tifffile.TiffFile, path: Path, index: int, partial: bool, max_pixels: int) -> Pixels:
    """A later plane of a stack that lies without compression behind the directory of its first plane."""
    bounded_ome(tiff, path)
    first, stack = tiff.pages.first, tiff.series[0]
    planes = stack.size // first.size
    if index >= planes:
        raise ImageReadError(f"{path} has no page {index}: it has {planes}, counted from 0")
    if stack.dataoffset is None:
        raise ImageReadError(f"{path} holds a volume in one page: write its planes as pages")
    _check_page(first, path, max_pixels)
    tiff.filehandle.seek(stack.dataoffset + index * first.nbytes)
    content = tiff.filehandle.read(first.nbytes)
    if len(content) < first.nbytes and not partial:
        raise ImageReadError(f"{path} is truncated: {first.nbytes - len(content):,} of its bytes are missing")
    content = content.ljust(first.nbytes, b"\0")
    pixels = np.frombuffer(content, first.dtype.newbyteorder(tiff.byteorder)).reshape(first.shape)
    return _resolved(first, pixels.astype(first.dtype))


def _check_page(page: tifffile.TiffPage, path: Path, max_pixels: int) -> None:
    values = int(page.samplesperpixel) * int(page.imagedepth)
    check_pixels(path, page.imagewidth, page.imagelength, max_pixels=max_pixels, values=values)
    if page.is_tiled:  # each is decoded whole, however little of it the picture shows
        check_pixels(path, page.tilewidth, page.tilelength, max_pixels=max_pixels, values=values)


def _resolved(page: tifffile.TiffPage, pixels: Pixels) -> Pixels:
    """Samples as brightness: palettes looked up, white-is-zero turned over."""
    if page.photometric == PALETTE:
        # Palettes hold 16 bits per colour, of which the upper eight carry 8-bit values in every common spelling.
        return from_palette(pixels, (page.colormap >> 8).astype(np.uint8).T)
    if page.photometric == MINISWHITE and pixels.dtype.kind in "bu":
        pixels = ~pixels if pixels.dtype == bool else (1 << page.bitspersample) - 1 - pixels
        pixels = pixels.astype(page.dtype)
    return pixels


def from_palette(indices: Pixels, colours: Pixels) -> Pixels:
    """The values that indices (H, W) stand for: (H, W), or (H, W, 3) where the palette (N, 3) has colours.

    Indices beyond the palette are black.
    """
    padded = np.zeros((max(len(colours), int(indices.max()) + 1), 3), dtype=np.uint8)
    padded[: len(colours)] = colours
    is_gray = (colours == colours[:, :1]).all()
    return padded[:, 0][indices] if is_gray else padded[indices]
