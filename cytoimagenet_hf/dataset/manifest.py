"""The files that `manifest.json` of a published dataset lists, and whether a folder holds these and no others.

`verify` of the builder asks it before it decodes images, `push` before anything is sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256, inside
from cytoimagenet_hf.core.jsontext import read_json_file

from .schema import FOLDERS

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ListedFile:
    """One data file as it was published.

    Attributes:
        bytes: its size.
        rows: images in it.
        sha256: of its content, hexadecimal.
    """

    bytes: int
    rows: int
    sha256: str


def read_listed_files(folder: str | Path) -> dict[str, ListedFile]:
    """Name below the folder → what was published, for the data, the planes and the subsets.

    Raises:
        InputError: no manifest, one that is damaged, or one that names a file outside the folder.
    """
    path = Path(folder) / MANIFEST
    try:
        content = read_json_file(path)
        listed = dict(content["files"])
        for more in (content.get("channels", {}), *content.get("subsets", {}).values()):
            listed |= more
        files = {name: ListedFile(facts["bytes"], facts["rows"], facts["sha256"]) for name, facts in listed.items()}
        for file in files.values():
            if not (type(file.bytes) is type(file.rows) is int and isinstance(file.sha256, str)):
                raise TypeError("bytes and rows are numbers, sha256 is text")
    except FileNotFoundError:
        raise InputError(f"{path} is not there: is {path.parent} a published dataset?") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error!r}. Publish or download it again") from error
    for name in files:
        inside(folder, name)
    return files


def problem_of(path: Path, listed: ListedFile) -> str | None:
    """What is wrong with a file; None where it is the published one."""
    if not path.is_file():
        return "absent"
    if (size := path.stat().st_size) != listed.bytes:
        return f"{size:,} bytes instead of {listed.bytes:,}: {'truncated' if size < listed.bytes else 'changed'}"
    return None if file_sha256(path) == listed.sha256 else "content differs from what was published"


def foreign_files(folder: str | Path, listed: dict[str, ListedFile]) -> Iterator[str]:
    """Data files that the manifest does not list: whoever loads the folder would read them beside its own."""
    for path in sorted(path for name in FOLDERS for path in Path(folder).glob(f"{name}/*.parquet")):
        if (name := f"{path.parent.name}/{path.name}") not in listed:
            yield name
