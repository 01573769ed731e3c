"""Arrays in `.npy` files, read part by part without mapping them: a file that shrinks meanwhile ends in one line.

A mapped file that another program cuts ends the whole process by a signal (SIGBUS) that nothing can catch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import one_line
from cytoimagenet_hf.core.numbers import LARGEST

from .errors import ImageReadError


@dataclass(frozen=True)
class NpyHeader:
    """What the header of an NPY file says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # never objects
    fortran: bool  # whether the first axis varies fastest
    start: int  # where the values begin, bytes


def npy_header(path: Path) -> NpyHeader:
    """The header of an NPY file that holds as many bytes as it states.

    Raises:
        ImageReadError: no such header, Python objects instead of numbers, or a file that is too short for it.
    """
    with open(path, "rb") as handle:
        try:
            version = np.lib.format.read_magic(handle)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = header(handle)
        except (ValueError, OverflowError, MemoryError, RecursionError) as error:
            raise ImageReadError(f"{path} has no readable header of an array: {error}") from error
        start = handle.tell()
    if dtype.hasobject:
        raise ImageReadError(f"{path} holds Python objects, which are not read")
    if any(type(side) is not int or not 0 <= side <= LARGEST for side in shape):
        raise ImageReadError(f"{path} is damaged: its shape is {one_line(shape, longest=80)}")
    short = start + math.prod(shape) * dtype.itemsize - path.stat().st_size
    if short > 0:
        raise ImageReadError(f"{path} is truncated: {short:,} of its bytes are missing")
    return NpyHeader(shape, dtype, fortran, start)


def read_npy_part(path: Path, header: NpyHeader, index: Sequence[int | slice] = ()) -> npt.NDArray[Any]:
    """What `array[index]` gives, by whole numbers and slices; as little as possible is read."""
    shape, rest, first = header.shape, list(index), 0
    # What leading axes choose lies in one piece.
    while rest and isinstance(place := rest[0], int) and not header.fortran:
        if not 0 <= place < shape[0]:
            raise IndexError(f"place {place} of an axis of {shape[0]}")
        rest, shape = rest[1:], shape[1:]
        first += place * math.prod(shape)
    length = math.prod(shape) * header.dtype.itemsize
    with open(path, "rb") as handle:
        handle.seek(header.start + first * header.dtype.itemsize)
        content = handle.read(length)
    if len(content) < length:
        raise ImageReadError(f"{path} was cut while it was read: {length - len(content):,} of its bytes are missing")
    values = np.frombuffer(content, header.dtype).reshape(shape, order="F" if header.fortran else "C")
    return np.array(values[tuple(rest)])
