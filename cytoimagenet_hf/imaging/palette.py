"""Palette images: indices to the values they stand for."""

import numpy as np

from .percentile import Pixels


def from_palette(indices: Pixels, colours: Pixels) -> Pixels:
    """Pixel values of a palette image: gray where the palette is gray.

    Args:
        indices: (H, W) integers.
        colours: (N, 3) uint8; indices beyond it are black.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Example:
        >>> from_palette(np.array([[0, 1, 1]]), np.array([[9, 9, 9], [200, 200, 200]], np.uint8)).tolist()
        [[9, 200, 200]]
    """
    padded = np.zeros((max(len(colours), int(indices.max()) + 1), 3), dtype=np.uint8)
    padded[: len(colours)] = colours
    return padded[:, 0][indices] if is_gray(colours) else padded[indices]


def is_gray(colours: Pixels) -> bool:
    """Whether every colour of a palette (N, 3) is a gray."""
    return bool((colours == colours[:, :1]).all())
