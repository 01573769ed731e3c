"""OpenCV where it is installed (the extra `images`).

It makes counting, tables and PNG faster and changes no value; without it they run on NumPy and Pillow. What needs it
asks `require_opencv`.
"""

from typing import Any

from cytoimagenet_hf.core.errors import InputError

try:
    import cv2 as _cv2
except ImportError:
    _cv2 = None

cv2: Any = _cv2
"""The module, or None."""


def require_opencv(purpose: str) -> Any:
    """The module.

    Raises:
        InputError: it is not installed; the message says what for.
    """
    if cv2 is None:
        raise InputError(f"{purpose} needs OpenCV: pip install 'cytoimagenet-hf[images]'")
    return cv2
