"""Which kind of file this is, from its first bytes and never from its name.

Signatures come first. DeltaVision has none but two bytes in the middle of its header, which stand in other files by
chance, so that its header must be plausible as a whole as well.
"""

import struct

from .raw import PARSERS

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


def kind_of(head: bytes, size: int) -> str:
    """`"png"`, `"tiff"`, `"npy"`, `"deltavision"`, `"cellomics"`, or `"other"`: what Pillow may know.

    Judged are the first bytes of the file, `raw.HEAD` or all, and its size.

    Example:
        >>> kind_of(b"\\x89PNG\\r\\n", 6), kind_of(b"MM\\0*", 4), kind_of(b"GIF89a", 6), kind_of(b"well,compound", 13)
        ('png', 'tiff', 'other', 'other')
    """
    if head.startswith(b"\x89PNG"):
        return "png"
    if head.startswith(_TIFF):
        return "tiff"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(_OTHER_IMAGES) or _is_bmp(head) or refused(head) is not None:
        return "other"
    return next((kind for kind in ("cellomics", "deltavision") if PARSERS[kind](head, size) is not None), "other")


def refused(head: bytes) -> str | None:
    """What a file is that is not an image, in words; None where it may be one.

    Example:
        >>> refused(b"PK\\x03\\x04")
        'a ZIP archive: unpack it first'
    """
    return next((words for signature, words in _REFUSED.items() if head.startswith(signature)), None)


def _is_bmp(head: bytes) -> bool:
    return head.startswith(b"BM") and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADERS
