"""Rows of a HuggingFace dataset, on disk or on the Hub. A place is `(split, column, row)`."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cytoimagenet_hf.errors import InputError, one_line
from cytoimagenet_hf.imaging.limits import check_pixels

DAMAGED = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for the bytes of an image."""


@lru_cache(maxsize=8)
def load(name: str) -> dict[str, Any]:
    """The splits of a dataset, loaded once per process.

    Raises:
        InputError: no dataset loads from the name.
    """
    from cytoimagenet_hf.data import load_cytoimagenet  # brings the datasets library, which few sources need

    try:
        loaded = load_cytoimagenet(name)
    except (ValueError, ConnectionError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"no dataset loads from {name!r}: {error}") from error
    return dict(loaded)


def read(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """The images in these cells."""
    found = []
    for split, column, row in places:
        part = load(str(path))[str(split)].select_columns([str(column)])
        where = f"row {row} of split {split} of {path}"
        try:
            cell = part[int(row)][str(column)]
            if cell is not None:
                check_pixels(path, *getattr(cell, "size", (1, 1)), max_pixels=max_pixels)
            pixels = None if cell is None else np.asarray(cell)
        except DAMAGED as error:
            raise InputError(f"{where} cannot be decoded: {one_line(error)}") from error
        if pixels is None:
            raise InputError(f"{where} holds no image")
        found.append(pixels)
    return found


def stamp(path: Path, places: Sequence[tuple[int | str, ...]]) -> str:
    """The content of the dataset: names and hashes of its files, or the fingerprint of the loaded rows."""
    return _content(str(path))


@lru_cache(maxsize=8)
def _content(name: str) -> str:
    from cytoimagenet_hf.data import stored_files

    files = stored_files(name)
    if files:
        return hashlib.sha256(repr(files).encode()).hexdigest()[:16]
    return ":".join(f"{split}={part._fingerprint}" for split, part in load(name).items())
