"""Rows of a HuggingFace dataset, on disk or on the Hub.

A place is `(split, column, row)`; where a cell holds a list of planes, `(split, column, row, plane)`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.imaging.errors import check_pixels
from cytoimagenet_hf.imaging.read import picture_pixels

DAMAGED = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)
"""What Pillow raises for the bytes of an image."""

PLANES = "planes"
"""The column of the configuration `channels` that holds the planes of a row, one per entry of `stains`."""


@lru_cache(maxsize=8)
def load(name: str, column: str = "image") -> dict[str, Any]:
    """The splits of a dataset, loaded once per process; those with `planes` where that is the column of images.

    Args:
        name: what `dataset.images.parse_name` reads.
        column: of images.

    Raises:
        InputError: no dataset loads from the name.
    """
    # Brings the datasets library, which few sources need.
    from cytoimagenet_hf.dataset.images import load_splits, parse_name

    parsed = parse_name(name)
    if column == PLANES and parsed.configuration is None:
        parsed = replace(parsed, configuration="channels")
    return load_splits(parsed)


def read(path: Path, places: Sequence[tuple[int | str, ...]], max_pixels: int) -> list[npt.NDArray[Any]]:
    """The images in these cells."""
    pictures = []
    cells: dict[tuple[int | str, ...], list[npt.NDArray[Any]]] = {}  # the planes of one row are decoded together
    for split, column, row, *plane in places:
        where = f"row {row} of split {split} of {path}"
        try:
            if (split, column, row) not in cells:
                part = load(str(path), str(column))[str(split)].select_columns([str(column)])
                cell = part[int(row)][str(column)]
                for picture in cell if isinstance(cell, list) else [cell]:
                    check_pixels(path, *getattr(picture, "size", (1, 1)), max_pixels=max_pixels)
                cells = {(split, column, row): cell_planes(cell, part.features[str(column)])}
            planes = cells[split, column, row]
            if not planes:
                raise InputError(f"{where} holds no image")
            pictures.append(planes[int(plane[0]) if plane else 0])
        except DAMAGED as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{where} cannot be decoded: {one_line(error)}") from error
    return pictures


def cell_planes(cell: Any, feature: Any) -> list[npt.NDArray[Any]]:
    """The planes in a cell: each (H, W), or (H, W, 3) of a colour picture, in its own dtype; none of an empty cell.

    Args:
        cell: a picture, a list of pictures, or an array.
        feature: the type of the column: `Image`, a list of it, `Array2D`, or `Array3D` with the channels first or
            last; three channels that stand last are the colours of one plane.

    Raises:
        InputError: a 3-D array of which neither the first nor the last axis can be that of the channels.

    Example:
        >>> import datasets
        >>> [plane.shape for plane in cell_planes(np.zeros((2, 8, 9)), datasets.Array3D((2, 8, 9), "uint16"))]
        [(8, 9), (8, 9)]
    """
    if cell is None:
        return []
    if not hasattr(feature, "shape"):
        pictures = cell if isinstance(cell, list) else [cell]
        return [picture_pixels(picture) for picture in pictures if picture is not None]
    array = np.asarray(cell, dtype=feature.dtype)
    if array.ndim == 2:
        return [array]
    axis = _channel_axis(array.shape)
    return [array] if axis is None else list(np.moveaxis(array, axis, 0))


def plane_counts(rows: Any, column: str) -> list[int] | None:
    """How many planes each row of a column holds; None where it is one each."""
    feature = rows.features[column]
    shape = getattr(feature, "shape", ())
    if len(shape) == 2 or not (shape or hasattr(feature, "feature")):
        return None
    if shape and None not in shape:
        axis = _channel_axis(shape)
        return None if axis is None else [shape[axis]] * len(rows)
    blocks = rows.select_columns([column]).with_format("arrow").iter(batch_size=256)
    cells = (cell for block in blocks for cell in block[column])
    return [len(cell.as_py() if shape else cell) if cell.is_valid else 0 for cell in cells]


def _channel_axis(shape: Sequence[int]) -> int | None:
    """The axis of the channels; None where the last one holds the three colours of a picture."""
    first, height, last = shape
    if last == 3 and first > 3:
        return None
    if first == last or min(first, last) >= height:
        raise InputError(f"an array of shape {tuple(shape)} says neither (channels, height, width) nor channels last")
    return 0 if first < last else 2


def stamp(path: Path, places: Sequence[tuple[int | str, ...]]) -> str:
    """The content of the dataset: names and hashes of its files, or the fingerprint of the loaded rows."""
    return _content(str(path))


@lru_cache(maxsize=8)
def _content(name: str) -> str:
    from cytoimagenet_hf.dataset.images import parse_name
    from cytoimagenet_hf.dataset.load import stored_files

    parsed = parse_name(name)
    is_plain = parsed.configuration is None and parsed.revision is None
    files = stored_files(parsed.path) if is_plain and any(Path(parsed.path).glob("data/*.parquet")) else []
    if files:
        return hashlib.sha256(repr(files).encode()).hexdigest()[:16]
    return ":".join(f"{split}={part._fingerprint}" for split, part in load(name).items())
