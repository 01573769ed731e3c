"""Files on the internet, used as files of a disk are: what reads images does not know which of the two it has.

A `RemotePath` has those methods of `pathlib.Path` that readers of sources use. What a listing or a request told of an
object (size, e-tag) is kept as long as its source is open, so that a plate is listed once. Objects are read into
memory; a reader that needs a file gets a file in memory, or one below `Storage.keep`.
"""

import io
import os
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import atomic_path, inside
from cytoimagenet_hf.core.once import Once
from cytoimagenet_hf.options.storage import Storage

from .objects import IN_FLIGHT, MAX_OBJECTS, SCHEMES, ObjectFacts, Place, UnreachableError

T = TypeVar("T")
R = TypeVar("R")

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_FEW = 8  # files of one folder that are asked for one by one before the folder is listed
_LARGE_FOLDER = 50_000  # objects: of a larger folder, files are asked for one by one
_KEPT_SIZES = (1 << 23, 1 << 28)  # bytes: of files between them the last two stay in memory, for images that share one
_LARGE_FILES: Once[bytes] = Once(2)
_METADATA = frozenset({"zarr.json", ".zattrs", ".zarray", ".zgroup"})  # stay in memory while their source is open


class UnknownAddressError(InputError):
    """An address that cannot be used: an unknown scheme, a secret in it, no bucket."""


class _Memory:
    """What is known of the objects of a place since a source was opened."""

    def __init__(self) -> None:
        self.facts: dict[str, ObjectFacts | None] = {}
        self.listed: set[str] = set()
        self.too_large: set[str] = set()
        self.contents: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.offline: UnreachableError | None = None
        self.lock = threading.RLock()


@dataclass(frozen=True, repr=False)
class RemotePath:
    """An object, or a folder of objects.

    Its memory is shared by all paths of one source; another process starts with the facts of this object alone.
    """

    place: Place
    key: str  # `/` between folders, none at either end
    memory: _Memory = field(default_factory=_Memory, compare=False)

    def __str__(self) -> str:
        key = self.key if self.place.lists else quote(self.key)
        return f"{self.place}/{key}" if key else str(self.place)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.place, self.key, self.memory.facts.get(self.key))

    def __truediv__(self, name: object) -> "RemotePath":
        key = "/".join(part for part in (*self.key.split("/"), *str(name).split("/")) if part not in ("", "."))
        if ".." in key.split("/"):
            raise InputError(f"{str(name)!r} points outside {self}: name files below it")
        return RemotePath(self.place, key, self.memory)

    @property
    def name(self) -> str:
        """Last part of the key, or the host."""
        return self.key.rpartition("/")[2] or self.place.host.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """As of `pathlib.Path`."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "RemotePath":
        """The folder above; the place itself has none."""
        return RemotePath(self.place, self.key.rpartition("/")[0], self.memory)

    @property
    def parts(self) -> tuple[str, ...]:
        """The place, and the parts of the key."""
        return (str(self.place), *(part for part in self.key.split("/") if part))

    def resolve(self) -> "RemotePath":
        """Itself: there are no links."""
        return self

    def relative_to(self, folder: "RemotePath") -> PurePosixPath:
        """As of `pathlib.Path`."""
        return PurePosixPath(self.key).relative_to(folder.key or ".")

    def is_file(self) -> bool:
        """Whether there is such an object.

        A web server is not asked, since it can say it only file by file: what it lacks is told when it is read.
        """
        return not self.place.lists or self._facts() is not None

    def is_dir(self) -> bool:
        """Whether objects lie below; of a web server, whether it has metadata of Zarr there."""
        if not self.place.lists:
            return any((self / name).exists() for name in ("zarr.json", ".zgroup", ".zarray", ".zattrs"))
        return next(self.iterdir(), None) is not None

    def exists(self) -> bool:
        """Whether there is such an object; a web server is asked, too."""
        return self._facts() is not None

    def stat(self) -> ObjectFacts:
        """Size and mark of the object; a `FileNotFoundError` where there is none."""
        facts = self._facts()
        if facts is None:
            raise FileNotFoundError(2, "No such object", str(self))
        return facts

    def read_bytes(self) -> bytes:
        """The content; a `FileNotFoundError` where there is none."""
        memory, key = self.memory, self.key
        if key in memory.contents:
            return memory.contents[key]
        if key in memory.facts and memory.facts[key] is None:
            raise FileNotFoundError(2, "No such object", str(self))
        facts = memory.facts.get(key)
        try:
            content = self.place.read(key, size=facts.st_size if facts else None)
        except FileNotFoundError:
            raise FileNotFoundError(2, "No such object", str(self)) from None
        if self.name in _METADATA:
            memory.contents[key] = content
        return content

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Parts of the content, each from its first byte to the one before its second."""
        return self.place.read_ranges(self.key, ranges)

    def open(self, mode: str = "rb") -> io.BytesIO:
        """The content, to be read as a file."""
        if mode != "rb":
            raise InputError(f"{self} is only read")
        return io.BytesIO(self.read_bytes())

    def iterdir(self) -> Iterator["RemotePath"]:
        """What lies directly in this folder."""
        self.list_below()
        for name in dict.fromkeys(key.partition("/")[0] for key in self._known_below()):
            yield self / name

    def list_below(self, *, most: int | None = None) -> list[str] | None:
        """Keys of all objects below, relative to this folder, listed once; None of a web server.

        More objects than `most` give None as well; by default, more than `max_objects` are an error.
        """
        if not self.place.lists:
            return None
        if not self._is_listed(self.key):
            limit = self.place.storage.number("max_objects", MAX_OBJECTS) if most is None else most
            objects: dict[str, ObjectFacts | None] = {}
            with tqdm(desc=f"listing {self}", unit=" objects", disable=None, leave=False) as bar:
                for page in self.place.pages(self.key):
                    objects.update(page)
                    bar.update(len(page))
                    if len(objects) > limit:
                        if most is not None:
                            return None
                        raise InputError(_too_many(self, list(objects), limit))
            with self.memory.lock:
                self.memory.facts |= objects
                self.memory.listed.add(self.key)
        return self._known_below()

    def _known_below(self) -> list[str]:
        start = f"{self.key}/" if self.key else ""
        with self.memory.lock:
            facts = dict(self.memory.facts)
        return [key[len(start) :] for key in facts if facts[key] is not None and key.startswith(start)]

    def _is_listed(self, folder: str) -> bool:
        parts = folder.split("/")
        return any("/".join(parts[:depth]) in self.memory.listed for depth in range(len(parts) + 1))

    def _facts(self) -> ObjectFacts | None:
        """Facts of the object: from a listing, or asked for; many files of one folder are listed together."""
        memory, folder = self.memory, self.key.rpartition("/")[0]
        if self.key in memory.facts:
            return memory.facts[self.key]
        if self._is_listed(folder):
            return None
        if memory.offline is not None:  # not waited for again and again
            raise memory.offline
        with memory.lock:
            memory.asked[folder] += 1
            if self.place.lists and memory.asked[folder] > _FEW and folder not in memory.too_large:
                if self.parent._can_be_listed():
                    return memory.facts.get(self.key)
                memory.too_large.add(folder)
        try:
            facts = memory.facts[self.key] = self.place.facts(self.key)
        except UnreachableError as error:
            memory.offline = error if error.is_offline else None
            raise
        return facts

    def _can_be_listed(self) -> bool:
        """List this folder, unless it is too large or may not be listed, as where only single objects are public."""
        try:
            return self.list_below(most=_LARGE_FOLDER) is not None
        except UnreachableError as error:
            if error.is_offline:
                raise
            return False


