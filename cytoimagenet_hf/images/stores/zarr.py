"""Planes of Zarr arrays, versions 2 and 3. A place is `(array, index, …)`: the path in the store, then one index for
each axis but the last two.

A chunk whose file is absent is the fill value, as the format says: it is read so, and `absent_chunks` counts it.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.core.numbers import LARGEST, whole_or_none
from cytoimagenet_hf.imaging.limits import MAX_PIXELS, check_pixels

from .codecs import Shards, check_unpacked_size, packer_of, require_plain_numbers, shards_of
from .optional import require, unreadable

Place = tuple[int | str, ...]

MAX_PLANES = 1 << 16
"""Planes of one image that are listed."""

_MOST_AXES = 32
_MOST_PARTS = 1 << 20  # of a shard; its index holds 16 bytes for each
_MOST_CHUNKS = 1 << 18  # of a plane: 32 x 32 pixels each in the largest that is read
_MOST_BYTES_A_VALUE = 8
_ABSENT = 2**64 - 1  # what the index of a shard says of a part that is the fill value
_SMALL = 1 << 24  # values that a chunk may hold beyond those of its array


@dataclass(frozen=True)
class ArrayFacts:
    """What an array's metadata says.

    Attributes:
        version: of Zarr.
        packer: the compressor of its chunks; empty where there is none.
        shards: how its chunks are divided into parts that are packed one by one; None where they are not.
        most: bytes that a chunk, or such a part, may unpack to.
        shape: its shape.
        chunks: shape of what one file holds.
        file: the metadata file.
        prefix: before the numbers of a chunk's file.
        separator: between them.
    """

    version: int
    packer: str
    shards: Shards | None
    most: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    file: Path
    prefix: str
    separator: str


def array_facts(folder: Path, *, max_pixels: int = MAX_PIXELS) -> ArrayFacts:
    """The metadata of an array that can be read: nothing of it was decoded yet.

    Args:
        folder: of the array.
        max_pixels: the limit of a plane, and of what is unpacked at once.

    Raises:
        InputError: there is none, it cannot be understood, it is too large, or it holds something else than plain
            numbers, see `codecs.require_plain_numbers`.
    """
    version = 3 if (folder / "zarr.json").is_file() else 2
    file = folder / ("zarr.json" if version == 3 else ".zarray")
    try:
        facts = read_json_file(file)
        if version == 3:
            encoding = facts.get("chunk_key_encoding", {"name": "default"})
            default = encoding["name"] == "default"
            separator = encoding.get("configuration", {}).get("separator", "/" if default else ".")
            prefix = f"c{separator}" if default else ""
            shape, chunks = facts["shape"], facts["chunk_grid"]["configuration"]["chunk_shape"]
            codecs = facts.get("codecs") or []
            # A shard is unpacked part by part, unless another codec packs all of it.
            whole = codecs[0].get("name") != "sharding_indexed" if len(codecs) == 1 else True
            unpacked = chunks if whole else codecs[0]["configuration"]["chunk_shape"]
        else:
            shape, chunks, separator = facts["shape"], facts["chunks"], facts.get("dimension_separator", ".")
            unpacked, prefix = chunks, ""
    except OSError:
        raise InputError(f"{folder} is no Zarr array: it has neither .zarray nor zarr.json") from None
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"the metadata of {folder} cannot be understood: {type(error).__name__}: {error}") from error
    sizes = (shape, chunks, unpacked)
    if not (
        all(map(_sizes, sizes)) and len(set(map(len, sizes))) == 1 and len(shape) >= 2 and separator in ("/", ".")
    ):
        said = one_line(f"shape {shape}, chunks {chunks}, separator {separator!r}")
        raise InputError(f"{file} is damaged: {said}")
    require_plain_numbers(facts, version, folder)
    if math.prod(shape[:-2]) > MAX_PLANES:
        raise InputError(f"{folder} has the shape {shape}: more than {MAX_PLANES:,} planes")
    check_pixels(folder, shape[-1], shape[-2], max_pixels=max_pixels)
    _check_chunks(folder, shape, chunks, unpacked, max_pixels)
    shards = shards_of(facts, folder) if version == 3 else None
    most = math.prod(shards.part if shards else chunks) * _MOST_BYTES_A_VALUE + (1 << 16)
    return ArrayFacts(
        version,
        packer_of(facts, version),
        shards,
        most,
        tuple(shape),
        tuple(chunks),
        file,
        prefix,
        separator,
    )


def _check_chunks(
    folder: Path, shape: Sequence[int], chunks: Sequence[int], unpacked: Sequence[int], max_pixels: int
) -> None:
    """Refuse chunks that unpack to far more than there is of the array, or than a plane may have."""
    check_pixels(folder, unpacked[-1], unpacked[-2], max_pixels=max_pixels, values=math.prod(unpacked[:-2]))
    in_plane = math.prod(-(-length // size) for length, size in zip(shape[-2:], chunks[-2:], strict=True))
    too_large = math.prod(unpacked) > math.prod(shape) + _SMALL
    if too_large or in_plane > _MOST_CHUNKS or math.prod(chunks) // math.prod(unpacked) > _MOST_PARTS:
        raise InputError(
            f"{folder} is damaged: its chunks have the shape {list(chunks)}, unpacked {list(unpacked)} at once, and "
            f"the array {list(shape)}"
        )


def _sizes(given: Any) -> bool:
    return isinstance(given, list) and len(given) <= _MOST_AXES and all(map(_is_size, given))


def _is_size(given: Any) -> bool:
    return type(given) is int and 0 < given <= LARGEST


def read(path: Path, places: Sequence[Place], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of the arrays of one store; where a chunk is absent, the fill value.

    Raises:
        InputError: zarr is not installed, the array is unreadable, has pixels that are no numbers, or leads out of the
            store.
    """
    zarr = require("zarr", path)
    arrays: dict[str, tuple[ArrayFacts, Any]] = {}
    planes = []
    for name, *indices in places:
        folder = path / str(name)
        try:
            if str(name) not in arrays:
                _require_inside(path, folder)
                facts = array_facts(folder, max_pixels=max_pixels)
                _require_inside(path, facts.file)
                arrays[str(name)] = facts, zarr.open_array(str(folder), mode="r", zarr_format=facts.version)
            facts, array = arrays[str(name)]
            for chunk in _chunk_files(folder, facts, indices):
                _require_inside(path, chunk)
                check_unpacked_size(chunk, facts.packer, facts.most)
                for start, length in _parts(chunk, facts, indices):
                    check_unpacked_size(chunk, facts.shards.packer, facts.most, start=start, length=length)
            pixels = np.asarray(array[tuple(int(index) for index in indices)])
        except InputError:
            raise
        except Exception as error:  # codecs and stores raise what they like
            raise unreadable(folder, "zarr", error) from error
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise InputError(f"{folder} has NaN or infinite pixels")
        planes.append(pixels)
    return planes


