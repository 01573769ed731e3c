"""Which data types and codecs of a Zarr array are decoded: those of plain numbers and of pictures, and no others.

The metadata are judged before a codec is built. Object codecs (`pickle`, and all that may hold Python objects) run
what their file says; numcodecs itself refuses them only from 0.16.6 on. And a few kilobytes may unpack to gigabytes:
what a chunk says of its size, or gives bit by bit, is compared with what the array needs.
"""

import bz2
import lzma
import math
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from cytoimagenet_hf.core.errors import InputError, one_line

_COMPRESSORS = {"blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"}
_FILTERS = {"astype", "bitround", "delta", "fixedscaleoffset", "packbits", "quantize", "shuffle", "adler32", "crc32"}
_FILTERS |= {"crc32c", "fletcher32", "jenkins_lookup3"}
_NUMCODECS = _COMPRESSORS | _FILTERS
# Of Zarr 3: how values become bytes, and what numcodecs and imagecodecs bring under their own names.
_CODECS = _COMPRESSORS | {"bytes", "crc32c", "sharding_indexed", "transpose"}
# Formats of pictures; those of imagecodecs that pack any bytes are not judged before they unpack.
_PICTURES = re.compile(r"imagecodecs_(?:l?jpe?g[a-z0-9]*|a?png|spng|webp|avif|heif|qoi|lerc|zfp)")
_TYPE_2 = re.compile(r"[<>|](?:b1|[iu][1248]|f[248])")
_DTYPES = {"dtype", "astype", "encode_dtype", "decode_dtype"}  # options of filters
_TYPE_3 = re.compile(r"bool|u?int(?:8|16|32|64)|float(?:16|32|64)")


def require_plain_numbers(facts: dict[str, Any], version: int, where: object) -> None:
    """Refuse an array that is not of plain numbers, or whose chunks another than the known codecs made, at any depth.

    Judged are the metadata of Zarr 2 or 3; messages call the array by `where`.
    """
    kind = facts.get("dtype" if version == 2 else "data_type")
    if not (isinstance(kind, str) and (_TYPE_2 if version == 2 else _TYPE_3).fullmatch(kind)):
        raise InputError(f"{where} holds {_short(kind)}: pixels are whole numbers or floats")
    if version == 2:
        configured = [facts.get("compressor"), *_listed(facts.get("filters"), where)]
    else:
        configured = _listed(facts.get("codecs"), where)
        if facts.get("storage_transformers"):
            raise InputError(f"{where} has storage transformers, which are not known here: write it again without")
    for codec in configured:
        for option in _DTYPES & codec.keys() if isinstance(codec, dict) and version == 2 else ():
            if not (isinstance(codec[option], str) and _TYPE_2.fullmatch(f"|{codec[option].lstrip('<>|=')}")):
                raise InputError(f"{where} has a filter of {_short(codec[option])}: it may hold numbers alone")
    names = list(_names([codec for codec in configured if codec is not None], where))
    if sum(isinstance(name, str) and name.removeprefix("numcodecs.") in _COMPRESSORS for name in names) > 1:
        raise InputError(f"{where} packs its chunks more than once: write it again with one compressor")
    for name in names:
        if not _is_known(name, version):
            raise InputError(
                f"{where} needs the codec {_short(name)}, which is none of those that decode plain numbers, so it is "
                f"not run: write the array again with one of {', '.join(sorted(_COMPRESSORS))}"
            )


def packer_of(facts: dict[str, Any], version: int) -> str:
    """The compressor of an array that `require_plain_numbers` let pass; empty where nothing is packed.

    It packs each chunk as a whole, or each part of a shard, see `shards_of`.
    """
    key = "id" if version == 2 else "name"
    codecs = [codec if isinstance(codec, dict) else {key: codec} for codec in _configured(facts, version)]
    return next((name for codec in codecs if (name := _plain(codec.get(key))) in _COMPRESSORS), "")


def _configured(facts: dict[str, Any], version: int) -> list[Any]:
    codecs = [facts.get("compressor"), *(facts.get("filters") or [])] if version == 2 else facts["codecs"]
    return [codec for codec in codecs if codec is not None]


