"""Planes of Zarr arrays, versions 2 and 3. A place is `(array, index, …)`: the path in the store, then one index for
each axis but the last two.

A chunk whose file is absent would read as the fill value without a word, so it is looked for before.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging.limits import MAX_PIXELS, check_pixels

from .optional import require, unreadable

Place = tuple[int | str, ...]

MAX_PLANES = 1 << 16
"""Planes of one image that are listed."""


@dataclass(frozen=True)
class ArrayFacts:
    """What an array's metadata says.

    Attributes:
        shape: its shape.
        chunks: shape of what one file holds.
        file: the metadata file.
        prefix: before the numbers of a chunk's file.
        separator: between them.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    file: Path
    prefix: str
    separator: str


def array_facts(folder: Path) -> ArrayFacts:
    """The metadata of an array.

    Raises:
        InputError: there is none, or it cannot be understood.
    """
    try:
        if (folder / "zarr.json").is_file():
            facts = json.loads((folder / "zarr.json").read_bytes())
            encoding = facts.get("chunk_key_encoding", {"name": "default"})
            default = encoding["name"] == "default"
            separator = encoding.get("configuration", {}).get("separator", "/" if default else ".")
            shape, chunks = facts["shape"], facts["chunk_grid"]["configuration"]["chunk_shape"]
            file, prefix = folder / "zarr.json", f"c{separator}" if default else ""
        else:
            facts = json.loads((folder / ".zarray").read_bytes())
            shape, chunks, separator = facts["shape"], facts["chunks"], facts.get("dimension_separator", ".")
            file, prefix = folder / ".zarray", ""
    except OSError:
        raise InputError(f"{folder} is no Zarr array: it has neither .zarray nor zarr.json") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the metadata of {folder} cannot be understood: {type(error).__name__}: {error}") from error
    if not (_sizes(shape) and _sizes(chunks) and len(shape) == len(chunks) >= 2 and separator in ("/", ".")):
        raise InputError(f"{file} is damaged: shape {shape}, chunks {chunks}, separator {separator!r}")
    if math.prod(shape[:-2]) > MAX_PLANES or math.prod(shape[-2:]) > MAX_PIXELS:
        raise InputError(
            f"{folder} has the shape {shape}: more than {MAX_PLANES:,} planes, or than {MAX_PIXELS:,} pixels in one"
        )
    return ArrayFacts(tuple(shape), tuple(chunks), file, prefix, separator)


def _sizes(given: Any) -> bool:
    return isinstance(given, list) and all(type(size) is int and size > 0 for size in given)


def read(path: Path, places: Sequence[Place], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of the arrays of one store.

    Raises:
        InputError: zarr is not installed, the array is unreadable, or a chunk is absent.
    """
    zarr = require("zarr", path)
    arrays: dict[str, Any] = {}
    planes = []
    for name, *indices in places:
        folder = path / str(name)
        facts = array_facts(folder)
        check_pixels(folder, facts.shape[-1], facts.shape[-2], max_pixels=max_pixels)
        for chunk in _chunk_files(folder, facts, indices):
            if not chunk.is_file():
                raise InputError(
                    f"chunk {chunk.relative_to(path)} of {path} is absent: lost, or never written because all of it "
                    "is the fill value"
                )
        try:
            if name not in arrays:
                arrays[str(name)] = zarr.open_array(str(folder), mode="r")
            planes.append(np.asarray(arrays[str(name)][tuple(int(index) for index in indices)]))
        except Exception as error:  # codecs and stores raise what they like
            raise unreadable(folder, "zarr", error) from error
    return planes


def stamp(path: Path, places: Sequence[Place]) -> str:
    """Names, sizes and times of the metadata and of the chunks that the planes lie in."""
    parts = []
    for name, *indices in places:
        folder = path / str(name)
        try:
            facts = array_facts(folder)
        except InputError:
            parts.append(f"{name}:absent")
            continue
        for file in (facts.file, *_chunk_files(folder, facts, indices)):
            try:
                stat = file.stat()
            except OSError:
                parts.append(f"{file.relative_to(path)}:absent")
            else:
                parts.append(f"{file.relative_to(path)}:{stat.st_size}:{stat.st_mtime_ns}")
    return "|".join(parts)


def _chunk_files(folder: Path, facts: ArrayFacts, indices: Sequence[int | str]) -> Iterator[Path]:
    if len(indices) != len(facts.shape) - 2:
        raise InputError(f"{folder} has {len(facts.shape)} axes, not {len(indices) + 2}")
    fixed = [int(index) // size for index, size in zip(indices, facts.chunks, strict=False)]
    across = [range(-(-length // size)) for length, size in zip(facts.shape[-2:], facts.chunks[-2:], strict=True)]
    for rest in product(*across):
        yield folder / (facts.prefix + facts.separator.join(map(str, [*fixed, *rest])))
