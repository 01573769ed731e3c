"""Which images show nothing worth learning from (paper §2.2)."""

import math

import numpy as np
import numpy.typing as npt

from .channels import to_gray
from .percentile import Pixels, histogram, percentiles

_LOW, _UPPER_QUARTILE, _HIGH = 0.1, 75, 99.9


def quality_issue(image: Pixels) -> str | None:
    """Why an image should be left out, if it should.

    Args:
        image: (H, W) or (H, W, 3), any dtype.

    Returns:
        None, or the first that holds: `"uniform"` (its 0.1 and 99.9 percentiles are equal), `"binary"` (two values:
        a mask), `"dim"` (its 75th percentile is 0).

    Raises:
        InputError: an empty image, another shape, or a non-finite pixel.

    Example:
        >>> import numpy as np
        >>> quality_issue(np.zeros((8, 8))), quality_issue(np.eye(8)), quality_issue(np.arange(64).reshape(8, 8))
        ('uniform', 'binary', None)
    """
    gray = to_gray(image)
    counted = histogram(gray) if gray.size else None
    low, upper_quartile, high = percentiles(gray, (_LOW, _UPPER_QUARTILE, _HIGH), counted=counted)
    if low == high:
        return "uniform"
    if counted is not None:
        binary = (counted[0] > 0).sum() == 2
    else:
        binary = not ((gray != gray.min()) & (gray != gray.max())).any()
    if binary:
        return "binary"
    return "dim" if upper_quartile == 0 else None


def proves_quality(counts: npt.NDArray[np.int64], size: int) -> bool:
    """Whether some pixels of an 8-bit image show that `quality_issue` has nothing against the whole.

    Args:
        counts: (256,) how often each value occurs among the pixels that were looked at.
        size: pixels of the whole image.

    Returns:
        True only if the others, whatever they are, could not change the answer.

    Example:
        >>> import numpy as np
        >>> half = np.bincount(np.arange(40), minlength=256)
        >>> proves_quality(half, 80), proves_quality(half, 400)  # of 400, 361 may be black
        (True, False)
    """

    def place(percentage: float) -> float:
        return (size - 1) * percentage / 100

    at_most, at_least = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    # The smallest value that enough of these pixels do not exceed: no lower percentile of the whole lies above it.
    bottom = np.flatnonzero(at_most > math.ceil(place(_LOW)))
    top = np.flatnonzero(at_least >= size - math.floor(place(_HIGH)))
    three_values = int((counts > 0).sum()) >= 3
    bright = at_least[1] >= size - math.floor(place(_UPPER_QUARTILE))
    return bool(three_values and bright and len(bottom) and len(top) and bottom[0] < top[-1])
