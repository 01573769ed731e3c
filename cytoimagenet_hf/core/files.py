"""Files at the edges: atomic writes, hashes, and paths that cannot leave their root."""

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from filelock import FileLock, SoftFileLock, Timeout

from .errors import InputError, one_line
from .jsontext import read_json_file
from .regular import require_regular

_NAMES = (str, int, bool, NoneType)  # what JSON writes as the name of a value
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # network drives that are mounted without them


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it onto `target` when the block ends without an error.

    The file is flushed to disk before the rename, so after a crash `target` is either absent, the old file or the
    complete new one.

    Raises:
        InputError: `target` is a pipe, a socket or a device, which the rename would take away.
    """
    target = Path(target)
    require_regular(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as handle:  # Windows flushes only what is open for writing
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `target`; put it in the place of `target` when the block ends well.

    Two processes that write the same target have temporary folders of their own. What stood at `target` is replaced.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep_temporary(folder: str | Path, name: str = "*") -> None:
    """Remove what `atomic_path` and `atomic_folder` left in a folder when their process was killed.

    Args:
        folder: where to look; folders below it are left alone. The caller holds it alone, so that nothing is at work.
        name: of the target, where only its leftovers are to go.
    """
    for leftover in Path(folder).glob(f".{name}.*.tmp"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def json_text(content: Any, *, sort_keys: bool = False, plain_ascii: bool = True) -> str:
    """Content as JSON that every reader accepts: NaN and infinite numbers, which JSON does not have, become null.

    Args:
        content: plain values, NumPy numbers and arrays, paths; anything else is written as its text.
        sort_keys: order the keys, so that equal content is equal text.
        plain_ascii: escape all other letters, for terminals that do not know them.

    Example:
        >>> json_text({"z_prime": float("-inf"), "wells": np.int64(3)}).split()
        ['{', '"z_prime":', 'null,', '"wells":', '3', '}']
    """
    return json.dumps(_plain(content), indent=2, sort_keys=sort_keys, ensure_ascii=plain_ascii, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, dict):
        return {name if isinstance(name, _NAMES) else str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return [_plain(one) for one in sorted(value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, bool, int)) else str(value)


def write_json(target: str | Path, content: Any) -> None:
    """Write JSON atomically: sorted keys, two-space indent, newline at the end, so equal content is equal bytes."""
    write_text(target, json_text(content, sort_keys=True, plain_ascii=False) + "\n")


def write_text(target: str | Path, text: str) -> None:
    """Write text atomically, as UTF-8."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json_object(path: str | Path, *, remedy: str = "delete it and run the same command again") -> dict[str, Any]:
    """The object in a JSON file of this program.

    Args:
        path: the file.
        remedy: what to do when it is damaged.

    Raises:
        InputError: it cannot be read, is not JSON (NaN and Infinity are none), or holds something else.
    """
    try:
        content = read_json_file(path, strict=True)
    except ValueError as error:
        raise InputError(f"{path} is damaged ({one_line(error)}): {remedy}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {one_line(error.strerror or error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged (it does not hold a JSON object): {remedy}")
    return content


def require_folder(folder: str | Path) -> None:
    """Refuse a folder that files cannot be written into, before hours of work; nothing stays of the attempt.

    Raises:
        OSError: what is in the way, as the system says it.
    """
    folder = Path(folder)
    made = absent_folders(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    finally:
        for place in made:
            with suppress(OSError):
                place.rmdir()


def absent_folders(folder: Path) -> list[Path]:
    """A folder and those above it, as far as they are not there; the deepest first."""
    return [place for place in (folder, *folder.parents) if not place.exists()]


def take_back(folder: Path, *, files: Collection[str], made: Sequence[Path]) -> None:
    """Remove what refused work began with, unless anything else lies in its folder.

    Args:
        folder: that of the work.
        files: names of what it writes first.
        made: folders that were made for it, the deepest first: see `absent_folders`.
    """
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= set(files):
        with suppress(OSError):  # a system that keeps what is open
            for name in files:
                (folder / name).unlink(missing_ok=True)
            for place in made:
                place.rmdir()


@contextmanager
def try_hold(lock: str | Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold something alone by a lock on a file, if nobody else does; the system lets go when the process ends.

    Args:
        lock: the file, which stays; its folder exists.
        wait: until it is free.

    Yields:
        Whether it is held now.

    Raises:
        InputError: the disk cannot lock files.
    """
    holder = FileLock(lock, timeout=-1 if wait else 0)
    refusal = InputError(
        f"{lock}: this disk cannot lock files: write elsewhere, or mount it with locks (NFS 4, Lustre with flock)"
    )
    try:
        holder.acquire()
    except Timeout:
        yield False
        return
    except NotImplementedError as error:
        raise refusal from error
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise refusal from error
        raise
    if isinstance(holder, SoftFileLock):  # what filelock makes of such a disk: a mark that outlives who is killed
        holder.release()
        raise refusal
    try:
        yield True
    finally:
        holder.release()


@contextmanager
def held(lock: str | Path, *, refusal: str = "", wait: bool = False) -> Iterator[None]:
    """Hold something alone by a lock on a file, or refuse.

    Args:
        lock: the file, which stays; its folder exists.
        refusal: the message when another process, or another thread of this one, holds it.
        wait: until it is free, instead of refusing.

    Raises:
        InputError: it is held, or the disk cannot lock files.
    """
    with try_hold(lock, wait=wait) as is_held:
        if not is_held:
            raise InputError(refusal)
        yield


@contextmanager
def held_folder(
    output: Path, *, lock: str, begun: Collection[str], refusal: str = "", wait: bool = False
) -> Iterator[None]:
    """Hold an output folder alone. One that was made for work that is refused at once is removed again.

    Args:
        output: the folder; it is made if it is not there.
        lock: name of the file in it that is locked.
        begun: names of what the work writes first.
        refusal: the message when another process holds it.
        wait: wait for the other instead.

    Raises:
        InputError: another process holds it.
    """
    made = absent_folders(output)
    is_new = bool(made) or not any(output.iterdir())
    output.mkdir(parents=True, exist_ok=True)
    with held(output / lock, refusal=refusal, wait=wait):
        try:
            yield
        except (InputError, OSError):
            if is_new:
                take_back(output, files=(*begun, lock), made=made)
            raise


def require_still_there(output: Path, sign: str) -> None:
    """Refuse to write on where an output folder was removed or replaced: it would be made again, half full.

    Args:
        output: the folder.
        sign: name of a file that the work began with.

    Raises:
        InputError: that file is not in it.
    """
    if not (output / sign).is_file():
        raise InputError(
            f"{output} was removed, moved or replaced while this ran: put it back, or choose another --output, and "
            "run the same command again"
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
        raise InputError(f"{str(relative)!r} is not a path below {root}: {error}") from error
    if not joined.is_relative_to(base):
        raise InputError(f"{str(relative)!r} points outside {base}: tables may only name files below their own folder")
    return joined
