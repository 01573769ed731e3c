"""Tensors and lists as NumPy arrays, without importing torch."""

from typing import Any

import numpy as np
import numpy.typing as npt


def as_array(values: Any) -> npt.NDArray[Any]:
    """An array, nested lists, a tensor of any device, or a list of tensors as an array.

    Example:
        >>> as_array([[1, 2], [3, 4]]).shape
        (2, 2)
    """
    if isinstance(values, list | tuple) and values and hasattr(values[0], "detach"):
        return np.stack([as_array(value) for value in values])
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values  # numpy has none
    return np.asarray(values)
