"""A Hub on the loopback interface, in memory: enough of the protocol for the real clients to push to and load from.

It answers what `huggingface_hub`, `datasets`, `transformers` and `evaluate` send: repositories, regular, LFS and xet
uploads, commits, trees, tags, downloads with ranges. `Faults` makes it break connections, stall or refuse, as a real
one may.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.xet import ROUTES as XET_ROUTES
from tests.hub.xet import XetStore

TOKEN = "hf_loopback"
READ_TOKEN = "hf_loopback_read_only"


@dataclass
class Faults:
    """What goes wrong.

    Attributes:
        broken_uploads: so many uploads are cut off first.
        stall_after: uploads after so many are never answered; `Hub.stalled` tells that one is waiting.
        stale: every commit is refused, as if somebody else had pushed meanwhile.
    """

    broken_uploads: int = 0
    stall_after: int | None = None
    stale: bool = False


@dataclass
class Repository:
    private: bool
    revisions: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    messages: list[str] = field(default_factory=list)
    lfs_paths: set[str] = field(default_factory=set)

    def commit_id(self, revision: str) -> str:
        content = json.dumps({path: blob_id(data) for path, data in sorted(self.revisions[revision].items())})
        return hashlib.sha1(content.encode()).hexdigest()


@dataclass
class Hub:
    url: str
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    log: list[str] = field(default_factory=list)
    uploaded: list[int] = field(default_factory=list)
    xet: XetStore = field(default_factory=XetStore)
    ranges: list[tuple[str, int, int]] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def files(self, kind: str, name: str, revision: str = "main") -> dict[str, bytes]:
        return self.repositories[kind, name].revisions[revision]


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a Hub in a thread for the duration of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.hub  # type: ignore[attr-defined]
    finally:
        server.hub.closing.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


def blob_id(data: bytes) -> str:
    """The id git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


