"""A large object as a file: only the blocks that are read are fetched."""

import io
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from cytoimagenet_hf.core.errors import InputError

BLOCK = 1 << 16
"""Bytes that are fetched at least."""

_MOST = 32  # requests one after another, each of which waits for the one before


class ScatteredError(InputError):
    """What is read lies in so many places that the whole object comes faster."""


class RangedFile(io.RawIOBase):
    """An object of `size` bytes to read and seek in; `path` is a `RemotePath`, which answers `read_ranges`."""

    def __init__(self, path: Any, size: int) -> None:
        self._path, self._size = path, size
        self._place, self._waited = 0, 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read on; a `ScatteredError` after many requests, one by one."""
        view = memoryview(buffer).cast("B")
        stop = min(self._place + len(view), self._size)
        length = max(0, stop - self._place)
        if length:
            if self.fetch([(self._place, length)]):
                self._waited += 1
                if self._waited > _MOST:
                    raise ScatteredError(f"{self._path} is read in more than {_MOST} places")
            first = self._place // BLOCK
            content = b"".join(self._blocks[number] for number in range(first, (stop - 1) // BLOCK + 1))
            start = self._place - first * BLOCK
            view[:length] = content[start : start + length]
            self._place = stop
        return length

    def fetch(self, spans: Iterable[tuple[int, int]]) -> bool:
        """Have the blocks of these (first byte, length) here, all that are missing at once; whether any was."""
        wanted = {
            number
            for start, length in spans
            if length > 0
            for number in range(start // BLOCK, (min(start + length, self._size) - 1) // BLOCK + 1)
        }
        missing = sorted(wanted - self._blocks.keys())
        if not missing:
            return False
        breaks = [place for place, (number, following) in enumerate(pairwise(missing), 1) if following > number + 1]
        runs = [missing[start:stop] for start, stop in pairwise([0, *breaks, len(missing)])]
        ranges = [(run[0] * BLOCK, min((run[-1] + 1) * BLOCK, self._size)) for run in runs]
        for run, content in zip(runs, self._path.read_ranges(ranges), strict=True):
            for place, number in enumerate(run):
                self._blocks[number] = content[place * BLOCK : (place + 1) * BLOCK]
        return True
