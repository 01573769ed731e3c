"""The files that `manifest.json` of a published dataset lists, and whether a folder holds these and no others.

`verify` of the builder asks it before it decodes images, `push` before anything is sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256, inside
from cytoimagenet_hf.core.jsontext import read_json_file

from .schema import FOLDERS

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ListedFile:
    """One file as it was published."""

    bytes: int
    sha256: str  # of its content, hexadecimal
    rows: int = 0  # images in it

    def __post_init__(self) -> None:
        if not (type(self.bytes) is type(self.rows) is int and isinstance(self.sha256, str)):
            raise TypeError("bytes and rows are numbers, sha256 is text")


@dataclass(frozen=True)
class PublishedFiles:
    """What a manifest lists, by names below the folder."""

    files: Mapping[str, ListedFile]  # images, planes and subsets
    companions: Mapping[str, ListedFile]  # what stands beside the data, but the card
    labels: tuple[str, ...]  # in the order of their codes


def read_published(folder: str | Path) -> PublishedFiles:
    """What the manifest of a folder lists.

    Raises:
        InputError: no manifest, one that is damaged, or one that names a file outside the folder.
    """
    path = Path(folder) / MANIFEST
    try:
        content = read_json_file(path)
        files = {**content["files"], **content.get("channels", {})}
        for of_subset in content.get("subsets", {}).values():
            files |= of_subset
        labels = tuple(content.get("labels", ()))
        if not all(isinstance(label, str) for label in labels):
            raise TypeError("labels are text")
        published = PublishedFiles(
            {name: ListedFile(facts["bytes"], facts["sha256"], facts["rows"]) for name, facts in files.items()},
            {
                name: ListedFile(facts["bytes"], facts["sha256"])
                for name, facts in content.get("companions", {}).items()
            },
            labels,
        )
    except FileNotFoundError:
        raise InputError(f"{path} is not there: is {path.parent} a published dataset?") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error!r}. Publish or download it again") from error
    for name in (*published.files, *published.companions):
        inside(folder, name)
    return published


def read_manifest(path: str | Path, *, revision: str | None = None) -> dict[str, Any]:
    """The `manifest.json` that `publish` wrote into a folder or repository; empty where there is none.

    Args:
        path: a built folder, or a Hub repository.
        revision: tag, branch or commit of the repository; the newest when None.
    """
    try:
        file = Path(path) / MANIFEST
        if not Path(path).is_dir():
            file = Path(hf_hub_download(str(path), MANIFEST, repo_type="dataset", revision=revision))
        content = read_json_file(file)
    except (OSError, ValueError):  # absent, or no such repository
        return {}
    # Others use the name for other things.
    keys = {"files", "labels", "class_counts", "statistics", "sources"}
    return content if isinstance(content, dict) and keys <= content.keys() else {}


def find_problems(
    folder: Path, listed: Mapping[str, ListedFile], *, progress: Callable[[int], object] = lambda size: None
) -> dict[str, str]:
    """Name → what is wrong with a listed file; those that are as published are left out.

    Args:
        folder: of the dataset.
        listed: name below the folder → the file as it was published.
        progress: is told the size of each file, in bytes, when it has been read.
    """
    problems = {}
    for name, file in sorted(listed.items()):
        if problem := _problem(folder / name, file):
            problems[name] = problem
        progress(file.bytes)
    return problems


def find_unlisted(folder: Path, published: PublishedFiles) -> dict[str, str]:
    """Name → what is wrong with a Parquet file that no manifest lists: loaders would read it as well."""
    files = sorted(path for name in FOLDERS for path in folder.glob(f"{name}/*.parquet"))
    names = [path.relative_to(folder).as_posix() for path in files]
    return {name: "not in the manifest: left by another build" for name in names if name not in published.files}


def _problem(path: Path, listed: ListedFile) -> str | None:
    if not path.is_file():
        return "absent"
    if (size := path.stat().st_size) != listed.bytes:
        return f"{size:,} bytes instead of {listed.bytes:,}: {'truncated' if size < listed.bytes else 'changed'}"
    return None if file_sha256(path) == listed.sha256 else "content differs from what was published"
