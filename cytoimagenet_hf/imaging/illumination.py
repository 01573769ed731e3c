"""Illumination correction as CellProfiler applies it: each plane divided by a function of its plate and channel.

Functions are made elsewhere (CellProfiler's CorrectIlluminationCalculate, BaSiC); here they are applied.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError


def correct(
    plane: npt.NDArray[Any], function: npt.NDArray[Any], *, name: str = "the plane", where: object = "the function"
) -> npt.NDArray[Any]:
    """A plane divided by its illumination function.

    Args:
        plane: (H, W).
        function: (H, W) above 0, about 1 in the mean.
        name: of the channel, for messages.
        where: the function lies, for messages.

    Returns:
        The dtype of the plane: whole numbers are rounded to the nearest, those beyond the dtype become its largest.

    Raises:
        InputError: another shape, or values that are not above 0 and finite.

    Example:
        >>> correct(np.array([[100, 250]], np.uint8), np.array([[2.0, 0.5]])).tolist()
        [[50, 255]]
    """
    if function.shape != plane.shape:
        one, two = (" x ".join(map(str, shape)) for shape in (function.shape, plane.shape))
        raise InputError(f"the illumination function {where} is {one} and {name} is {two}")
    if not (np.isfinite(function).all() and (function > 0).all()):
        raise InputError(f"the illumination function {where} holds values that are not above 0: make it again")
    quotient = plane / function.astype(np.float64)
    if plane.dtype.kind in "ui":
        return np.clip(np.rint(quotient), 0, np.iinfo(plane.dtype).max).astype(plane.dtype)
    return quotient.astype(plane.dtype)
