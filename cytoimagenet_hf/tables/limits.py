"""How large a table of text may be, counted before a row is parsed: a packed file does not say what is in it."""

from pathlib import Path
from typing import IO

from cytoimagenet_hf.core.errors import InputError

MAX_ROWS = 2**25
"""Rows of a table of text: 33 million, ten times the largest table of the sources; as text they take some 10 GB."""

MAX_BYTES = 2**33
"""Bytes of a table of text, unpacked: 8 GB."""

_BLOCK = 1 << 20


def require_bounded(path: Path, content: IO[bytes]) -> None:
    """Refuse a table of more rows or bytes than can be read as text.

    Args:
        path: for the message.
        content: of the file, unpacked, from its start.

    Raises:
        InputError: how much of what is too much.
    """
    rows = size = 0
    while block := content.read(_BLOCK):
        rows += block.count(b"\n")
        size += len(block)
        if rows > MAX_ROWS or size > MAX_BYTES:
            what = f"{MAX_ROWS:,} rows" if rows > MAX_ROWS else f"{MAX_BYTES:,} bytes"
            raise InputError(
                f"{path} holds more than {what} of text, unpacked: write it as Parquet, or cut it into several files"
            )