def _parts(chunk: Path, facts: ArrayFacts, indices: Sequence[int | str]) -> Iterator[tuple[int, int]]:
    """Start and length, in bytes, of the packed parts of a shard that a plane lies in; nothing where it is no shard.

    Raises:
        InputError: the shard is too short for its index, or for what its index says.
    """
    if facts.shards is None or not chunk.exists():
        return
    shards, size = facts.shards, chunk.stat().st_size
    grid = [whole // part for whole, part in zip(facts.chunks, shards.part, strict=True)]
    length = math.prod(grid) * 16
    if size < length + shards.check or any(
        whole % part for whole, part in zip(facts.chunks, shards.part, strict=True)
    ):
        raise InputError(f"{chunk} is damaged: it has no index of its {math.prod(grid):,} parts")
    with open(chunk, "rb") as handle:
        handle.seek(size - length - shards.check if shards.at_end else 0)
        index = np.frombuffer(handle.read(length), "<u8").reshape(*grid, 2)
    within = zip(indices, facts.chunks, shards.part, strict=False)
    places = index[tuple(int(place) % whole // part for place, whole, part in within)]
    for start, length in places.reshape(-1, 2).tolist():
        if start == length == _ABSENT:
            continue
        if start + length > size:
            raise InputError(f"{chunk} is damaged: a part of {length:,} bytes at {start:,} lies beyond its end")
        yield start, length


def _require_inside(store: Path, place: Path) -> None:
    """Refuse an array, its metadata or a chunk that is a link out of its store."""
    try:
        inside(store, place.relative_to(store))
    except InputError as error:
        raise InputError(f"{place} leads out of the store {store}, by a link or by its name: not followed") from error


def absent_chunks(folder: Path, facts: ArrayFacts) -> int:
    """How many chunks of an array have no file, and are the fill value."""
    grid = [-(-length // size) for length, size in zip(facts.shape, facts.chunks, strict=True)]
    present = 0
    for parent, _, files in os.walk(folder):
        below = os.path.relpath(parent, folder).replace(os.sep, "/")
        for file in files:
            name = file if below == "." else f"{below}/{file}"
            numbers = [whole_or_none(part) for part in name.removeprefix(facts.prefix).split(facts.separator)]
            present += len(numbers) == len(grid) and all(
                number is not None and number < count for number, count in zip(numbers, grid, strict=True)
            )
    return math.prod(grid) - present


def stamp(path: Path, places: Sequence[Place]) -> str:
    """Names, sizes and times of the metadata and of the chunks that the planes lie in."""
    parts = []
    for name, *indices in places:
        folder = path / str(name)
        try:
            facts = array_facts(folder, max_pixels=1 << 62)  # whether it is too large is said when it is read
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
