"""Objects of a store on the internet: list them, ask for their facts, read them, with retries.

Two clients answer the same three questions: `obstore` (S3, Google, Azure, HTTP) and `HfFileSystem` (the Hub). A
request that fails for a passing reason is repeated with growing pauses. Messages name the object and what happened,
in our own words: what servers and libraries write may hold keys.
"""

import datetime
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.storage import SECRET, Storage

from .optional import require

T = TypeVar("T")

SCHEMES = ("s3", "gs", "az", "http", "https", "hf")
"""Schemes of addresses: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage, web servers, the Hub."""

IN_FLIGHT = 32
"""Requests that a process sends at one time."""

MAX_OBJECTS = 1_000_000
"""Objects that a listing may have before a narrower place is asked for."""

_CLIENT = {
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "proxy_url", "proxy_ca_certificate"),
    *("read_timeout", "root_certificate", "timeout", "user_agent"),
}
_OURS = ("retries", "backoff", "max_objects", "schemes")
_SIGNING = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"),
    "az": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_TOKEN", "AZURE_CLIENT_ID"),
}  # what says in the environment that requests are to be signed


class UnreachableError(InputError):
    """An object that could not be read for a reason that may pass: the network, or a permission.

    Attributes:
        is_offline: whether the place as a whole did not answer.
    """

    def __init__(self, message: str, *, is_offline: bool = False) -> None:
        super().__init__(message)
        self.is_offline = is_offline


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What a listing says of an object."""

    st_size: int  # bytes
    mark: str  # changes with the content: e-tag and version, else the time of the last change
    st_mtime_ns: int = 0  # time of the last change; 0 where it is unknown


@dataclass(frozen=True)
class Place:
    """A bucket, a web server, or a repository of the Hub."""

    scheme: str  # of `SCHEMES`
    host: str  # bucket, container, `host:port`, or `datasets/OWNER/NAME@REVISION`
    storage: Storage = field(default_factory=Storage, repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def lists(self) -> bool:
        """Whether it can say what it holds; a web server cannot."""
        return self.scheme not in ("http", "https")

    def read(self, key: str, *, size: int | None = None) -> bytes:
        """The content of an object; another number of bytes than its `size` is a fault of the transfer."""

        def attempt() -> bytes:
            content = _client(self).read(key)
            if size is not None and len(content) != size:
                raise _WrongLength(f"{len(content):,} bytes came instead of {size:,}")
            return content

        return self._tried(attempt, key)

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Parts of an object, from the first byte to the one before the second; errors as of `read`."""

        def attempt() -> list[bytes]:
            parts = _client(self).read_ranges(key, ranges)
            for (start, stop), part in zip(ranges, parts, strict=True):
                if len(part) != stop - start:
                    raise _WrongLength(f"{len(part):,} bytes came instead of {stop - start:,}")
            return parts

        return self._tried(attempt, key)

    def facts(self, key: str) -> ObjectFacts | None:
        """What the store says of an object; None where there is none."""
        try:
            return self._tried(lambda: _client(self).facts(key), key)
        except FileNotFoundError:
            return None

    def pages(self, prefix: str) -> Iterator[list[tuple[str, ObjectFacts]]]:
        """Keys and facts of everything below a folder, in pages; a page that fails is asked for again."""
        last = ""
        stream = _client(self).pages(prefix, last)

        def following() -> list[tuple[str, ObjectFacts]] | None:
            nonlocal stream
            try:
                return next(stream, None)
            except Exception:
                stream = _client(self).pages(prefix, last)
                raise

        while True:
            try:
                page = self._tried(following, prefix)
            except FileNotFoundError:
                return
            if page is None:
                return
            if page:
                last = page[-1][0]
            yield page

    def _tried(self, attempt: Callable[[], T], key: str) -> T:
        """What a request gives, repeated with growing pauses while its error may pass."""
        retries = self.storage.number("retries", 4)
        for number in range(retries + 1):
            try:
                with _FREE:
                    return attempt()
            except (InputError, FileNotFoundError):
                raise
            except Exception as error:  # each library has its own
                reason, may_pass = _understood(error, self)
                if not may_pass or number == retries:
                    tries = f" ({number + 1} tries)" if number else ""
                    offline = reason in (_NO_CONNECTION, _NO_ANSWER)
                    where = f"{self}/{key}".rstrip("/")
                    # from None: the errors of libraries quote requests and answers
                    raise UnreachableError(f"{where}: {reason}{tries}", is_offline=offline) from None
            time.sleep(min(self.storage.backoff * 2**number, 20.0))
        raise AssertionError("unreachable")


_FREE = threading.BoundedSemaphore(IN_FLIGHT)
_NO_CONNECTION, _NO_ANSWER = "no connection to the server", "no answer in time"


class _WrongLength(Exception):
    pass


def _understood(error: Exception, place: Place) -> tuple[str, bool]:
    """What went wrong, in words without anything that may be secret, and whether it may pass."""
    text = str(error)
    if isinstance(error, _WrongLength):
        return text, True
    match = re.search(r"status code: (\d{3})|\b([345]\d\d) (?:Client|Server) Error", text)
    status = int(match[1] or match[2]) if match else None
    if "NoSuchBucket" in text:
        return f"there is no bucket {place.host}: check its name, and the endpoint", False
    if re.search(r"ExpiredToken|TokenExpired|token has expired|RequestTimeTooSkewed", text):
        return "the credentials have expired: renew them and run the same command again", False
    if status in (401, 403) or type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return (
            "permission denied (403): it is not public, or is absent where nothing may be listed; credentials are "
            "taken from the environment",
            False,
        )
    if "without LOCATION" in text:
        return "the bucket lies in another region: --storage-option region=NAME", False
    if status is not None and 300 <= status < 400:
        return f"the server sends to another place that is not followed ({status}): give the address itself", False
    if status is not None and status not in (408, 429) and status < 500:
        return f"the server refuses the request ({status})", False
    if status is not None:
        return f"the server answers {status}", True
    if "BadScheme" in text or "scheme is not allowed" in text:
        return "http is not encrypted, and was not allowed: --storage-option allow_http=true", False
    if "kind: Timeout" in text or isinstance(error, TimeoutError):
        return _NO_ANSWER, True
    if re.search(r"IncompleteBody|body error|connection closed|UnexpectedEof", text):
        return "the transfer broke off", True
    return _NO_CONNECTION, True


