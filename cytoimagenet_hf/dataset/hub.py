"""Put a dataset, model or metric into a Hub repository: only what changed, private by default.

`huggingface_hub` does the transfer; an interrupted push continues when it is called again. What this module adds is
which files of a folder belong in the repository, a plan that can be read before anything is sent, and clear errors.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import get_session
from huggingface_hub.utils.sha import git_hash

from cytoimagenet_hf.core.boundary import explain
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path, file_sha256, inside, read_json_object
from cytoimagenet_hf.options.push import Upload

from .manifest import MANIFEST, find_problems, find_unlisted, read_published

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_CALLS = r"from_pretrained|load_dataset|load_cytoimagenet|load_encoder|load_backbone|pipeline|snapshot_download"
_PATIENCE = 5
"""Seconds for the Hub's first answer; its own client tries for 25."""


@dataclass(frozen=True)
class RepositoryKind:
    """How one kind of folder maps to a repository: its type there, the files that prove it, what travels."""

    repo_type: str
    needs: tuple[str, ...]
    travels: tuple[str, ...]


REPOSITORIES = {
    "dataset": RepositoryKind(
        "dataset",
        ("README.md", "data/*.parquet"),
        (
            *("README.md", "LICENSE.md", "croissant.json", "manifest.json", "eval.yaml"),
            *("*.summary.json", "rejected.parquet"),
            *("data/*.parquet", "channels/*.parquet", "toy_*/*.parquet", "figures/*.png"),
        ),
    ),
    "model": RepositoryKind(
        "model",
        ("config.json", "*.safetensors"),
        ("*.json", "*.safetensors", "*.md", "*.py", "*.png", ".eval_results/*.yaml"),
    ),
    "metric": RepositoryKind("space", ("README.md", "app.py"), ("*.py", "README.md", "requirements.txt")),
}
"""Kind of folder → its repository."""


CARD = "README.md"


@dataclass(frozen=True)
class PlannedFile:
    """One file of a push: its path in the repository, its size in bytes, and what is to be done.

    `status` is "new", "changed", "same", "deleted" or "not compared".
    """

    path: str
    size: int
    status: str


@dataclass(frozen=True)
class Pushed:
    """What a push did: its files, and the address of the pull request where one was opened."""

    files: list[PlannedFile]
    pull_request: str | None = None


def require_hub(name: str) -> None:
    """Refuse an impossible repository name at once, and a Hub that does not answer within seconds.

    Raises:
        InputError: what is wrong with the name, or with the connection.
    """
    if not _is_name(name):
        raise InputError(f"{name!r} is neither a folder nor a dataset on the Hub, whose names are OWNER/NAME")
    if not hub_answers():
        raise InputError(
            f"{name} is not a folder here, and the Hub at {constants.ENDPOINT} does not answer within {_PATIENCE} s: "
            "check the name and the connection; HF_HUB_OFFLINE=1 uses what was downloaded before"
        )


def hub_answers() -> bool:
    """Whether the Hub answers within seconds; True in offline mode, where it is not asked."""
    if constants.HF_HUB_OFFLINE:
        return True
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception as error:  # of whichever client the Hub's library uses
        if explain(error) is None:
            raise
        return False
    return True


def _require_name(name: str) -> None:
    if not _is_name(name):
        raise InputError(f"{name!r} is an invalid repository id: write OWNER/NAME")


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and ".." not in name and len(name) <= 96


def plan_push(
    folder: str | Path,
    repo_id: str,
    *,
    kind: str,
    revision: str = "main",
    compare: bool = True,
) -> list[PlannedFile]:
    """What a push would send, from comparing hashes with the repository.

    Args:
        folder: a built dataset, a saved model or a metric folder.
        repo_id: `"owner/name"`.
        kind: a key of `REPOSITORIES`.
        revision: branch to compare with.
        compare: False asks no repository: every file is "not compared".

    Raises:
        InputError: the folder is not of that kind, a file that would be sent is a link out of it, the data of a
            dataset are not what its manifest lists, or the repository cannot be asked.
    """
    local = _files_to_send(Path(folder), repo_id, kind)
    if not compare:
        return [PlannedFile(path, file.stat().st_size, "not compared") for path, file in local.items()]
    return _compared(local, repo_id, kind=kind, revision=revision)


def _files_to_send(folder: Path, repo_id: str, kind: str) -> dict[str, Path]:
    """Path in the repository → file, after everything that can be checked without the Hub; see `plan_push`."""
    local = _local_files(folder, kind)
    _require_name(repo_id)
    if kind == "dataset":
        _require_published(folder)
    return local


