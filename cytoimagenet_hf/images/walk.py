"""What lies below a folder of this machine, listed once, for sources of images and for the archives of the builder."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal[
    "file",
    "whole",
    "skipped",
    "listed_folder",
    "unreadable_folder",
    "name_not_utf8",
    "link_out",
    "broken_link",
    "no_file",
]


@dataclass(frozen=True)
class Listed:
    """A file, or something that is not entered.

    Bytes of a name that are not UTF-8 are written as escapes.
    """

    name: str  # relative to the root, `/` between folders; empty for the root itself
    kind: Kind  # `file`, also behind a link; `whole`, a folder that is taken as one thing; or why it is neither
    detail: str = ""  # what the system says of it, or what it is


def walk(
    root: Path,
    *,
    is_skipped: Callable[[str], bool],
    is_whole: Callable[[Path], bool] = lambda folder: False,
    follow: bool,
) -> Iterator[Listed]:
    """What a folder and the folders below it hold.

    Args:
        root: the folder.
        is_skipped: whether a file or folder of that name is left out.
        is_whole: whether a folder is taken as one thing.
        follow: whether links to folders are followed, once each; if not, links that leave the root are left out, too.
    """
    base = os.path.realpath(root)
    entered: set[tuple[int, int]] = set()

    def kind_of(entry: "os.DirEntry[str]") -> tuple[Kind | Literal["folder"], str]:
        if is_skipped(entry.name):
            return "skipped", ""
        if not _is_text(entry.name):
            return "name_not_utf8", ""
        if not follow and entry.is_symlink() and not os.path.realpath(entry.path).startswith(base + os.sep):
            return "link_out", ""
        try:
            if entry.is_dir(follow_symlinks=follow):
                if is_whole(Path(entry.path)):
                    return "whole", ""
                return ("listed_folder" if _identity(entry.path) in entered else "folder"), ""
            if entry.is_file():
                return "file", ""
            if entry.is_symlink() and not os.path.exists(entry.path):
                return "broken_link", "nothing is at its end"
            return "no_file", "a pipe, a socket or a device"  # waiting for what it gives might never end
        except OSError as error:  # a link that leads to itself
            return "broken_link", error.strerror or ""

    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        try:
            with os.scandir(root / prefix) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
            entered.add(_identity(root / prefix))  # of the root, which nothing led to
        except OSError as error:
            yield Listed(prefix.rstrip("/"), "unreadable_folder", error.strerror or str(error))
            continue
        for entry in entries:
            kind, detail = kind_of(entry)
            if kind == "folder":
                entered.add(_identity(entry.path))
                waiting.append(f"{prefix}{entry.name}/")
            else:
                name = prefix + entry.name
                yield Listed(name if _is_text(name) else _escaped(name), kind, detail)


def _identity(folder: str | Path) -> tuple[int, int]:
    state = os.stat(folder)
    return state.st_dev, state.st_ino


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8: Python smuggles other bytes in as surrogates, which no table can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")
