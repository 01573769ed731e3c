"""Rows of a HuggingFace dataset, on disk or on the Hub.

A place is `(split, column, row)`; where a cell holds a list of planes, `(split, column, row, plane)`.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.imaging.limits import check_pixels

DAMAGED = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for the bytes of an image."""

PLANES = "planes"
"""The column of the configuration `channels` that holds the planes of a row, one per entry of `stains`."""


@lru_cache(maxsize=8)
def load(name: str, column: str = "image") -> dict[str, Any]:
    """The splits of a dataset, loaded once per process; those with `planes` where that is the column of images.

    Raises:
        InputError: no dataset loads from the name.
    """
    from cytoimagenet_hf.dataset.load import load_cytoimagenet  # brings the datasets library, which few sources need

    try:
        loaded = load_cytoimagenet(name, configuration="channels" if column == PLANES else "default")
    except (ValueError, ConnectionError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"no dataset loads from {name!r}: {error}") from error
    return dict(loaded)


def read(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """The images in these cells."""
    found = []
    cells: dict[tuple[int | str, ...], Any] = {}  # the planes of one row are decoded together
    for split, column, row, *plane in places:
        where = f"row {row} of split {split} of {path}"
        try:
            if (split, column, row) not in cells:
                part = load(str(path), str(column))[str(split)].select_columns([str(column)])
                cells = {(split, column, row): part[int(row)][str(column)]}
            cell = cells[split, column, row]
            if plane and cell is not None:
                cell = cell[int(plane[0])]
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
    from cytoimagenet_hf.dataset.load import stored_files

    files = stored_files(name)
    if files:
        return hashlib.sha256(repr(files).encode()).hexdigest()[:16]
    return ":".join(f"{split}={part._fingerprint}" for split, part in load(name).items())