def _compared(local: Mapping[str, Path], repo_id: str, *, kind: str, revision: str) -> list[PlannedFile]:
    card = _named_card(local.get(CARD), kind, repo_id)
    remote = _remote_files(repo_id, REPOSITORIES[kind].repo_type, revision)
    planned = []
    for path, file in local.items():
        size = len(card) if path == CARD else file.stat().st_size
        status = "new"
        if expected := remote.get(path):
            content = card if path == CARD else b""
            actual = file_sha256(file) if len(expected) == 64 else git_hash(content or file.read_bytes())
            status = "same" if actual == expected else "changed"
        planned.append(PlannedFile(path, size, status))
    # A shard that the new build no longer has would be loaded beside the new ones.
    shards = [pattern for pattern in REPOSITORIES[kind].travels if pattern.endswith("/*.parquet")]
    stale = sorted(path for path in remote if path not in local and any(fnmatch(path, shard) for shard in shards))
    return planned + [PlannedFile(path, 0, "deleted") for path in stale]


def push(
    folder: str | Path,
    repo_id: str,
    *,
    kind: str,
    private: bool = True,
    upload: Upload | None = None,
) -> Pushed:
    """Create the repository if need be and upload what changed; call it again to continue an interrupted push.

    The code in the card of a model or dataset then names the repository, in the folder as well.

    Args:
        folder, repo_id, kind: as for `plan_push`.
        private: visibility of a repository that this call creates.
        upload: branch, message, pull request and tag; by default a commit on `main`.

    Returns:
        The plan that was carried out, and the pull request that it opened.

    Raises:
        InputError: as `plan_push`, before anything is sent; no right to write, or a tag that exists.
    """
    local = _files_to_send(Path(folder), repo_id, kind)
    require_hub(repo_id)
    upload = upload or Upload()
    address: str | None = None
    api = HfApi()
    repo_type = REPOSITORIES[kind].repo_type
    try:
        _create(api, repo_id, repo_type, private=private)
        if upload.revision != "main" and not upload.pull_request:
            api.create_branch(repo_id, branch=upload.revision, repo_type=repo_type, exist_ok=True)
        planned = _compared(local, repo_id, kind=kind, revision=upload.revision)
        sent = [file.path for file in planned if file.status in ("new", "changed")]
        stale = [file.path for file in planned if file.status == "deleted"]
        if sent or stale:
            with _card_named(Path(folder), kind, repo_id):
                commit = api.upload_folder(
                    repo_id=repo_id,
                    repo_type=repo_type,
                    folder_path=folder,
                    allow_patterns=[_literal(path) for path in sent],
                    delete_patterns=[_literal(path) for path in stale] or None,
                    commit_message=upload.message or f"Upload {kind}",
                    revision=upload.revision,
                    create_pr=upload.pull_request,
                )
            address = commit.pr_url if upload.pull_request else None
        if upload.tag is not None:
            api.create_tag(repo_id, tag=upload.tag, revision=upload.revision, repo_type=repo_type)
    except HfHubHTTPError as error:
        raise InputError(_explained(error, repo_id)) from error
    return Pushed(planned, address)


def _named_card(file: Path | None, kind: str, repo_id: str) -> bytes:
    """The card as it is sent; empty where there is none."""
    if file is None:
        return b""
    content = file.read_bytes()
    return content if kind == "metric" else rename_card(content.decode("utf-8"), repo_id).encode("utf-8")


def rename_card(text: str, name: str) -> str:
    """A card whose title, code and commands name the repository it stands in; everything else stays as it is.

    The name it had is that of its own code: the first repository or folder that is loaded there.

    Args:
        text: of a README.md, rendered or edited by hand.
        name: of the repository, `"owner/name"`.

    Example:
        >>> code = 'model = AutoModel.from_pretrained("one")  # one network'
        >>> card = f"# one\\n\\n```python\\n{code}\\n```\\n`--model one`"
        >>> print(rename_card(card, "me/b0"))
        # me/b0
        <BLANKLINE>
        ```python
        model = AutoModel.from_pretrained("me/b0")  # one network
        ```
        `--model me/b0`
    """
    call = re.search(rf"""(?:{_CALLS})\(\s*(["'])(?P<name>[^"'\n]+)\1""", text)
    if call is None:
        return text
    old = re.escape(call["name"])
    rules = (
        (rf"""((?:{_CALLS})\(\s*|\b(?:model|repo_id)\s*=\s*)(["']){old}\2""", r"\1\2{}\2"),
        (rf"""((?:--model|--encoder|--backbone|hf download)[ =]){old}(?![\w./-])""", r"\1{}"),
        (rf"(?m)^(# ){old}$", r"\1{}"),
        (rf"(?m)^(- name: |model_name: ){old}$", r"\1{}"),
    )
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement.format(name), text)
    return text


@contextmanager
def _card_named(folder: Path, kind: str, repo_id: str) -> Iterator[None]:
    """With a card that names the repository; a refused upload leaves the one that was there."""
    card = folder / CARD
    before = card.read_bytes() if card.is_file() else b""
    after = _named_card(card if before else None, kind, repo_id)
    if after == before:
        yield
        return
    _write(card, after)
    try:
        yield
    except BaseException:
        _write(card, before)
        raise


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def create_repository(repo_id: str, *, kind: str) -> None:
    """Create a private repository unless it is there, so that a long run is not refused at its end.

    Raises:
        InputError: no such name, no connection, or no right to write.
    """
    _require_name(repo_id)
    require_hub(repo_id)
    try:
        _create(HfApi(), repo_id, REPOSITORIES[kind].repo_type, private=True)
    except HfHubHTTPError as error:
        raise InputError(_explained(error, repo_id)) from error


