"""A store of objects on the loopback interface, with the latency and the faults of the internet.

It speaks what reading from S3, Google and Azure needs (listings in pages, HEAD, GET with Range, ETag, errors as XML),
and the same objects are plain files over HTTP. Tests and `scripts/bench.py remote` start it in a thread; nothing is
written.

    with ObjectServer({"plates/p1/a.tif": b"..."}) as server:
        server.storage  # options that reach it as S3; s3://plates/p1/a.tif
        server.url      # http://127.0.0.1:PORT; http://127.0.0.1:PORT/plates/p1/a.tif
"""

import bisect
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

Fault = Callable[[str, int], "int | str | None"]
"""(key with its bucket, how often it was asked for before) → what is answered instead of the object: a status, `cut`
(half of the body, then the end), `short` (half of the body, as if it were all), an address (a redirect), or None."""


class ObjectServer:
    """Objects by `bucket/key`, served while the context lasts.

    Args:
        objects: bytes by `bucket/key`; may be changed while the server runs.
        latency: seconds before every answer.
        fault: see `Fault`.
        page: objects in one page of a listing.
        key: access key that requests must be signed with; None: anybody may read.

    Attributes:
        asked: how often each object was asked for.
        requests: how many of each kind came.
        sent: bytes of bodies.
        broken_listings: pages of listings that are answered by 503 from now on.
    """

    def __init__(
        self,
        objects: Mapping[str, bytes],
        *,
        latency: float = 0.0,
        fault: Fault | None = None,
        page: int = 1000,
        key: str | None = None,
    ) -> None:
        self.objects = dict(objects)
        self.latency = latency
        self.fault = fault
        self.page = page
        self.key = key
        self.asked: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.sent = 0
        self.broken_listings = 0
        self.lock = threading.Lock()
        self._keys: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @classmethod
    def of_folder(cls, folder: Path, bucket: str, **options: object) -> "ObjectServer":
        """The files below a folder as the objects of one bucket."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return cls({f"{bucket}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}, **options)  # type: ignore[arg-type]

    def keys(self) -> list[str]:
        """Keys in order, sorted again when objects came or went."""
        with self.lock:
            if len(self._keys) != len(self.objects):
                self._keys = sorted(self.objects)
            return self._keys

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def storage(self) -> dict[str, str]:
        """Storage options that make `s3://` addresses reach this server."""
        return {"endpoint": self.url, "region": "us-east-1", "allow_http": "true"}

    def __enter__(self) -> "ObjectServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@lru_cache(maxsize=4096)
def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _handler(server: ObjectServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        wbufsize = 1 << 16
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: object) -> None:
            """Stay silent."""

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            time.sleep(server.latency)
            parts = urlsplit(self.path)
            key, query = unquote(parts.path).strip("/"), parse_qs(parts.query, keep_blank_values=True)
            listing = query.get("list-type") == ["2"] or query.get("comp") == ["list"]
            with server.lock:
                server.requests["list" if listing else self.command] += 1
                before = server.asked[key]
                server.asked[key] += not listing
            wrong = server.fault(key, before) if server.fault and not listing else None
            signed = self.headers.get("Authorization", "")
            if server.key is not None and f"Credential={server.key}/" not in signed:
                self._refuse(403, "AccessDenied", with_body)
            elif isinstance(wrong, int):
                self._refuse(wrong, "ExpiredToken" if wrong == 400 else "SlowDown", with_body)
            elif isinstance(wrong, str) and "://" in wrong:
                self._send(302, b"", with_body, {"Location": wrong})
            elif listing and server.broken_listings > 0:
                server.broken_listings -= 1
                self._refuse(503, "SlowDown", with_body)
            elif listing:
                self._list(key, query)
            elif key in server.objects:
                self._object(server.objects[key], wrong if with_body else None, with_body)
            else:
                self._refuse(404, "NoSuchKey", with_body)

        def _object(self, content: bytes, wrong: object, with_body: bool) -> None:
            facts = {
                "ETag": _etag(content),
                "Last-Modified": "Sun, 29 Nov 2026 08:00:00 GMT",
                "Accept-Ranges": "bytes",
            }
            status, asked = 200, self.headers.get("Range", "")
            if asked.startswith("bytes=") and asked.count("-") == 1 and not asked.endswith("-"):
                first, last = asked.removeprefix("bytes=").split("-")
                facts["Content-Range"] = f"bytes {first}-{min(int(last), len(content) - 1)}/{len(content)}"
                status, content = 206, content[int(first) : int(last) + 1]
            if wrong == "short":
                content = content[: len(content) // 2]
            self._send(status, content, with_body, facts, cut=wrong == "cut")

        def _list(self, bucket: str, query: Mapping[str, list[str]]) -> None:
            keys = server.keys()
            first = bisect.bisect_left(keys, f"{bucket}/")
            if first == len(keys) or not keys[first].startswith(f"{bucket}/"):
                self._refuse(404, "NoSuchBucket", True)
                return
            azure = "comp" in query
            words = ("prefix", "start-after", "continuation-token", "marker")
            prefix, *given = (query.get(name, [""])[0] for name in words)
            start, after = f"{bucket}/{prefix}", max(given)
            first = max(bisect.bisect_left(keys, start), bisect.bisect_right(keys, f"{bucket}/{after}"))
            listed = keys[first : first + server.page + 1]
            names = [key[len(bucket) + 1 :] for key in listed if key.startswith(start)]
            page, more = names[: server.page], len(names) > server.page
            if azure:
                blobs = "".join(
                    f"<Blob><Name>{escape(name)}</Name><Properties><Content-Type/>"
                    "<Last-Modified>Sun, 29 Nov 2026 08:00:00 GMT</Last-Modified>"
                    f"<Content-Length>{len(content)}</Content-Length><Etag>{_etag(content)}</Etag></Properties></Blob>"
                    for name in page
                    for content in [server.objects[f"{bucket}/{name}"]]
                )
                marker = f"<NextMarker>{escape(page[-1]) if more else ''}</NextMarker>"
                text = f'<?xml version="1.0"?><EnumerationResults><Blobs>{blobs}</Blobs>{marker}</EnumerationResults>'
                self._send(200, text.encode(), True, {"Content-Type": "application/xml"})
                return
            entries = "".join(
                f"<Contents><Key>{escape(name)}</Key><LastModified>2026-11-29T08:00:00.000Z</LastModified>"
                f"<ETag>{_etag(content)}</ETag>"
                f"<Size>{len(content)}</Size></Contents>"
                for name in page
                for content in [server.objects[f"{bucket}/{name}"]]
            )
            token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
            text = (
                f'<?xml version="1.0"?><ListBucketResult><Name>{bucket}</Name><KeyCount>{len(page)}</KeyCount>'
                f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
            )
            self._send(200, text.encode(), True, {"Content-Type": "application/xml"})

        def _refuse(self, status: int, code: str, with_body: bool) -> None:
            body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{quote(code)}</Message></Error>'.encode()
            self._send(status, body, with_body, {"Content-Type": "application/xml"})

        def _send(
            self, status: int, body: bytes, with_body: bool, headers: Mapping[str, str], *, cut: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                with server.lock:
                    server.sent += len(body)
                try:
                    self.wfile.write(body[: len(body) // 2] if cut else body)
                except ConnectionError:
                    self.close_connection = True
            self.close_connection = self.close_connection or cut

    return Handler
