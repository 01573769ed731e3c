"""The storage behind the loopback Hub for clients that send chunks (`hf_xet`): xorbs and shards become files again.

A xorb is a run of chunks, each with a header of eight bytes; a shard says of which chunks of which xorbs a file
consists. The client cuts files where their content says so and sends the chunks that it has not sent before.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

ROUTES = [
    (
        "GET",
        r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)/xet-write-token/(?P<revision>.+)",
        "xet_token",
    ),
    ("POST", r"/v1/xorbs/default/(?P<xorb>[0-9a-f]{64})", "xet_xorb"),
    ("POST", r"/v1/shards", "xet_shard"),
]
_HEADER, _RECORD = 48, 48  # bytes
_END = b"\xff" * 32
_HAS_CHECKS, _HAS_SHA256 = 1 << 31, 1 << 30


@dataclass
class XetStore:
    """What arrived.

    Attributes:
        chunks: xorb → its chunks, decompressed.
        received: bytes of each request that carried xorbs or shards.
    """

    chunks: dict[str, list[bytes]] = field(default_factory=dict)
    received: list[int] = field(default_factory=list)

    def add_xorb(self, name: str, body: bytes) -> None:
        """Keep the chunks of a xorb."""
        self.received.append(len(body))
        self.chunks[name] = list(_chunks(body))

    def add_shard(self, body: bytes) -> dict[str, bytes]:
        """SHA-256 → content of each file that a shard describes."""
        self.received.append(len(body))
        return {sha256: b"".join(self._parts(parts)) for sha256, parts in _files(body)}

    def _parts(self, parts: list[tuple[str, int, int]]) -> Iterator[bytes]:
        for xorb, first, last in parts:
            yield from self.chunks[xorb][first:last]


def _chunks(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body) and body[at] == 0:  # the version; what follows the chunks begins otherwise
        packed, way, size = (int.from_bytes(body[at + a : at + b], "little") for a, b in ((1, 4), (4, 5), (5, 8)))
        content = body[at + 8 : at + 8 + packed]
        chunk = content if way == 0 else pa.input_stream(pa.py_buffer(content), compression="lz4").read()
        yield _ungrouped(chunk) if way == 2 else chunk
        assert len(chunk) == size
        at += 8 + packed


def _ungrouped(chunk: bytes) -> bytes:
    """Bytes that stood in four groups, every fourth one in each, in their order."""
    sizes = [(len(chunk) + 3 - group) // 4 for group in range(4)]
    whole, start = bytearray(len(chunk)), 0
    for group, size in enumerate(sizes):
        whole[group::4] = chunk[start : start + size]
        start += size
    return bytes(whole)


def _files(body: bytes) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """Of each file in a shard its SHA-256 and its parts: xorb, first chunk, last chunk + 1."""
    at = _HEADER
    while body[at : at + 32] != _END:
        flags, count = struct.unpack_from("<II", body, at + 32)
        records = [body[at + _RECORD * n : at + _RECORD * (n + 1)] for n in range(1, count + 1)]
        at += _RECORD * (1 + count * (2 if flags & _HAS_CHECKS else 1))
        assert flags & _HAS_SHA256
        yield (
            _hexadecimal(body[at : at + 32]),
            [(_hexadecimal(record[:32]), *struct.unpack_from("<II", record, 40)) for record in records],
        )
        at += _RECORD


def _hexadecimal(digest: bytes) -> str:
    """A hash as the client spells it: four little-endian numbers of 64 bits."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", digest))
