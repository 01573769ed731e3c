"""Which data types and codecs of a Zarr array are decoded: those of plain numbers and of pictures, and no others.

The metadata are judged before a codec is built. Object codecs (`pickle`, and all that may hold Python objects) run
what their file says; numcodecs itself refuses them only from 0.16.6 on. And a few kilobytes may unpack to gigabytes:
what a chunk says of its size, or gives bit by bit, is compared with what the array needs.
"""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cytoimagenet_hf.core.errors import InputError, one_line

_COMPRESSORS = {"blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"}
_FILTERS = {"astype", "bitround", "delta", "fixedscaleoffset", "packbits", "quantize", "shuffle", "adler32", "crc32"}
_FILTERS |= {"crc32c", "fletcher32", "jenkins_lookup3"}
_NUMCODECS = _COMPRESSORS | _FILTERS
# Of Zarr 3: how values become bytes, and what numcodecs and imagecodecs bring under their own names.
_CODECS = _COMPRESSORS | {"bytes", "crc32c", "sharding_indexed", "transpose"}
_PICTURES = re.compile(r"imagecodecs_[a-z0-9]+")
_TYPE_2 = re.compile(r"[<>|](?:b1|[iu][1248]|f[248])")
_TYPE_3 = re.compile(r"bool|u?int(?:8|16|32|64)|float(?:16|32|64)")


def require_plain_numbers(facts: dict[str, Any], version: int, where: object) -> None:
    """Refuse an array that is not of plain numbers, or whose chunks another than the known codecs made.

    Args:
        facts: the metadata of the array.
        version: of Zarr, 2 or 3.
        where: what messages call it.

    Raises:
        InputError: another data type (objects, text, records, complex numbers), an object codec or an unknown one, at
            any depth, such as within a shard, or chunks that are packed twice.
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
    """The compressor of an array that `require_plain_numbers` let pass; empty where chunks are not packed.

    Chunks within a shard, whose places only the shard knows, count as not packed.
    """
    configured = [facts.get("compressor"), *(facts.get("filters") or [])] if version == 2 else facts["codecs"]
    codecs = [codec if isinstance(codec, dict) else {"name": codec} for codec in configured if codec is not None]
    names = [str(codec.get("id" if version == 2 else "name")).removeprefix("numcodecs.") for codec in codecs]
    return next((name for name in names if name in _COMPRESSORS), "")


def picture_codecs(facts: dict[str, Any], version: int) -> tuple[str, ...]:
    """The codecs of imagecodecs that an array names, which are to be registered before it is read."""
    configured = [facts.get("compressor"), *(facts.get("filters") or [])] if version == 2 else facts["codecs"]
    names = _names([codec for codec in configured if codec is not None], "")
    return tuple(name for name in names if isinstance(name, str) and _PICTURES.fullmatch(name))


def check_unpacked_size(file: Path, packer: str, most: int, *, handle: BinaryIO | None = None) -> None:
    """Refuse a chunk that unpacks to more than its array can need; an absent one passes.

    Args:
        file: of the chunk.
        packer: see `packer_of`.
        most: bytes.
        handle: its content, where it is in memory already.

    Raises:
        InputError: it would.
    """
    if not packer:
        return
    try:
        with handle or open(file, "rb") as handle:
            if packer in _STATED:
                size = _STATED[packer](handle.read(18))
            else:
                unpack, size = _UNPACKERS[packer](), 0
                while size <= most and not unpack.eof and (block := handle.read(_BLOCK)):
                    size += len(unpack.decompress(block, most + 1 - size))
    except FileNotFoundError:
        return
    except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError):
        return  # damaged: the codec says how
    if size > most:
        raise InputError(f"{file} is damaged: it unpacks to more than the {most:,} bytes that its array can need")


_BLOCK = 1 << 20
_UNPACKERS: dict[str, Callable[[], Any]] = {
    "zlib": zlib.decompressobj,
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "bz2": bz2.BZ2Decompressor,
    "lzma": lzma.LZMADecompressor,
}
_STATED: dict[str, Callable[[bytes], int]] = {
    "blosc": lambda head: int.from_bytes(head[4:8], "little"),
    "lz4": lambda head: int.from_bytes(head[:4], "little"),  # as numcodecs writes it
    "zstd": lambda head: _zstd_size(head),
}


def _zstd_size(head: bytes) -> int:
    """Bytes that a Zstandard frame says it unpacks to; 0 where it does not say (RFC 8878, section 3.1.1.1)."""
    if len(head) < 5 or head[:4] != b"\x28\xb5\x2f\xfd":
        return 0
    flags = head[4]
    single = flags >> 5 & 1
    start = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    length = (single, 2, 4, 8)[flags >> 6]
    return int.from_bytes(head[start : start + length], "little") + (256 if length == 2 else 0)


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
            inner = [one for option in codec.values() for one in _inner(option)]
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
