"""What a source holds, looked at once: the files below a folder, those of a glob, or one file; nothing is opened.

What cannot be listed (a folder without permission, a link that runs in a circle, a name that is not UTF-8) is part of
the result with its reason.
"""

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import plain_number
from cytoimagenet_hf.options.storage import Storage

from .remote import RemotePath, concurrently, is_address, is_remote, remote_path
from .walk import walk

SUFFIXES = frozenset(
    {".png", ".tif", ".tiff", ".bmp", ".dib", ".jpg", ".jpeg", ".npy", ".gif", ".flex", ".lsm", ".stk", ".dv"}
)
"""Files that count as images of one or more planes."""

CONTAINERS = frozenset({".czi", ".nd2", ".lif"})
"""Files of a whole acquisition, which `images.containers` reads."""

_STORE_FILES = (".zattrs", ".zgroup", ".zarray", "zarr.json")
_INDEXES = (".xml", ".htd", ".mlf", ".xdce")  # they name the images beside them
_DIGITS = frozenset("0123456789")
_STORE_FOLDER = re.compile(r"\.zarr/", re.IGNORECASE)
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Ignored:
    """A file or folder that gave no image, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Source:
    """What was given, and what lies there."""

    text: str  # as the caller wrote it
    root: Path  # folder that the names are relative to
    files: tuple[str, ...] = ()  # names relative to the root, `/` between folders, in natural order
    stores: tuple[str, ...] = ()  # folders that are Zarr stores; what lies in them is not listed
    single: bool = False  # whether one file or store was named
    ignored: tuple[Ignored, ...] = ()  # what could not be listed

    @cached_property
    def images(self) -> list[str]:
        """The files whose names end as those of images do."""
        return [name for name in self.files if suffix_of(name) in SUFFIXES]

    def with_suffix(self, *suffixes: str) -> list[str]:
        """The files with one of these endings (lower case)."""
        return [name for name in self.files if name.lower().endswith(suffixes)]


def open_source(given: str | Path, storage: Storage | None = None) -> Source:
    """What a place of this machine or an address holds; an `InputError` where there is nothing."""
    text = str(given)
    if isinstance(given, RemotePath):
        storage = given.place.storage
    if not text.strip():
        raise InputError("the name of the images is empty: give a folder, or . for the one you are in")
    if is_address(text):
        return _remote(text, storage or Storage())
    path = Path(text)
    if text.startswith("hf:"):
        return Source(text, Path())
    if path.is_dir():
        if _is_store(path):
            return Source(text, path.parent, stores=(path.name,), single=True)
        return _listed(text, path)
    if path.is_file() and path.name.lower().endswith(_INDEXES):
        return _listed(text, path.parent)
    if path.is_file():
        return Source(text, path.parent, files=(path.name,), single=True)
    if match := _GLOB.search(text):
        root = Path(text[: match.start()].rpartition("/")[0] or ("/" if text.startswith("/") else "."))
        return _globbed(text, root)
    raise InputError(f"{text} does not exist: give a folder, a quoted glob, a table, an image file or hf:NAME")


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sort key in which channel 2 comes before channel 10, however many digits a number has."""
    parts = [part for part in re.split(r"([0-9]+)", text) if part]
    return [(0, len(number := plain_number(part)), number) if part[0] in _DIGITS else (1, 0, part) for part in parts]


def suffix_of(name: str) -> str:
    """The ending of a file's name, lower case, with its dot; empty where there is none."""
    return os.path.splitext(name)[1].lower()


def without_suffix(name: str) -> str:
    """A relative name without the ending of an image: `.tif`, `.ome.tif`, …"""
    stem = os.path.splitext(name)[0]
    return stem[:-4] if stem.lower().endswith(".ome") else stem


