"""What stands beside the data of a dataset repository: manifest, card, picture, Croissant metadata and seal.

All are made from the rows of the dataset and the summaries of the stages, never typed by hand. The seal names the
rules, the shards, and the size and time of every file that came of them: while none has changed, nothing is written
again.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from builder.downloads import recorded_downloads
from builder.shard_files import ShardTask, file_stamps
from builder.sources import SOURCES
from builder.sources.base import Source
from builder.stage import VERSIONED, StageSummary, read_summary, require_summary
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path, file_sha256, read_json_object, write_json, write_text
from cytoimagenet_hf.core.versions import installed_versions
from cytoimagenet_hf.dataset.cards.croissant import croissant
from cytoimagenet_hf.dataset.cards.render import (
    LICENCE_FILE,
    CardSource,
    DatasetFacts,
    SplitFiles,
    dataset_card,
    dataset_licence,
    hub_licence,
    read_note,
)
from cytoimagenet_hf.dataset.manifest import read_manifest
from cytoimagenet_hf.dataset.schema import FOLDERS, dataset_features

from .figures import contact_sheet
from .files import DataFile

STAGES = ("annotate", "select", "render", "import", "publish")
"""The stages of a build in order; for the published archive, `import` takes the place of those before it."""

VERSION = 1
"""Of the layout: what files there are, and what their columns mean."""

SEAL = "publish.seal.json"
_SHEET = "figures/contact_sheet.png"
_COMPANIONS = ("rejected.parquet", "croissant.json", _SHEET)
_PICTURES = {"A few images of up to forty classes, one class a row": _SHEET}


def write_companions(
    output: Path,
    files: Mapping[str, Sequence[DataFile]],
    kept: pa.Table,
    *,
    labels: Sequence[str],
    seed: int,
    channels: Sequence[DataFile] = (),
    registry: Mapping[str, Source] = SOURCES,
) -> None:
    """Everything that stands beside the data; the card comes last, so that what has one is complete.

    Args:
        output: the dataset repository, its data in place.
        files: folder → its files: `data`, and each subset.
        kept: the rows of the dataset, without images.
        labels: class names in the order of their codes.
        seed: of the images on the contact sheet.
        channels: files of the configuration `channels`, if planes were kept.
        registry: the sources that facts are known of.
    """
    listed = _listed(output, "data", files["data"])
    for file in files["data"]:
        listed[f"data/{file.name}"]["published_split"] = file.cell[1]
    sources = _sources(kept, registry)
    content = {
        "version": VERSION,
        "files": listed,
        "channels": _listed(output, "channels", channels),
        "subsets": {folder: _listed(output, folder, of) for folder, of in files.items() if folder != "data"},
        "labels": list(labels),
        "class_counts": _counts(kept["label"]),
        "statistics": _statistics(kept) | {"images_by_source": _counts(kept["dir_name"])},
        "sources": [asdict(source) for source in sources],
        "downloads": recorded_downloads(output),
    }
    write_json(output / "manifest.json", content)
    with atomic_path(output / _SHEET) as temporary:
        contact_sheet(output, seed=seed).save(temporary, format="png")
    metadata = croissant(
        features=dataset_features(labels),
        splits=[split.name for split in _splits(listed, "split")],
        licence=hub_licence(source.licence for source in sources),
        version=f"{VERSION}.0.0",
        date=datetime.now(UTC).date().isoformat(),
    )
    write_json(output / "croissant.json", metadata)
    list_companions(output)
    write_card(output)


def _listed(output: Path, folder: str, files: Sequence[DataFile]) -> dict[str, dict[str, Any]]:
    listed = {}
    for file in files:
        path = output / folder / file.name
        listed[f"{folder}/{file.name}"] = {
            "bytes": path.stat().st_size,
            "rows": file.rows,
            "sha256": file_sha256(path),
            "split": file.cell[0],
        }
    return listed


def _statistics(kept: pa.Table) -> dict[str, dict[str, int]]:
    classes = set(zip(kept["category"].to_pylist(), kept["label"].to_pylist(), strict=True))
    return {
        "images_by_category": _counts(kept["category"]),
        "classes_by_category": dict(sorted(Counter(category for category, _ in classes).items())),
        "images_by_database": _counts(kept["database"]),
    }


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted((str(name), count) for name, count in Counter(column.to_pylist()).items()))


def list_companions(output: Path) -> None:
    """Add to manifest.json what stands beside the data: rejections, metadata, pictures, but not the card."""
    paths = [output / name for name in _COMPANIONS if (output / name).exists()]
    companions = {
        path.relative_to(output).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in paths
    }
    manifest = _manifest(output)
    if manifest.get("companions") != companions:
        write_json(output / "manifest.json", manifest | {"companions": companions})


def write_card(output: Path) -> None:
    """README.md, the card of a published dataset, and LICENSE.md; call it again when the template has changed."""
    sources = [CardSource(**source) for source in _manifest(output)["sources"]]
    write_text(output / LICENCE_FILE, dataset_licence(sources))
    write_text(output / "README.md", card(output))


def card(output: Path) -> str:
    """The card, from the manifest and the summaries of all stages."""
    manifest = _manifest(output)
    summaries = {
        stage: asdict(require_summary(output, stage))
        for stage in STAGES
        if (output / f"{stage}.summary.json").exists()
    }
    last: dict[str, Any] = next(reversed(summaries.values()), {})
    leaks = last.get("details", {}).get("leaks", {})
    statistics = {name: counts for name, counts in manifest["statistics"].items() if name != "images_by_source"}
    facts = DatasetFacts(
        features=dataset_features(manifest["labels"]),
        splits=_splits(manifest["files"], "split"),
        published_splits=_splits(manifest["files"], "published_split"),
        channel_splits=_splits(manifest.get("channels", {}), "split"),
        subset_splits={name: _splits(of, "split") for name, of in manifest.get("subsets", {}).items()},
        sources=[CardSource(**source) for source in manifest["sources"]],
        summaries=summaries,
        statistics=statistics,
        leaks={name: count for name, count in leaks.items() if isinstance(count, int)},
        figures={caption: name for caption, name in _PICTURES.items() if (output / name).exists()},
        note=read_note(output),
    )
    return dataset_card(facts)


def _manifest(output: Path) -> dict[str, Any]:
    manifest = read_manifest(output)
    if not manifest:
        raise InputError(f"{output} holds no manifest.json: publish the dataset first")
    return manifest


def _splits(files: Mapping[str, Mapping[str, Any]], scheme: str) -> list[SplitFiles]:
    """The splits of a scheme, `split` or `published_split`, as lists of files."""
    parts = []
    for split in ("train", "validation"):
        split_files = {name: facts for name, facts in sorted(files.items()) if facts[scheme] == split}
        if split_files:
            rows, size = (sum(facts[count] for facts in split_files.values()) for count in ("rows", "bytes"))
            parts.append(SplitFiles(split, tuple(split_files), rows, size))
    return parts


def _sources(kept: pa.Table, registry: Mapping[str, Source]) -> list[CardSource]:
    """The facts of each source in the dataset."""
    rows = kept.select(["dir_name", "name", "database", "licence"])
    facts = rows.group_by("dir_name").aggregate([(name, "min") for name in ("name", "database", "licence")])
    images = _counts(kept["dir_name"])
    sources = []
    for row in facts.sort_by("dir_name").to_pylist():  # grouping is threaded: its order is not the same twice
        source = registry.get(row["dir_name"])
        sources.append(
            CardSource(
                dir_name=row["dir_name"],
                name=row["name_min"] or row["dir_name"],
                database=row["database_min"] or "unknown",
                licence=row["licence_min"] or "unverified",
                link=source.link if source else "",
                citation=source.citation if source else "",
                images=images[row["dir_name"]],
            )
        )
    return sources


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
    is_unchanged = seal == {"inputs": inputs, "files": _stamps(output)}
    return read_summary(output, "publish") if is_unchanged else None


def write_seal(output: Path, inputs: dict[str, Any]) -> None:
    """Say what the files that are there now were made from."""
    write_json(output / SEAL, {"inputs": inputs, "files": _stamps(output)})


def _stamps(output: Path) -> dict[str, str | None]:
    folders = (path for name in (*FOLDERS, "figures") for path in (output / name).rglob("*") if path.is_file())
    paths = [*sorted(folders), *(output / name for name in ("manifest.json", "croissant.json"))]
    return {path.relative_to(output).as_posix(): stamp for path, stamp in zip(paths, file_stamps(paths), strict=True)}
