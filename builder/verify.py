"""Are the files of a dataset repository those that were published? Checks `data/` against `manifest.json`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import file_sha256, inside


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found; `problems` maps a file to what is wrong with it."""

    files: int
    rows: int
    bytes: int
    problems: dict[str, str]

    @property
    def intact(self) -> bool:
        """Every file is the published one."""
        return not self.problems


def verify(dataset_dir: Path) -> VerifyReport:
    """Compare the files of a dataset with the sizes and hashes of its manifest.

    Args:
        dataset_dir: a built dataset, or a download of one.

    Returns:
        The files, rows and bytes that the manifest lists, and for each file that is absent, of another size or
        content, or in `data/` without being listed, what is wrong.

    Raises:
        InputError: no manifest, or one that is damaged.
    """
    listed = _manifest(Path(dataset_dir) / "manifest.json")
    problems = {}
    with tqdm(total=sum(facts["bytes"] for facts in listed.values()), unit="B", unit_scale=True, disable=None) as bar:
        for name, facts in sorted(listed.items()):
            problem = _problem(inside(dataset_dir, name), facts)
            if problem:
                problems[name] = problem
            bar.update(facts["bytes"])
    for path in sorted(Path(dataset_dir).glob("data/*.parquet")):
        if f"data/{path.name}" not in listed:
            problems[f"data/{path.name}"] = "not in the manifest: left by another build"
    return VerifyReport(
        files=len(listed),
        rows=sum(facts["rows"] for facts in listed.values()),
        bytes=sum(facts["bytes"] for facts in listed.values()),
        problems=problems,
    )


def _manifest(path: Path) -> dict[str, dict[str, Any]]:
    try:
        files: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["files"]
        if not all({"bytes", "rows", "sha256"} <= set(facts) for facts in files.values()):
            raise KeyError("bytes, rows, sha256")
    except FileNotFoundError:
        raise InputError(f"{path} is not there: is {path.parent} a published dataset?") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error!r}. Publish or download it again") from error
    return files


def _problem(path: Path, facts: dict[str, Any]) -> str | None:
    if not path.is_file():
        return "absent"
    if (size := path.stat().st_size) != facts["bytes"]:
        return f"{size:,} bytes instead of {facts['bytes']:,}: {'truncated' if size < facts['bytes'] else 'changed'}"
    return None if file_sha256(path) == facts["sha256"] else "content differs from what was published"
