"""How large an image may be: judged from the header, before any memory is taken."""

from pathlib import Path

from cytoimagenet_hf.core.numbers import LARGEST
from cytoimagenet_hf.core.numbers import MAX_PIXELS as MAX_PIXELS

from .errors import ImageTooLargeError

# A colour picture with alpha has four values per pixel; files of more are as large as their values.
_VALUES_PER_PIXEL = 4


def check_pixels(path: Path, width: int, height: int, *, max_pixels: int, values: int = 1) -> None:
    """Refuse a plane that is too large.

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
