"""Planes of Zarr arrays, versions 2 and 3. A place is `(array, index, …)`: the path in the store, then one index for
each axis but the last two.

A chunk whose file is absent is the fill value, as the format says: it is read so, and `absent_chunks` counts it.
Of a store on the internet, the chunks that the planes lie in are fetched together and decoded from memory; of a large
shard, its index first and then the parts that are needed.
"""

import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.core.jsontext import parse_json
from cytoimagenet_hf.core.numbers import LARGEST, MAX_PIXELS, whole_or_none
from cytoimagenet_hf.core.regular import require_regular
from cytoimagenet_hf.images.optional import require, unreadable
from cytoimagenet_hf.images.remote import RemotePath, change_mark, concurrently
from cytoimagenet_hf.imaging.errors import check_pixels

from .codecs import Shards, check_unpacked_size, packer_of, picture_codecs, require_plain_numbers, shards_of

Address = tuple[int | str, ...]

MAX_PLANES = 1 << 16
"""Planes of one image that are listed."""

_MOST_AXES = 32
_MOST_PARTS = 1 << 20  # of a shard; its index holds 16 bytes for each
_MOST_CHUNKS = 1 << 18  # of a plane: 32 x 32 pixels each in the largest that is read
_MOST_BYTES_A_VALUE = 8
_ABSENT = 2**64 - 1  # what the index of a shard says of a part that is the fill value
_LARGE_SHARD = 1 << 20  # bytes; a smaller one is read whole, in one request
_SMALL = 1 << 24  # values that a chunk may hold beyond those of its array


@dataclass(frozen=True)
class ArrayFacts:
    """What an array's metadata says."""

    version: int  # of Zarr
    packer: str  # the compressor of its chunks; empty where there is none
    shards: Shards | None  # how its chunks are divided into parts that are packed one by one
    most: int  # bytes that a chunk, or such a part, may unpack to
    shape: tuple[int, ...]
    chunks: tuple[int, ...]  # shape of what one file holds
    file: Path  # of the metadata
    prefix: str  # before the numbers of a chunk's file
    separator: str  # between them
    pictures: tuple[str, ...] = ()  # codecs of imagecodecs that its chunks need


def array_facts(folder: Path, *, max_pixels: int = MAX_PIXELS) -> ArrayFacts:
    """The metadata of an array that can be read: nothing of it was decoded yet.

    The limit of pixels is that of a plane, and of what is unpacked at once.
    """
    version, file, text = _metadata(folder)
    try:
        facts = parse_json(text, where=file)
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
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"the metadata of {folder} cannot be understood: {type(error).__name__}: {error}") from error
    lists = (shape, chunks, unpacked)
    even = all(map(_is_shape, lists)) and len(set(map(len, lists))) == 1
    if not (even and len(shape) >= 2 and separator in ("/", ".")):
        sizes = one_line(f"shape {shape}, chunks {chunks}, separator {separator!r}")
        raise InputError(f"{file} is damaged: {sizes}")
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
        picture_codecs(facts, version),
    )


def _metadata(folder: Path) -> tuple[int, Path, bytes]:
    """Version, file and text of the metadata of an array."""
    for version, name in ((3, "zarr.json"), (2, ".zarray")):
        try:
            if not isinstance(folder, RemotePath):
                require_regular(folder / name)
            return version, folder / name, (folder / name).read_bytes()
        except OSError:
            continue
    raise InputError(f"{folder} is no Zarr array: it has neither .zarray nor zarr.json")


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


def _is_shape(given: Any) -> bool:
    if not isinstance(given, list) or len(given) > _MOST_AXES:
        return False
    return all(type(size) is int and 0 < size <= LARGEST for size in given)


