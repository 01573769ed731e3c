"""Which images show nothing worth learning from (paper §2.2)."""

from .channels import to_gray
from .percentile import Pixels, histogram, percentiles


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
    low, upper_quartile, high = percentiles(gray, (0.1, 75, 99.9), counted=counted)
    if low == high:
        return "uniform"
    if counted is not None:
        binary = (counted[0] > 0).sum() == 2
    else:
        binary = not ((gray != gray.min()) & (gray != gray.max())).any()
    if binary:
        return "binary"
    return "dim" if upper_quartile == 0 else None