def _create(api: HfApi, repo_id: str, repo_type: str, *, private: bool) -> None:
    options = {"space_sdk": "gradio"} if repo_type == "space" else {}
    api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True, **options)


def _literal(path: str) -> str:
    """A glob pattern that matches this path only."""
    return path.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")


def _local_files(folder: Path, kind: str) -> dict[str, Path]:
    """Path in the repository → file, for what travels."""
    if kind not in REPOSITORIES:
        raise InputError(f"no kind {kind!r}: choose {', '.join(REPOSITORIES)}")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    travels = REPOSITORIES[kind].travels
    names: list[str] = []
    for place, folders, files in os.walk(folder):  # links to folders are listed and not entered
        below = Path(place).relative_to(folder)
        linked = [name for name in folders if (folder / below / name).is_symlink()]
        names += [(below / name).as_posix() for name in (*files, *linked)]
    files_by_name = {}
    for name in sorted(names):
        path = folder / name
        if path.is_symlink() and (_is_sent(name, travels) or any(rule.startswith(f"{name}/") for rule in travels)):
            _require_inside(folder, name)
        if path.is_file():
            files_by_name[name] = path
    missing = [pattern for pattern in REPOSITORIES[kind].needs if not _matching(files_by_name, (pattern,))]
    if missing:
        raise InputError(f"{folder} is not a {kind}: it has no {', '.join(missing)}")
    if kind == "model":
        _require_all_weights(folder, files_by_name)
    return _matching(files_by_name, travels)


def _require_all_weights(folder: Path, files: Mapping[str, Path]) -> None:
    """Refuse a model whose index of sharded weights names a file that would not be sent with it."""
    for name in files:
        if name.endswith(".safetensors.index.json") and "/" not in name:
            shards = read_json_object(folder / name, remedy="save the model again").get("weight_map")
            named = set(shards.values()) if isinstance(shards, dict) else {None}
            if absent := sorted(str(shard) for shard in named if shard not in files):
                raise InputError(
                    f"{folder / name} names weights that are not beside it: {absent[0]}. Nothing was sent"
                )


def _require_inside(folder: Path, name: str) -> None:
    """Refuse a link out of a folder that is pushed: what is behind it may be a key, and nobody asked to publish it."""
    try:
        target = inside(folder, name)
    except InputError as error:
        raise InputError(
            f"{folder / name} is a link that leads out of the folder, so nothing was sent: put the file itself there, "
            "or remove the link"
        ) from error
    if target.is_dir():
        raise InputError(f"{folder / name} is a link to a folder, which a push does not follow: put the files there")


def _require_published(folder: Path) -> None:
    """Refuse a dataset whose data files are not those of its own manifest; one without a manifest passes."""
    manifest = folder / MANIFEST
    if not manifest.is_file() or "files" not in read_json_object(manifest, remedy="publish or download it again"):
        return  # others use the name for other things
    published = read_published(folder)
    listed = {**published.companions, **published.files}
    if problems := find_problems(folder, listed) | find_unlisted(folder, published):
        name, problem = min(problems.items())
        more = f" (and {len(problems) - 1} files more)" if len(problems) > 1 else ""
        raise InputError(
            f"{folder / name}: {problem}{more}. Nothing was sent: publish or download the dataset again; "
            f"python -m builder verify {folder} lists every such file"
        )


def _matching(files: dict[str, Path], patterns: Sequence[str]) -> dict[str, Path]:
    return {path: file for path, file in files.items() if _is_sent(path, patterns)}


def _is_sent(path: str, patterns: Sequence[str]) -> bool:
    # A pattern without a folder matches the top level only; fnmatch's `*` would cross folders.
    return any(fnmatch(path, pattern) and path.count("/") == pattern.count("/") for pattern in patterns)


def _remote_files(repo_id: str, repo_type: str, revision: str) -> dict[str, str]:
    """Path → SHA-256 (LFS) or git blob id of each file in the repository; empty when it does not exist yet."""
    try:
        tree = HfApi().list_repo_tree(repo_id, recursive=True, revision=revision, repo_type=repo_type)
        return {
            entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id for entry in tree if hasattr(entry, "lfs")
        }
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return {}
    except HfHubHTTPError as error:
        raise InputError(_explained(error, repo_id)) from error


def _explained(error: HfHubHTTPError, repo_id: str) -> str:
    """What a refusal means and what to do about it."""
    status = error.response.status_code if error.response is not None else None
    advice = {
        401: "log in first: hf auth login, or set HF_TOKEN",
        403: "the token may not write there: choose a token with write access, or another repository",
        404: "no such repository, or the token may not see it",
        409: "it exists already: choose another tag",
        412: "somebody else pushed meanwhile: push again",
    }
    return f"the Hub refused {repo_id} ({status}): {advice.get(status or 0, str(error))}"