@lru_cache(maxsize=64)
def _client(place: Place) -> "_ObstoreClient | _FilesystemClient":
    """The client of a place; safe to use from several threads."""
    if place.scheme == "hf":
        import huggingface_hub

        options = {name: value for name, value in place.storage.options if name not in _OURS}
        return _FilesystemClient(huggingface_hub.HfFileSystem(**options), place.host)
    return _ObstoreClient(place)


class _ObstoreClient:
    """S3, Google, Azure and HTTP through `obstore`; it repeats nothing itself."""

    def __init__(self, place: Place) -> None:
        self._obstore = require("obstore", place)
        stores = require("obstore.store", place)
        given = {name: value for name, value in place.storage.options if name not in _OURS}
        client: dict[str, Any] = {"connect_timeout": "20s", "timeout": "120s"}
        client |= {name: given.pop(name) for name in _CLIENT & given.keys()}
        for name in {"allow_http", "allow_invalid_certificates"} & client.keys():
            client[name] = client[name].lower() in ("1", "true", "yes")
        # An address that says http is the caller's word; https never becomes http by a redirect.
        if place.scheme == "http" or given.get("endpoint", given.get("base_url", "")).startswith("http://"):
            client.setdefault("allow_http", True)
        common: dict[str, Any] = {
            "client_options": client,
            "retry_config": {"max_retries": 0, "retry_timeout": datetime.timedelta(minutes=10)},
        }
        if place.scheme == "gs" and "endpoint" in given:  # one word for all stores
            given["base_url"] = given.pop("endpoint")
        try:
            if not place.lists:
                self._store = stores.HTTPStore.from_url(str(place), **common)
                return
            if place.scheme != "az" or "account_name" in given:
                signed = any(map(SECRET.search, given)) or any(map(os.environ.get, _SIGNING[place.scheme]))
                given.setdefault("skip_signature", str(not signed).lower())
            kinds = {"s3": stores.S3Store, "gs": stores.GCSStore, "az": stores.AzureStore}
            self._store = kinds[place.scheme](place.host, **given, **common)
        except Exception as error:
            unknown = re.search(r"Configuration key: '(\w+)'", str(error))
            problem = f"storage option {unknown[1]!r} is not known" if unknown else "a storage option is wrong"
            raise InputError(f"{place}: {problem}: endpoint, region, allow_http, timeout, retries, … are") from None

    def read(self, key: str) -> bytes:
        return bytes(self._obstore.get(self._store, key).bytes())

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        starts, ends = zip(*ranges, strict=True)
        return list(map(bytes, self._obstore.get_ranges(self._store, key, starts=starts, ends=ends)))

    def facts(self, key: str) -> ObjectFacts:
        return _facts(self._obstore.head(self._store, key))

    def pages(self, prefix: str, after: str) -> Iterator[list[tuple[str, ObjectFacts]]]:
        for page in self._obstore.list(self._store, prefix or None, offset=after or None, chunk_size=1000):
            yield [(entry["path"], _facts(entry)) for entry in page]


def _facts(entry: Mapping[str, Any]) -> ObjectFacts:
    changed = entry.get("last_modified")
    mark = "/".join(str(entry[name]) for name in ("e_tag", "version") if entry.get(name))
    time_ns = int(changed.timestamp()) * 10**9 if changed else 0
    return ObjectFacts(int(entry["size"]), mark or str(time_ns), time_ns)


class _FilesystemClient:
    """A filesystem of fsspec, such as `HfFileSystem`, below one folder."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._files = filesystem
        self._root = root.rstrip("/")

    def read(self, key: str) -> bytes:
        return bytes(self._files.cat_file(f"{self._root}/{key}"))

    def read_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [bytes(self._files.cat_file(f"{self._root}/{key}", start, stop)) for start, stop in ranges]

    def facts(self, key: str) -> ObjectFacts:
        entry = self._files.info(f"{self._root}/{key}")
        if entry.get("type") == "directory":
            raise FileNotFoundError(key)
        return self._understood(entry)

    def pages(self, prefix: str, after: str) -> Iterator[list[tuple[str, ObjectFacts]]]:
        listing = self._files.find(f"{self._root}/{prefix}".rstrip("/"), detail=True)
        start = len(self._root.lstrip("/")) + 1
        named = sorted((name.lstrip("/")[start:], self._understood(entry)) for name, entry in listing.items())
        yield [(key, facts) for key, facts in named if key > after]

    def _understood(self, entry: Mapping[str, Any]) -> ObjectFacts:
        lfs = entry.get("lfs")
        marks = [entry.get("blob_id"), lfs.get("sha256") if isinstance(lfs, Mapping) else None, entry.get("xet_hash")]
        marks += [entry.get(name) for name in ("etag", "ETag", "mtime", "created")]
        mark = next((str(mark) for mark in marks if mark), "")
        return ObjectFacts(int(entry.get("size") or 0), mark)
