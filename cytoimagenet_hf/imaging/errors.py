"""What reading image files raises: one printable line each, whatever the file is called."""

from cytoimagenet_hf.core.errors import InputError


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


def _printable(text: str) -> str:
    r"""Text that any terminal, log and UTF-8 file takes: what is not printable is written as an escape.

    File names may hold bytes that are not UTF-8 (surrogates in Python) and line breaks.

    Example:
        >>> print(_printable("a\udcff\nb ü.tif"))
        a\xff\nb ü.tif
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that os.fsdecode could not decode
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
