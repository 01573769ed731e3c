"""Paths that name no regular file: reading from a pipe might never end."""

from pathlib import Path

from .errors import InputError


def require_regular(path: str | Path) -> None:
    """Refuse a pipe, a socket or a device under a file's name: reading it might never end. What is absent passes.

    Raises:
        InputError: what it is.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is a pipe, a socket or a device, not a file: use a plain file instead")
