"""Are the files of a dataset repository those that were published, and do their pixels fit their rows?

Files are checked against `manifest.json`, the card against the classes and files that it must name; then every image
is decoded and compared with the `sha256` of its row.
"""

import os
from collections.abc import Iterator, Mapping
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

from cytoimagenet_hf.core.errors import InputError, one_line
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
        The data files, rows and bytes that the manifest lists, and for each file that is absent, of another size or
        content, in `data/` without being listed, or with images that contradict their rows, what is wrong; for the
        card (README.md), whether it names the classes in their order and the files.

    Raises:
        InputError: no manifest, or one that is damaged.
    """
    manifest = _read(Path(dataset_dir) / "manifest.json")
    listed, companions = _data_files(manifest), manifest.get("companions", {})
    problems = {
        name: problem
        for name, facts in sorted(companions.items())
        if (problem := _problem(inside(dataset_dir, name), facts))
    }
    if problem := _card_problem(Path(dataset_dir) / "README.md", manifest, listed):
        problems["README.md"] = problem
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


def _read(path: Path) -> dict[str, Any]:
    """The manifest, with the parts that are looked at in the form they must have."""
    try:
        content: dict[str, Any] = read_json_file(path)
        for facts in [*_data_files(content).values(), *content.get("companions", {}).values()]:
            if not (type(facts["bytes"]) is int and isinstance(facts["sha256"], str)):
                raise TypeError("bytes is a number, sha256 is text")
        if not all(type(facts["rows"]) is int for facts in _data_files(content).values()):
            raise TypeError("rows is a number")
        if not all(isinstance(label, str) for label in content.get("labels", ())):
            raise TypeError("labels are text")
    except FileNotFoundError:
        raise InputError(f"{path} is not there: is {path.parent} a published dataset?") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error!r}. Publish or download it again") from error
    return content


def _data_files(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    files: dict[str, dict[str, Any]] = manifest["files"] | manifest.get("channels", {})
    for of_subset in manifest.get("subsets", {}).values():
        files |= of_subset
    return files


def _card_problem(path: Path, manifest: Mapping[str, Any], listed: Mapping[str, Any]) -> str | None:
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
    labels = manifest.get("labels", [])
    if names != labels:
        place = next((n for n, pair in enumerate(zip(names, labels, strict=False)) if pair[0] != pair[1]), None)
        if place is None:
            return f"it names {len(names):,} classes, the dataset has {len(labels):,}"
        return f"class {place} is called {names[place]!r}, in the dataset {labels[place]!r}"
    named = {path for of in configurations.values() for part in of.get("data_files", []) for path in part["path"]}
    if odd := sorted(named ^ set(listed)):
        return (
            f"{odd[0]} is {'named but no file of the dataset' if odd[0] in named else 'a file that it does not name'}"
        )
    return None


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
