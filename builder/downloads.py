"""What was downloaded of a source, so that a dataset says what it was made from and a download can be checked.

Tables and lists are hashed; images, which may be terabytes, by their names and sizes. Folders do not count:
the same download unpacked elsewhere is the same download. `annotate` records this, `publish` puts it into the
manifest, `doctor --dataset` compares.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256, read_json_object
from cytoimagenet_hf.dataset.manifest import read_manifest

from .sources.base import Archive

_MOST_BYTES = 1 << 30  # of a file that is hashed: larger ones are archives left beside what was unpacked from them


@dataclass(frozen=True)
class Download:
    """The files of one source."""

    images: int  # files that are images, whether a field names them or not
    bytes: int  # of those images
    listing: str  # SHA-256 of the sorted names and sizes of the images
    tables: dict[str, str]  # name → SHA-256 of every other file; of files of one name, of their sorted hashes
    citation: str


def describe_download(archive: Archive) -> Download:
    """Look at every file of a source once; images are not opened."""
    images = frozenset(archive.images)
    sizes: list[tuple[str, int]] = []
    hashes: dict[str, list[str]] = {}
    for name in archive.files:
        path, last = archive.root / name, name.rpartition("/")[2].lower()
        try:
            size = path.stat().st_size
            if name in images:
                sizes.append((last, size))
            elif size <= _MOST_BYTES:
                hashes.setdefault(last, []).append(file_sha256(path))
        except OSError as error:
            raise InputError(f"{archive.source.dir_name}: cannot read {path}: {error.strerror}") from error
    return Download(
        images=len(sizes),
        bytes=sum(size for _, size in sizes),
        listing=_digest(f"{name}\t{size}" for name, size in sorted(sizes)),
        tables={
            name: digests[0] if len(digests) == 1 else _digest(sorted(digests))
            for name, digests in sorted(hashes.items())
        },
        citation=archive.source.citation,
    )


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def recorded_downloads(output: Path) -> dict[str, dict[str, Any]]:
    """Source → `Download` as a mapping, from the summary that `annotate` left in a build; empty without one."""
    path = output / "annotate.summary.json"
    if not path.is_file():
        return {}
    details = read_json_object(path, remedy="run `python -m builder annotate` again").get("details")
    downloads = details.get("downloads", {}) if isinstance(details, dict) else None
    if not isinstance(downloads, dict):
        raise InputError(f"{path} is damaged (it says nothing of downloads): run `python -m builder annotate` again")
    return downloads


def downloads_of(dataset: Path) -> dict[str, Download]:
    """What a dataset was made from, by its manifest."""
    recorded = read_manifest(dataset).get("downloads")
    if not isinstance(recorded, Mapping) or not recorded:
        raise InputError(f"{dataset} has no manifest that says what was downloaded: build or publish it again")
    try:
        return {name: Download(**content) for name, content in recorded.items()}
    except TypeError as error:
        raise InputError(f"{dataset}: its manifest records downloads in another form: {error}") from error


def changes(recorded: Download, present: Download) -> tuple[str, ...]:
    """What differs between the download a dataset was made from and another, in sentences."""
    sentences = []
    for name in sorted(recorded.tables.keys() | present.tables.keys()):
        if name not in present.tables:
            sentences.append(f"{name} was part of the download and is missing")
        elif name not in recorded.tables:
            sentences.append(f"{name} was not part of the download")
        elif recorded.tables[name] != present.tables[name]:
            sentences.append(f"{name} has other content than the one the dataset was made from")
    if recorded.listing != present.listing:
        sentences.append(
            f"images differ in name or size: {present.images:,} of {present.bytes / 1e6:,.1f} MB here, "
            f"{recorded.images:,} of {recorded.bytes / 1e6:,.1f} MB then"
        )
    return tuple(sentences)