def _restored(place: Place, key: str, facts: ObjectFacts | None) -> RemotePath:
    path = RemotePath(place, key)
    if facts is not None:
        path.memory.facts[key] = facts
    return path


def _too_many(folder: RemotePath, keys: list[str], limit: int) -> str:
    start = f"{folder.key}/" if folder.key else ""
    below = dict.fromkeys(key[len(start) :].partition("/")[0] for key in keys if "/" in key[len(start) :])
    narrower = ", ".join(str(folder / name) for name in list(below)[:3])
    return (
        f"{folder} holds more than {limit:,} objects (the listing was stopped there): name a narrower place"
        + (f", such as {narrower}" if narrower else "")
        + ", or allow more by --storage-option max_objects=N"
    )


def is_address(text: str | Path) -> bool:
    """Whether a text is the address of something that is no file here; `file://` is one.

    Example:
        >>> is_address("s3://bucket/plate"), is_address("C:/plate"), is_address("hf:me/data")
        (True, False, False)
    """
    match = _ADDRESS.match(str(text))
    return bool(match) and cast(re.Match[str], match)[1].lower() != "file"


def remote_path(address: str, storage: Storage) -> Path:
    """The file or folder at an address; it is a `RemotePath`, which is used as a `Path` is.

    Raises:
        UnknownAddressError: a scheme that is not known, a password or a query in the address, or no bucket.

    Example:
        >>> remote_path("s3://cellpainting-gallery/cpg0016-jump/", Storage()).name
        'cpg0016-jump'
    """
    printable = one_line(address.partition("?")[0] if "?" in address else address, longest=200)
    try:
        parts = urlsplit(address)
        secret = parts.username is not None or parts.password is not None
    except ValueError as error:
        raise UnknownAddressError(f"{printable!r} is no address: {error}") from error
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        schemes = ", ".join(f"{name}://" for name in SCHEMES)
        raise UnknownAddressError(
            f"{printable} is no address that is known here: {schemes}; or a file of this machine"
        )

    allowed = dict(storage.options).get("schemes")
    if allowed is not None and scheme not in allowed.split(","):
        raise UnknownAddressError(f"{printable}: no address of this kind is opened here")
    if secret and scheme != "hf":
        raise UnknownAddressError(f"{scheme}://{parts.hostname}: no password in an address: use the environment")

    if scheme in ("http", "https"):
        if parts.query:
            raise UnknownAddressError(
                f"{printable} has a query, as signed addresses do: give the address without, or s3://…"
            )
        host, key = parts.netloc, unquote(parts.path)
    else:
        # Keys may hold ?, # and %: all behind the bucket is the key, as it stands.
        host, _, key = address.partition("://")[2].partition("/")
        if scheme == "hf":
            pieces = address.partition("://")[2].strip("/").split("/")
            length = 3 if pieces[0] in ("datasets", "spaces", "models", "buckets") else 2
            host, key = "/".join(pieces[:length]), "/".join(pieces[length:])
    if not host:
        raise UnknownAddressError(f"{printable} names no bucket or server")
    return cast(Path, RemotePath(Place(scheme, host, storage), "") / key)