@dataclass(frozen=True)
class Shards:
    """How the chunks of an array are divided into parts that are packed one by one."""

    packer: str  # the compressor of a part
    part: tuple[int, ...]  # shape of a part
    at_end: bool  # whether the index of the parts lies at the end of the file, rather than at its start
    check: int  # bytes of a checksum behind the index

    def index_span(self, size: int, chunks: Sequence[int]) -> tuple[int, int]:
        """First byte of the index, and the byte after its last, in a shard of this size and shape."""
        length = math.prod(whole // part for whole, part in zip(chunks, self.part, strict=True)) * 16 + self.check
        return (max(0, size - length), size) if self.at_end else (0, min(length, size))


def shards_of(facts: dict[str, Any], where: object) -> Shards | None:
    """The shards of an array of Zarr 3; None where its chunks are not divided, or not packed part by part.

    Refused are packed parts whose index, which says where they lie, is in a form that is not known here.
    """
    codecs = [codec if isinstance(codec, dict) else {"name": codec} for codec in facts.get("codecs") or []]
    sharding = next((codec for codec in codecs if codec.get("name") == "sharding_indexed"), None)
    if sharding is None:
        return None
    try:
        options = sharding["configuration"]
        inner, part, index = options["codecs"], tuple(options["chunk_shape"]), options["index_codecs"]
        names = [codec if isinstance(codec, str) else codec["name"] for codec in index]
        order = [codec["configuration"]["endian"] for codec in index if codec["name"] == "bytes"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{where} is damaged: its shards cannot be understood: {error!r}") from error
    nested = "sharding_indexed" in _names(list(inner), where)
    packer = next((name for name in map(_plain, _names(list(inner), where)) if name in _COMPRESSORS), "")
    location = options.get("index_location", "end")
    if packer and (
        nested
        or len(codecs) > 1
        or names not in (["bytes"], ["bytes", "crc32c"])
        or order != ["little"]
        or location not in ("start", "end")
    ):
        raise InputError(
            f"{where} has shards whose parts cannot be judged before they are unpacked: write it again with one level "
            "of shards, their index as little-endian bytes with crc32c, and no codec around them"
        )
    return Shards(packer, part, location == "end", 4 * (len(names) - 1)) if packer else None


def _plain(name: object) -> str:
    return str(name).removeprefix("numcodecs.")


def picture_codecs(facts: dict[str, Any], version: int) -> tuple[str, ...]:
    """The codecs of imagecodecs that an array names, which are to be registered before it is read."""
    names = _names(_configured(facts, version), "")
    return tuple(name for name in names if isinstance(name, str) and _PICTURES.fullmatch(name))


def check_unpacked_size(
    file: Path, content: BinaryIO, packer: str, most: int, *, start: int = 0, length: int | None = None
) -> None:
    """Refuse a chunk, or a part of a shard from `start` on, that unpacks to more bytes than its array can need."""
    if not packer:
        return
    try:
        content.seek(start)
        head = content.read(min(_HEAD, length or _HEAD))
        size = _STATED[packer](head) if packer in _STATED else None
        if size is None or (packer == "zstd" and size <= most):  # more frames may follow the one that says so
            content.seek(start)
            size = _unpacked(content, packer, most, length)
    except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError):
        return  # damaged: the codec says how
    if size > most:
        raise InputError(f"{file} is damaged: it unpacks to more than the {most:,} bytes that its array can need")


def _unpacked(handle: BinaryIO, packer: str, most: int, length: int | None) -> int:
    """Bytes that a stream unpacks to, all its members one after another; counted no further than beyond `most`."""
    left = sys.maxsize if length is None else length
    if packer == "zstd":
        content = pa.BufferReader(handle.read(-1 if length is None else length))
        with pa.CompressedInputStream(content, "zstd") as stream:
            size = 0
            while size <= most and (block := stream.read(_BLOCK)):
                size += len(block)
        return size
    size, unpack, block = 0, _UNPACKERS[packer](), b""
    while size <= most:
        if not block:
            block = handle.read(min(_BLOCK, left))
            left -= len(block)
        if not block or (unpack.eof and packer == "zlib"):
            break
        if unpack.eof:  # the codecs go on with what follows
            unpack = _UNPACKERS[packer]()
        size += len(unpack.decompress(block, most + 1 - size))
        block = unpack.unused_data if unpack.eof else b""
    return size


_BLOCK = 1 << 20
_UNPACKERS: dict[str, Callable[[], Any]] = {
    "zlib": zlib.decompressobj,
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "bz2": bz2.BZ2Decompressor,
    "lzma": lzma.LZMADecompressor,
}
_HEAD = 18  # bytes; the longest of the headers below


def _zstd_size(head: bytes) -> int | None:
    """Bytes that a Zstandard frame says it unpacks to; None where it does not say (RFC 8878, section 3.1.1.1)."""
    if len(head) < 5 or head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    flags = head[4]
    single = flags >> 5 & 1
    start = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    length = (single, 2, 4, 8)[flags >> 6]
    if not length:
        return None
    return int.from_bytes(head[start : start + length], "little") + (256 if length == 2 else 0)


_STATED: dict[str, Callable[[bytes], int | None]] = {
    "blosc": lambda head: int.from_bytes(head[4:8], "little"),
    "lz4": lambda head: int.from_bytes(head[:4], "little"),  # as numcodecs writes it
    "zstd": _zstd_size,
}


def _is_known(name: Any, version: int) -> bool:
    if not isinstance(name, str):
        return False
    if version == 3 and name.startswith("numcodecs."):
        return name.removeprefix("numcodecs.") in _NUMCODECS
    return name in (_NUMCODECS if version == 2 else _CODECS) or bool(_PICTURES.fullmatch(name))


def _names(configured: list[Any], where: object) -> Iterator[Any]:
    """The name of every codec, those within the options of others among them."""
    for codec in configured:
        if isinstance(codec, str):
            yield codec
        elif isinstance(codec, dict):
            yield from [codec[key] for key in ("id", "name") if key in codec] or [None]
            inner = [part for option in codec.values() for part in _inner(option)]
            yield from _names(inner, where)
        else:
            raise InputError(f"{where} has a codec that is none: {_short(codec)}")


def _inner(option: Any) -> Iterator[Any]:
    """Codecs among the options of one: whatever has a name of its own, however deep it lies."""
    if isinstance(option, dict):
        if "id" in option or "name" in option:
            yield option
        else:
            for key, value in option.items():
                listed = key in ("codecs", "index_codecs", "filters") and isinstance(value, list)
                yield from value if listed else _inner(value)
    elif isinstance(option, list):
        for value in option:
            yield from _inner(value)


def _listed(codecs: Any, where: object) -> list[Any]:
    if codecs is None:
        return []
    if not isinstance(codecs, list):
        raise InputError(f"{where} is damaged: its codecs are {_short(codecs)}")
    return codecs


def _short(value: object) -> str:
    return one_line(repr(value), longest=60)