def _remote(text: str, storage: Storage) -> Source:
    """What lies at an address: a store, a file, or a folder that is listed."""
    if match := (_GLOB.search(text) if not text.startswith("http") else None):
        return _remote_glob(text, text[: match.start()].rpartition("/")[0], storage)
    path = cast(RemotePath, remote_path(text, storage))
    if not path.key and not path.place.lists:
        raise InputError(f"{text} names a web server and no file: give the address of a plate.zarr, table or image")
    if path.suffix.lower() == ".zarr" or (not suffix_of(path.name) and _is_store(cast(Path, path))):
        return Source(text, cast(Path, path.parent), stores=(path.name,), single=True)
    if suffix_of(path.name) and path.exists():
        single = not path.name.lower().endswith(_INDEXES)
        if not single and path.place.lists:
            return _sorted(text, path.parent)
        return Source(text, cast(Path, path.parent), files=(path.name,), single=single)
    if not path.place.lists:
        raise InputError(
            f"{text} is no file or store, and a web server cannot list a folder: give a plate.zarr, the index of the "
            "measurement (Index.idx.xml), a table of files (load_data.csv) or one file"
        )
    return _sorted(text, path)


def _sorted(text: str, root: RemotePath) -> Source:
    """The objects below a folder: files, stores (what lies in them is left out), and hidden files."""
    names = root.list_below() or []
    if not names:
        raise InputError(f"{text}: nothing lies there; check the address, and that its folder is spelled in full")
    folders = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in _STORE_FILES}
    folders |= {name[: match.end() - 1] for name in names if (match := _STORE_FOLDER.search(name))}
    if "" in folders:
        return Source(text, cast(Path, root.parent), stores=(root.name,), single=True)
    files: list[str] = []
    stores: dict[str, None] = {}
    ignored: list[Ignored] = []
    for name in names:
        parts = name.split("/")[:-1]
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        if store := next((folder for folder in above if folder in folders), None):
            stores[store] = None
        elif any(part.startswith(".") for part in name.split("/")):
            ignored.append(Ignored(name, "hidden"))
        else:
            files.append(name)
    return _of_names(text, cast(Path, root), files, stores, ignored)


def _of_names(
    text: str, root: Path, files: Iterable[str], stores: Iterable[str], ignored: Iterable[Ignored] = ()
) -> Source:
    files, stores = (tuple(sorted(names, key=natural)) for names in (files, stores))
    return Source(text, root, files, stores, ignored=tuple(ignored))


def _remote_glob(text: str, root: str, storage: Storage) -> Source:
    listed = _sorted(root, cast(RemotePath, remote_path(root, storage)))
    fits = compile_glob(text[len(root) + 1 :]).fullmatch
    files, stores = (tuple(filter(fits, names)) for names in (listed.files, listed.stores))
    if not files and not stores:
        raise InputError(f"no file matches {text}")
    return Source(text, listed.root, files, stores)


def compile_glob(pattern: str) -> re.Pattern[str]:
    """The regular expression of a glob: `*` and `?` within a name, `**/` any folders, `[…]` one of several signs.

    Example:
        >>> [bool(compile_glob("**/*_w[12].tif").fullmatch(name)) for name in ("a/b/x_w2.tif", "x_w3.tif")]
        [True, False]
    """
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    signs = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return re.compile(
        "".join(
            signs.get(part) or (part.replace("[!", "[^") if part.startswith("[") else re.escape(part))
            for part in parts
        )
    )


def _is_store(folder: Path) -> bool:
    if folder.suffix.lower() == ".zarr":
        return True
    return any(concurrently(lambda name: (folder / name).exists(), _STORE_FILES, remote=is_remote(folder)))


_REASONS = {
    "skipped": "hidden",
    "listed_folder": "a link to a folder that is listed already",
    "name_not_utf8": "its name is not UTF-8",
    "broken_link": "a link to nothing, or no file",
    "no_file": "a link to nothing, or no file",
}


def _listed(text: str, root: Path) -> Source:
    names: dict[str, list[str]] = {"file": [], "whole": []}
    ignored: list[Ignored] = []
    for place in walk(root, is_skipped=lambda name: name.startswith("."), is_whole=_is_store, follow=True):
        if place.kind in names:
            names[place.kind].append(place.name)
        else:
            reason = _REASONS.get(place.kind) or f"the folder cannot be read: {place.detail}"
            ignored.append(Ignored(place.name or str(root), reason))
    return _of_names(text, root, names["file"], names["whole"], ignored)


def _globbed(text: str, root: Path) -> Source:
    files, stores = [], []
    for path in map(Path, glob.glob(text, recursive=True)):
        name = path.relative_to(root).as_posix()
        if path.is_file():
            files.append(name)
        elif _is_store(path):
            stores.append(name)
    if not files and not stores:
        raise InputError(f"no file matches {text}")
    return _of_names(text, root, files, stores)
