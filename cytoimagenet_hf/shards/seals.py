"""Whether files are those that were written: by size and time, or else by their content."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def file_stamps(paths: Iterable[Path | str]) -> list[str | None]:
    """Size and time of files in twelve hex digits each; None for one that is not there.

    Stamps are compared for equality only, so clocks of several machines may differ.
    """
    stamps: list[str | None] = []
    for path in paths:
        try:
            state = os.stat(path)
        except (OSError, ValueError):
            stamps.append(None)
        else:
            text = f"{state.st_size} {state.st_mtime_ns}".encode()
            stamps.append(hashlib.blake2b(text, digest_size=6).hexdigest())
    return stamps