_NAME = r"(?P<name>[^/]+/[^/]+)"
_KIND = r"(?P<kind>models|datasets|spaces)"
_ROUTES = [
    *XET_ROUTES,
    ("POST", r"/api/repos/create", "create"),
    ("POST", rf"/api/{_KIND}/{_NAME}/preupload/(?P<revision>[^/]+)", "preupload"),
    ("POST", rf"/api/{_KIND}/{_NAME}/commit/(?P<revision>[^/]+)", "commit"),
    ("POST", rf"/api/{_KIND}/{_NAME}/tag/(?P<revision>[^/]+)", "tag"),
    ("POST", rf"/api/{_KIND}/{_NAME}/branch/(?P<revision>[^/]+)", "branch"),
    ("POST", rf"/api/{_KIND}/{_NAME}/paths-info/(?P<revision>[^/]+)", "paths_info"),
    ("GET", rf"/api/(?P<kind>buckets)/{_NAME}/tree(?:/(?P<path>.+))?", "bucket_tree"),
    ("POST", rf"/api/(?P<kind>buckets)/{_NAME}/paths-info", "bucket_tree"),
    ("GET", rf"/api/(?P<kind>buckets)/{_NAME}", "bucket_info"),
    ("GET", rf"/(?P<kind>buckets)/{_NAME}/resolve/(?P<path>.+)", "resolve"),
    ("POST", r"/api/validate-yaml", "validate_yaml"),
    ("GET", r"/api/whoami-v2", "whoami"),
    ("GET", rf"/api/{_KIND}/{_NAME}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?", "tree"),
    ("GET", rf"/api/{_KIND}/{_NAME}(?:/revision/(?P<revision>[^/]+))?", "info"),
    ("POST", rf"/(?:(?P<kind>datasets|spaces)/)?{_NAME}\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_put"),
    ("POST", r"/lfs/verify", "lfs_verify"),
    ("GET", rf"/(?:(?P<kind>datasets|spaces)/)?{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def _dispatch(self, method: str) -> None:
        self.hub = self.server.hub  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        self.query = parse_qs(parts.query)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.log.append(f"{self.command} {parts.path}")
        for verb, pattern, action in _ROUTES:
            match = re.fullmatch(pattern, unquote(parts.path))
            if verb == method and match:
                groups = match.groupdict()
                if "name" in groups and action != "create":
                    key = ((groups.get("kind") or "models"), groups["name"])
                    repository = self.hub.repositories.get(key)
                    may_read = self._token() in (TOKEN, READ_TOKEN)
                    if repository is None or (repository.private and not may_read):
                        return self._missing("RepoNotFound", 404 if may_read else 401)
                    if method == "POST" and self._token() != TOKEN and not parts.path.endswith("paths-info"):
                        return self._json({"error": "no right to write"}, status=403)
                    groups["repository"] = repository
                return getattr(self, f"_{action}")(**groups)
        return self._json({"error": "not found"}, status=404)

    def _token(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def do_GET(self) -> None:
        self._dispatch("GET")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._dispatch("POST")

    def do_PUT(self) -> None:
        self._dispatch("PUT")

    def _send(self, data: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _json(self, content: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        typed = {"Content-Type": "application/json", **(headers or {})}
        self._send(json.dumps(content).encode(), status=status, headers=typed)

    def _missing(self, code: str, status: int = 404) -> None:
        self._json({"error": code}, status=status, headers={"X-Error-Code": code, "X-Error-Message": code})

    def _create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        kind = {"model": "models", "dataset": "datasets", "space": "spaces"}[asked.get("type") or "model"]
        if self._token() != TOKEN:
            status = 403 if self._token() == READ_TOKEN else 401
            return self._json({"error": "no right to create"}, status=status)
        is_there = (kind, name) in self.hub.repositories
        if not is_there:
            private = asked.get("private", asked.get("visibility") == "private")
            self.hub.repositories[kind, name] = Repository(bool(private))
        prefix = "" if kind == "models" else f"{kind}/"
        answer = {"url": f"{self.hub.url}/{prefix}{name}", "name": name, "id": name}
        return self._json(answer, status=409 if is_there else 200)

    def _preupload(self, repository: Repository, revision: str, **_: object) -> None:
        files = []
        for asked in json.loads(self.body)["files"]:
            stored = repository.revisions.get(revision, {}).get(asked["path"])
            large = asked["size"] > 100_000 or asked["path"].endswith((".parquet", ".safetensors"))
            entry = {"path": asked["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if stored is not None:
                entry["oid"] = hashlib.sha256(stored).hexdigest() if large else blob_id(stored)
            files.append(entry)
        self._json({"files": files})

    def _lfs_batch(self, **_: object) -> None:
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            entry = dict(wanted)
            if wanted["oid"] not in self.hub.blobs:
                upload = {"href": f"{self.hub.url}/lfs/{wanted['oid']}", "header": {}}
                entry["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.url}/lfs/verify", "header": {}}}
            objects.append(entry)
        self._json({"transfer": "basic", "objects": objects})

    def _lfs_put(self, oid: str) -> None:
        if self.hub.faults.broken_uploads:
            self.hub.faults.broken_uploads -= 1
            self.close_connection = True
            self.connection.close()
            return
        if self._stalls(oid):
            self.hub.stalled.set()
            self.hub.closing.wait()
            self.close_connection = True
            return
        self._send(b"")

    def _stalls(self, oid: str) -> bool:
        """Store an upload, or tell that it is one too many: clients send several at once."""
        with self.hub.lock:
            limit = self.hub.faults.stall_after
            if limit is not None and len(self.hub.uploaded) >= limit:
                return True
            assert hashlib.sha256(self.body).hexdigest() == oid
            self.hub.blobs[oid] = self.body
            self.hub.uploaded.append(len(self.body))
            return False

    def _lfs_verify(self) -> None:
        is_stored = json.loads(self.body)["oid"] in self.hub.blobs
        self._json({}, status=200 if is_stored else 404)

    def _xet_token(self, **_: object) -> None:
        expires = str(int(time.time()) + 3600)
        content = {"casUrl": self.hub.url, "accessToken": TOKEN, "exp": int(expires)}
        headers = {"X-Xet-Cas-Url": self.hub.url, "X-Xet-Access-Token": TOKEN, "X-Xet-Token-Expiration": expires}
        self._json(content, headers=headers)

    def _xet_xorb(self, xorb: str) -> None:
        with self.hub.lock:
            self.hub.xet.add_xorb(xorb, self.body)
        self._json({"was_inserted": True})

    def _xet_shard(self) -> None:
        with self.hub.lock:
            self.hub.blobs |= self.hub.xet.add_shard(self.body)
        self._json({"result": 1})

    def _commit(self, repository: Repository, kind: str, name: str, revision: str) -> None:
        lines = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        if self.hub.faults.stale:
            return self._json({"error": "a commit has happened since"}, status=412)
        files = dict(repository.revisions[revision])
        for line in lines:
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit") not in (None, repository.commit_id(revision)):
                return self._json({"error": "stale parent"}, status=412)
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
                repository.lfs_paths.add(value["path"])
            elif line["key"] == "deletedFile":
                files.pop(value["path"], None)
            elif line["key"] == "deletedFolder":
                files = {path: data for path, data in files.items() if not path.startswith(value["path"])}
        proposed = "create_pr" in self.query
        revision = "refs/pr/1" if proposed else revision
        repository.revisions[revision] = files
        repository.messages.append(next(line["value"]["summary"] for line in lines if line["key"] == "header"))
        commit = repository.commit_id(revision)
        repository.revisions[commit] = files
        place = f"{self.hub.url}/{'' if kind == 'models' else f'{kind}/'}{name}"
        answer = {"success": True, "commitOid": commit, "commitUrl": f"{place}/commit/{commit}", "hookOutput": ""}
        self._json(answer | ({"pullRequestUrl": f"{place}/discussions/1"} if proposed else {}))
        return None

    def _branch(self, repository: Repository, revision: str, **_: object) -> None:
        if revision in repository.revisions:
            return self._json({"error": "branch exists"}, status=409)
        repository.revisions[revision] = dict(repository.revisions["main"])
        return self._json({})

    def _tag(self, repository: Repository, revision: str, **_: object) -> None:
        tag = json.loads(self.body)["tag"]
        if tag in repository.revisions:
            return self._json({"error": "tag exists"}, status=409)
        repository.revisions[tag] = dict(repository.revisions[revision])
        return self._json({})

    def _validate_yaml(self) -> None:
        self._json({"errors": [], "warnings": []})

    def _whoami(self) -> None:
        self._json({"type": "user", "name": "me", "orgs": []})

    def _info(self, repository: Repository, name: str, revision: str | None = None, **_: object) -> None:
        files = repository.revisions.get(revision or "main")
        if files is None:
            return self._missing("RevisionNotFound")
        siblings = [{"rfilename": path} for path in sorted(files)]
        commit = repository.commit_id(revision or "main")
        answer = {"id": name, "sha": commit, "private": repository.private, "siblings": siblings, "tags": []}
        return self._json(answer)

    def _entry(self, repository: Repository, path: str, data: bytes) -> dict[str, object]:
        entry: dict[str, object] = {"type": "file", "oid": blob_id(data), "size": len(data), "path": path}
        if path in repository.lfs_paths:
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry

    def _tree(self, repository: Repository, revision: str, path: str | None = None, **_: object) -> None:
        files = repository.revisions.get(revision)
        if files is None:
            return self._missing("RevisionNotFound")
        prefix = f"{path}/" if path else ""
        inside = {name: data for name, data in files.items() if name.startswith(prefix)}
        if path and not inside:
            return self._missing("EntryNotFound")
        deep = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        entries = [
            self._entry(repository, n, d) for n, d in sorted(inside.items()) if deep or "/" not in n[len(prefix) :]
        ]
        folders = {prefix + name[len(prefix) :].split("/")[0] for name in inside if "/" in name[len(prefix) :]}
        entries += [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in sorted(folders)]
        return self._json(entries)

    def _paths_info(self, repository: Repository, revision: str, **_: object) -> None:
        form = parse_qs(self.body.decode())
        asked = json.loads(self.body)["paths"] if self.body[:1] == b"{" else form.get("paths", [])
        files = repository.revisions.get(revision, {})
        self._json([self._entry(repository, path, files[path]) for path in asked if path in files])

    def _bucket_info(self, repository: Repository, name: str, **_: object) -> None:
        """A bucket is a repository without revisions: its files are those of `main`."""
        facts = {"id": name, "private": repository.private, "size": 0, "totalFiles": 0}
        self._json(facts | {"createdAt": "2026-11-29T08:00:00.000Z"})

    def _bucket_tree(self, repository: Repository, path: str | None = None, **_: object) -> None:
        files = repository.revisions["main"]
        asked = json.loads(self.body)["paths"] if self.body else None
        names = [n for n in sorted(files) if (n in asked if asked is not None else n.startswith(path or ""))]
        marks = {name: hashlib.sha256(files[name]).hexdigest() for name in names}
        entries = [{"type": "file", "path": n, "size": len(files[n]), "xetHash": marks[n]} for n in names]
        self._json([entry | {"mtime": "2026-11-29T08:00:00.000Z"} for entry in entries])

    def _resolve(self, repository: Repository, path: str, revision: str = "main", **_: object) -> None:
        files = repository.revisions.get(revision)
        if files is None:
            return self._missing("RevisionNotFound")
        if path not in files:
            return self._missing("EntryNotFound")
        data = files[path]
        headers = {
            "X-Repo-Commit": repository.commit_id(revision),
            "ETag": f'"{blob_id(data)}"',
            "Accept-Ranges": "bytes",
        }
        if path in repository.lfs_paths:
            etag = hashlib.sha256(data).hexdigest()
            headers |= {"ETag": f'"{etag}"', "X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not wanted:
            return self._send(data, headers=headers)
        start, stop = int(wanted[1]), int(wanted[2] or len(data) - 1) + 1
        self.hub.ranges.append((path, start, stop))
        headers["Content-Range"] = f"bytes {start}-{min(stop, len(data)) - 1}/{len(data)}"
        return self._send(data[start:stop], status=206, headers=headers)
