"""Are the files of a dataset repository those that were published, and do their pixels fit their rows?

Files are checked against `manifest.json`, the card against the classes and files that it must name; then every image
is decoded and compared with the `sha256` of its row.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData
from huggingface_hub.repocard import metadata_load
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import one_line
from cytoimagenet_hf.dataset.manifest import PublishedFiles, find_problems, find_unlisted, read_published
from cytoimagenet_hf.dataset.planes import planes_sha256, read_planes

from .decode import decode_stored

_COLUMNS = ["image_id", "sha256", "width", "height"]
_BATCH = 100  # images in memory at a time


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found: counts of what the manifest lists, and what is wrong."""

    files: int
    rows: int
    bytes: int
    images_decoded: int  # 0 in a quick check
    problems: dict[str, str]  # file → what is wrong with it

    @property
    def intact(self) -> bool:
        """Every file is the published one, and every image that was decoded fits its row."""
        return not self.problems


def verify(dataset_dir: Path, *, quick: bool = False) -> VerifyReport:
    """Compare the files of a dataset with its manifest, its card with both, and its images with their rows.

    Args:
        dataset_dir: a built dataset, or a download of one.
        quick: files only; images are not decoded.

    Raises:
        InputError: no manifest, or one that is damaged.
    """
    manifest = read_published(dataset_dir)
    listed = manifest.files
    problems = find_problems(dataset_dir, manifest.companions) | find_unlisted(dataset_dir, manifest)
    if problem := _card_problem(dataset_dir / "README.md", manifest):
        problems["README.md"] = problem
    with tqdm(total=sum(file.bytes for file in listed.values()), unit="B", unit_scale=True, disable=None) as bar:
        problems |= find_problems(dataset_dir, listed, progress=bar.update)
    sound = [name for name in sorted(listed) if name not in problems]
    decoded = 0
    if not quick:
        total = sum(listed[name].rows for name in sound)
        with tqdm(total=total, unit="image", desc="decode", disable=None) as bar:
            for name in sound:
                images, problem = _decoded(dataset_dir / name, bar)
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


def _card_problem(path: Path, manifest: PublishedFiles) -> str | None:
    """What is wrong with the header of the card, by which `load_dataset` names classes and finds files."""
    if not path.is_file():
        return "absent"
    try:
        card = DatasetCardData(**(metadata_load(path) or {}))
        infos = DatasetInfosDict.from_dataset_card_data(card)
        configurations = MetadataConfigs.from_dataset_card_data(card)
    except Exception as error:  # YAML and `datasets` raise whatever a header makes them stumble over
        return f"its header cannot be read: {one_line(error)}"
    features = infos["default"].features if "default" in infos else None
    names = getattr((features or {}).get("label"), "names", None)
    if names is None:
        return "its header names no classes"
    labels = list(manifest.labels)
    if names != labels:
        place = next((n for n, pair in enumerate(zip(names, labels, strict=False)) if pair[0] != pair[1]), None)
        if place is None:
            return f"it names {len(names):,} classes, the dataset has {len(labels):,}"
        return f"class {place} is called {names[place]!r}, in the dataset {labels[place]!r}"
    named = {path for of in configurations.values() for part in of.get("data_files", []) for path in part["path"]}
    if odd := sorted(named ^ set(manifest.files)):
        return (
            f"{odd[0]} is {'named but no file of the dataset' if odd[0] in named else 'a file that it does not name'}"
        )
    return None


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
