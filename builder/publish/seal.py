"""What a dataset was published from, beside what was published: while neither has changed, nothing is written again.

`publish.seal.json` names the rules, the shards and the size and time of every file that came of them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from builder.downloads import recorded_downloads
from builder.shard_files import ShardTask, file_stamps
from builder.stage import VERSIONED, StageSummary, read_summary
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import read_json_object, write_json
from cytoimagenet_hf.core.versions import installed_versions
from cytoimagenet_hf.dataset.schema import FOLDERS

SEAL = "publish.seal.json"
_BESIDE = ("manifest.json", "croissant.json")


def describe_inputs(output: Path, tasks: Sequence[ShardTask], rules: dict[str, Any]) -> dict[str, Any]:
    """What the files of a dataset depend on, as plain JSON values; `rules` are everything that the caller chose."""
    shards = hashlib.sha256()
    for task in tasks:
        paths = [task.path, *([task.channels_path] if task.keep_channels else [])]
        shards.update(repr((task.plan_id, file_stamps(paths))).encode())
    return {
        "rules": rules,
        "shards": shards.hexdigest(),
        "downloads": recorded_downloads(output),
        "versions": installed_versions(VERSIONED),
    }


def published_summary(output: Path, inputs: dict[str, Any]) -> StageSummary | None:
    """The earlier summary if neither the inputs nor the files have changed, else None."""
    try:
        seal = read_json_object(output / SEAL)
    except InputError:
        return None
    is_unchanged = seal == {"inputs": inputs, "files": _files(output)}
    return read_summary(output, "publish") if is_unchanged else None


def write_seal(output: Path, inputs: dict[str, Any]) -> None:
    """Say what the files that are there now were made from."""
    write_json(output / SEAL, {"inputs": inputs, "files": _files(output)})


def _files(output: Path) -> dict[str, str | None]:
    folders = (path for name in (*FOLDERS, "figures") for path in (output / name).rglob("*") if path.is_file())
    paths = [*sorted(folders), *(output / name for name in _BESIDE)]
    return {path.relative_to(output).as_posix(): stamp for path, stamp in zip(paths, file_stamps(paths), strict=True)}
