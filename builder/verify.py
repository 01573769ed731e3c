"""Are the files of a dataset repository those that were published, and do their pixels fit their rows?

Files are checked against `manifest.json`, then every image is decoded and compared with the `sha256` of its row.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256, inside
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.dataset.load import FOLDERS
from cytoimagenet_hf.dataset.planes import planes_sha256, read_planes

from .decode import decode_stored

_COLUMNS = ["image_id", "sha256", "width", "height"]
_BATCH = 100  # images in memory at a time


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        images_decoded: how many images were compared with their row; 0 in a quick check.
        problems: a file → what is wrong with it.
    """

    files: int
    rows: int
    bytes: int
    images_decoded: int
    problems: dict[str, str]

    @property
    def intact(self) -> bool:
        """Every file is the published one, and every image that was decoded fits its row."""
        return not self.problems


def verify(dataset_dir: Path, *, quick: bool = False) -> VerifyReport:
    """Compare the files of a dataset with its manifest, and its images with their rows.

    Args:
        dataset_dir: a built dataset, or a download of one.
        quick: files only; images are not decoded.

    Returns:
        The files, rows and bytes that the manifest lists, and for each file that is absent, of another size or
        content, in `data/` without being listed, or with images that contradict their rows, what is wrong.

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
    for path in sorted(path for name in FOLDERS for path in Path(dataset_dir).glob(f"{name}/*.parquet")):
        if f"{path.parent.name}/{path.name}" not in listed:
            problems[f"{path.parent.name}/{path.name}"] = "not in the manifest: left by another build"
    sound = [name for name in sorted(listed) if name not in problems]
    decoded = 0
    if not quick:
        total = sum(listed[name]["rows"] for name in sound)
        with tqdm(total=total, unit="image", desc="decode", disable=None) as bar:
            for name in sound:
                images, problem = _decoded(inside(dataset_dir, name), bar)
                decoded += images
                if problem:
                    problems[name] = problem
    return VerifyReport(
        files=len(listed),
        rows=sum(facts["rows"] for facts in listed.values()),
        bytes=sum(facts["bytes"] for facts in listed.values()),
        images_decoded=decoded,
        problems=problems,
    )


def _manifest(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = read_json_file(path)
        files: dict[str, dict[str, Any]] = content["files"] | content.get("channels", {})
        for of_subset in content.get("subsets", {}).values():
            files |= of_subset
        for facts in files.values():
            if not (type(facts["bytes"]) is type(facts["rows"]) is int and isinstance(facts["sha256"], str)):
                raise TypeError("bytes and rows are numbers, sha256 is text")
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


def _decoded(path: Path, bar: Any) -> tuple[int, str | None]:
    """Decode all images of a file: how many there are, and which contradict their rows."""
    count = 0
    wrong: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as decoders:
        for rows in _batches(path):
            count += len(rows)
            wrong += [words for words in decoders.map(_contradiction, rows) if words]
            bar.update(len(rows))
    if not wrong:
        return count, None
    return count, f"{len(wrong)} of its {count} images contradict their rows, the first: {wrong[0]}"


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    with pq.ParquetFile(path) as file:
        image = "planes" if "planes" in file.schema_arrow.names else "image"
        for batch in file.iter_batches(batch_size=_BATCH, columns=[image, *_COLUMNS]):
            yield pa.Table.from_batches([batch]).to_pylist()


def _contradiction(row: dict[str, Any]) -> str | None:
    try:
        planes = read_planes(row) if "planes" in row else [decode_stored(row["image"]["bytes"])]
    except Exception as error:  # decoders raise whatever their bytes made them stumble over
        return f"{row['image_id']} cannot be decoded: {error}"
    for height, width in {plane.shape[:2] for plane in planes} - {(row["height"], row["width"])}:
        return f"{row['image_id']} is {width} x {height}, not {row['width']} x {row['height']}"
    if planes_sha256(planes) != row["sha256"]:
        return f"{row['image_id']} has other pixels than its sha256"
    return None