def read(path: Path, places: Sequence[Address], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes of the arrays of one store; where a chunk is absent, the fill value."""
    require("zarr", path)
    wanted_of: dict[str, list[tuple[int, ...]]] = {}
    for name, *indices in places:
        wanted_of.setdefault(str(name), []).append(tuple(int(index) for index in indices))
    planes: dict[tuple[str, tuple[int, ...]], npt.NDArray[Any]] = {}
    for name, wanted in wanted_of.items():
        folder = path / name
        try:
            _require_inside(path, folder)
            facts = array_facts(folder, max_pixels=max_pixels)
            _require_inside(path, facts.file)
            array = _opened(path, folder, facts, wanted)
            for first, members in _by_chunk(facts, wanted).items():
                last = tuple(max(place[axis] for place in members) + 1 for axis in range(len(first)))
                block = np.asarray(array[tuple(slice(*ends) for ends in zip(first, last, strict=True))])
                for place in members:
                    inner = tuple(at - start for at, start in zip(place, first, strict=True))
                    planes[name, place] = np.ascontiguousarray(block[inner])
        except InputError:
            raise
        except Exception as error:  # codecs and stores raise what they like
            raise unreadable(folder, "zarr", error) from error
        if any(
            planes[name, place].dtype.kind == "f" and not np.isfinite(planes[name, place]).all() for place in wanted
        ):
            raise InputError(f"{folder} has NaN or infinite pixels")
    return [planes[str(name), tuple(int(index) for index in indices)] for name, *indices in places]


def _by_chunk(facts: ArrayFacts, places: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """First place of each block that lies in one chunk → its planes, so that a chunk is decoded once for all."""
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for place in places:
        groups.setdefault(tuple(at // size for at, size in zip(place, facts.chunks, strict=False)), []).append(place)
    return {tuple(map(min, zip(*group, strict=True))): group for group in groups.values()}


def _opened(store: Path, folder: Path, facts: ArrayFacts, places: Sequence[tuple[int, ...]]) -> Any:
    """The array, opened so that the chunks of these planes can be read."""
    import zarr

    if facts.pictures:
        import imagecodecs.numcodecs

        imagecodecs.numcodecs.register_codecs(facts.pictures, verbose=False)
    files: dict[Path, list[tuple[int, ...]]] = {}
    for place in places:
        for file in _chunk_files(folder, facts, place):
            files.setdefault(file, []).append(place)
    if not isinstance(folder, RemotePath):
        for file, within in files.items():
            _require_inside(store, file)
            if (facts.packer or facts.shards) and file.exists():
                require_regular(file)
                with open(file, "rb") as handle:
                    _check_unpacked(file, handle, facts, within)
        return zarr.open_array(str(folder), mode="r", zarr_format=facts.version)
    from zarr.core.buffer import cpu

    content = {facts.file.name: facts.file.read_bytes()}
    fetched = concurrently(partial(_fetched, facts=facts), files.items(), remote=True)
    for (file, within), chunk in zip(files.items(), fetched, strict=True):
        if chunk is not None:
            _check_unpacked(file, io.BytesIO(chunk), facts, within)
            content[file.relative_to(folder).as_posix()] = chunk
    memory = zarr.storage.MemoryStore({key: cpu.Buffer.from_bytes(value) for key, value in content.items()})
    return zarr.open_array(memory, mode="r", zarr_format=facts.version)


def _fetched(chunk: tuple[Path, Sequence[tuple[int, ...]]], *, facts: ArrayFacts) -> bytes | bytearray | None:
    """The content of a chunk; of a large shard what these planes need, the rest 0; None where it is absent."""
    file, places = cast(RemotePath, chunk[0]), chunk[1]
    try:
        if facts.shards is None or (size := file.stat().st_size) <= _LARGE_SHARD:
            return file.read_bytes()
        span = facts.shards.index_span(size, facts.chunks)
        (index,) = file.read_ranges([span])
        parts = [span, *_parts(chunk[0], index, size, facts, places)]
        if 2 * sum(stop - start for start, stop in parts) > size:
            return file.read_bytes()
        content = bytearray(size)  # takes memory where it is written to
        for (start, stop), part in zip(parts, [index, *file.read_ranges(parts[1:])], strict=True):
            content[start:stop] = part
        return content
    except FileNotFoundError:
        return None


def _check_unpacked(file: Path, handle: BinaryIO, facts: ArrayFacts, places: Sequence[tuple[int, ...]]) -> None:
    """Refuse a chunk that unpacks to more than its array can need; of a shard, each part that these planes lie in."""
    shards = facts.shards
    if shards is None:
        check_unpacked_size(file, handle, facts.packer, facts.most)
        return
    size = handle.seek(0, os.SEEK_END)
    first, last = shards.index_span(size, facts.chunks)
    handle.seek(first)
    for start, stop in _parts(file, handle.read(last - first), size, facts, places):
        check_unpacked_size(file, handle, shards.packer, facts.most, start=start, length=stop - start)


def _parts(
    file: Path, index: bytes, size: int, facts: ArrayFacts, places: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, int]]:
    """First byte and the one behind the last of each part of a shard that these planes lie in."""
    shards = cast(Shards, facts.shards)
    grid = [whole // part for whole, part in zip(facts.chunks, shards.part, strict=True)]
    uneven = any(whole % part for whole, part in zip(facts.chunks, shards.part, strict=True))
    if uneven or len(index) < math.prod(grid) * 16 + shards.check:
        raise InputError(f"{file} is damaged: it has no index of its {math.prod(grid):,} parts")
    entries = np.frombuffer(index, "<u8", math.prod(grid) * 2).reshape(*grid, 2)
    read = tuple(  # all between the first and the last plane, as `read` asks for them
        slice(min(along) % whole // part, max(along) % whole // part + 1)
        for along, whole, part in zip(zip(*places, strict=True), facts.chunks, shards.part, strict=False)
    )
    for start, length in entries[read].reshape(-1, 2).tolist():
        if start == length == _ABSENT:
            continue
        if start + length > size:
            raise InputError(f"{file} is damaged: a part of {length:,} bytes at {start:,} lies beyond its end")
        yield start, start + length


def _require_inside(store: Path, place: Path) -> None:
    """Refuse an array, its metadata or a chunk that is a link out of its store; objects are no links."""
    if isinstance(store, RemotePath):
        return
    try:
        inside(store, place.relative_to(store))
    except InputError as error:
        raise InputError(f"{place} leads out of the store {store}, by a link or by its name: not followed") from error


def absent_chunks(folder: Path, facts: ArrayFacts) -> int:
    """How many chunks of an array have no file, and are the fill value; 0 on a web server, which lists nothing."""
    names = files_below(folder)
    if names is None:
        return 0
    grid = [-(-length // size) for length, size in zip(facts.shape, facts.chunks, strict=True)]
    present = 0
    for name in names:
        numbers = [whole_or_none(part) for part in name.removeprefix(facts.prefix).split(facts.separator)]
        present += len(numbers) == len(grid) and all(
            number is not None and number < count for number, count in zip(numbers, grid, strict=True)
        )
    return math.prod(grid) - present


def files_below(folder: Path) -> Iterable[str] | None:
    """Every file below a folder, by its name from there; None on a web server, which lists nothing."""
    if isinstance(folder, RemotePath):
        return folder.list_below()
    return (
        os.path.relpath(os.path.join(parent, file), folder).replace(os.sep, "/")
        for parent, _, files in os.walk(folder)
        for file in files
    )


def stamp(path: Path, places: Sequence[Address]) -> str:
    """Names, sizes and times (of objects, e-tags) of the metadata and of the chunks that the planes lie in."""
    parts = []
    for name, *indices in places:
        folder = path / str(name)
        try:
            facts = array_facts(folder, max_pixels=1 << 62)  # whether it is too large is said when it is read
        except InputError:
            parts.append(f"{name}:absent")
            continue
        files = [facts.file, *_chunk_files(folder, facts, indices)]
        parts += concurrently(partial(_mark, path), files, remote=isinstance(path, RemotePath))
    return "|".join(parts)


def _mark(store: Path, file: Path) -> str:
    name = file.relative_to(store).as_posix()
    try:
        return f"{name}:{change_mark(file)}"
    except (OSError, InputError):
        return f"{name}:absent"


def _chunk_files(folder: Path, facts: ArrayFacts, indices: Sequence[int | str]) -> Iterator[Path]:
    if len(indices) != len(facts.shape) - 2:
        raise InputError(f"{folder} has {len(facts.shape)} axes, not {len(indices) + 2}")
    fixed = [int(index) // size for index, size in zip(indices, facts.chunks, strict=False)]
    across = [range(-(-length // size)) for length, size in zip(facts.shape[-2:], facts.chunks[-2:], strict=True)]
    for rest in product(*across):
        yield folder / (facts.prefix + facts.separator.join(map(str, [*fixed, *rest])))
