"""Files at the edges: atomic writes, hashes, and paths that cannot leave their root."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it onto `target` when the block ends without an error.

    The file is flushed to disk before the rename, so after a crash `target` is either absent, the old file or the
    complete new one.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(target: str | Path, content: Any) -> None:
    """Write JSON atomically: sorted keys, two-space indent, newline at the end, so equal content is equal bytes."""
    with atomic_path(target) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def file_sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    with open(path, "rb") as handle:
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def inside(root: str | Path, relative: str | Path) -> Path:
    """Join `relative` to `root`, refusing what would leave it (`..`, absolute paths, symbolic links out).

    Raises:
        InputError: the path leaves the root.
    """
    try:
        base = Path(root).resolve()
        joined = (base / relative).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link that loops, a name too long or with a zero byte
        raise InputError(f"{str(relative)!r} is no path below {root}: {error}") from error
    if not joined.is_relative_to(base):
        raise InputError(f"{str(relative)!r} points outside {base}: tables may only name files below their own folder")
    return joined
