"""What reading image files raises: one printable line each, whatever the file is called; and how large one may be."""

from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import LARGEST

# A colour picture with alpha has four values per pixel; files of more are as large as their values.
_VALUES_PER_PIXEL = 4


class ImageReadError(InputError):
    """An image file that cannot be read; the message holds the path and the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(_printable(message))


class ImageTooLargeError(ImageReadError):
    """An image whose header claims more pixels than the caller's limit: nothing of it was decoded."""


class AmbiguousAxesError(InputError):
    """A file whose planes may be channels, focus positions or time points: the caller has to say which."""

    def __init__(self, message: str) -> None:
        super().__init__(_printable(message))


def check_pixels(path: Path, width: int, height: int, *, max_pixels: int, values: int = 1) -> None:
    """Refuse a plane that is too large, judged from its header, before any memory is taken.

    Args:
        path: the file, for the message.
        width: pixels across, as its header says.
        height: pixels down.
        max_pixels: the limit.
        values: per pixel: colours, samples, focus positions.

    Raises:
        ImageTooLargeError: more pixels than `max_pixels`.
    """
    # In whole numbers: what a header claims may lie beyond those that a float holds, or that Python writes out.
    if width * height * max(_VALUES_PER_PIXEL, values) > max_pixels * _VALUES_PER_PIXEL:
        sides = [width, height, *([values] if values > _VALUES_PER_PIXEL else [])]
        size = " x ".join(str(side) if side <= LARGEST else f"over {LARGEST}" for side in sides)
        raise ImageTooLargeError(
            f"{path} claims {size} pixels, more than the limit of {max_pixels:,}: if it is sound, raise max_pixels"
        )


def _printable(text: str) -> str:
    r"""Text that any terminal, log and UTF-8 file takes: what is not printable is written as an escape.

    File names may hold bytes that are not UTF-8 (surrogates in Python) and line breaks.
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that os.fsdecode could not decode
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