def place_at(place: str | Path, storage: Storage) -> Path:
    """A file or folder of this machine, or at an address, see `remote_path`.

    Example:
        >>> place_at("plate/masks", Storage()), place_at("s3://bucket/masks", Storage())
        (PosixPath('plate/masks'), RemotePath('s3://bucket/masks'))
    """
    return remote_path(str(place), storage) if is_address(place) else Path(place)


class RemoteFiles:
    """Files at many addresses: those of one place share what is known of them, so that a folder is listed once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._memory: dict[Place, _Memory] = {}

    def path(self, address: str) -> Path:
        """The file at an address; see `remote_path`."""
        path = cast(RemotePath, remote_path(address, self._storage))
        memory = self._memory.setdefault(path.place, path.memory)
        return cast(Path, RemotePath(path.place, path.key, memory))


@contextmanager
def local_file(path: Path, *, large: bool = False) -> Iterator[Path]:
    """A file of this machine with the content of a path: itself, or one in memory while the context lasts.

    Errors that name the file in memory name the object instead. What holds a whole acquisition (`large`), which would
    be fetched again for each of its images, is refused unless it is kept.
    """
    if not isinstance(path, RemotePath):
        yield path
        return
    if large and path.place.storage.keep is None:
        raise InputError(
            f"{path} holds a whole acquisition, which would be fetched again for every image: give --keep FOLDER "
            "(keep=), where it stays, or download it"
        )
    with _kept(path) if path.place.storage.keep else _in_memory(path) as file:
        try:
            yield file
        except InputError as error:
            error.args = (str(error).replace(str(file), str(path)),)
            raise


@contextmanager
def _in_memory(path: RemotePath) -> Iterator[Path]:
    content = _content(path)
    if not hasattr(os, "memfd_create"):  # elsewhere than on Linux, files have no place but a disk
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "object"
            file.write_bytes(content)
            del content
            yield file
        return
    descriptor = os.memfd_create("object")
    try:
        with open(descriptor, "wb", closefd=False) as handle:
            handle.write(content)
        del content
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)


@contextmanager
def _kept(path: RemotePath) -> Iterator[Path]:
    """The object below the folder in which objects stay; read again if it has changed."""
    facts = path.place.facts(path.key) if path._facts() is None else path._facts()
    root = cast(Path, path.place.storage.keep)
    file = inside(root, f"{path.place.scheme}/{path.place.host.replace(':', '_')}/{path.key}")
    mark = file.with_name(f".{file.name}.mark")
    if facts is None:
        raise InputError(f"{path} does not exist")
    if not (file.is_file() and mark.is_file() and mark.read_text() == f"{facts.st_size} {facts.mark}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary:
            Path(temporary).write_bytes(_content(path))
        with atomic_path(mark) as temporary:
            Path(temporary).write_text(f"{facts.st_size} {facts.mark}")
    yield file


def _content(path: RemotePath) -> bytes:
    facts = path.memory.facts.get(path.key)
    try:
        if facts is None or not _KEPT_SIZES[0] < facts.st_size < _KEPT_SIZES[1]:
            return path.read_bytes()
        return _LARGE_FILES.get((path.place, path.key, facts), path.read_bytes)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist (404)") from None


def change_mark(path: Path) -> str:
    """What changes with a file: size and time, or size and e-tag of an object."""
    facts = path.stat()
    mark = cast(Any, facts).mark if isinstance(path, RemotePath) else facts.st_mtime_ns
    return f"{facts.st_size}:{mark}"


def concurrently(work: Callable[[T], R], items: Iterable[T], *, remote: bool, threads: int = IN_FLIGHT) -> list[R]:
    """`work` on every item, in order; over the network many at a time, fewer where each takes much memory."""
    entries = list(items)
    if not remote or len(entries) < 2:
        return [work(entry) for entry in entries]
    with ThreadPoolExecutor(min(threads, len(entries))) as pool:
        return list(pool.map(work, entries))


def is_remote(path: object) -> bool:
    """Whether a path is a `RemotePath`."""
    return isinstance(path, RemotePath)
