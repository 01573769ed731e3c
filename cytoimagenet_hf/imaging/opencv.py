"""OpenCV where it is installed (the extra `images`).

It makes counting, tables and PNG faster and changes no value; without it they run on NumPy and Pillow. What needs it
asks `require_opencv`.
"""

import contextlib
import importlib
from typing import Any

from cytoimagenet_hf.core.errors import InputError

cv2: Any = None
"""The module, or None."""
with contextlib.suppress(ImportError):
    cv2 = importlib.import_module("cv2")


def require_opencv(purpose: str) -> Any:
    """The module.

    Raises:
        InputError: it is not installed; the message says what for.
    """
    if cv2 is None:
        raise InputError(f"{purpose} needs OpenCV: pip install 'cytoimagenet-hf[images]'")
    return cv2
