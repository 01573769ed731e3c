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

from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.dataset.manifest import foreign_files, problem_of, read_listed_files
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
    listed = read_listed_files(dataset_dir)
    problems = {}
    with tqdm(total=sum(file.bytes for file in listed.values()), unit="B", unit_scale=True, disable=None) as bar:
        for name, file in sorted(listed.items()):
            problem = problem_of(inside(dataset_dir, name), file)
            if problem:
                problems[name] = problem
            bar.update(file.bytes)
    for name in foreign_files(dataset_dir, listed):
        problems[name] = "not in the manifest: left by another build"
    sound = [name for name in sorted(listed) if name not in problems]
    decoded = 0
    if not quick:
        total = sum(listed[name].rows for name in sound)
        with tqdm(total=total, unit="image", desc="decode", disable=None) as bar:
            for name in sound:
                images, problem = _decoded(inside(dataset_dir, name), bar)
                decoded += images
                if problem:
                    problems[name] = problem
    return VerifyReport(
        files=len(listed),
        rows=sum(file.rows for file in listed.values()),
        bytes=sum(file.bytes for file in listed.values()),
        images_decoded=decoded,
        problems=problems,
    )


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
