"""What stands beside the data of a dataset repository: the manifest, the card, its picture and Croissant metadata.

All are made from the rows of the dataset and the summaries of the stages, never typed by hand.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features

from cytoimagenet_hf.cards import SplitFiles, dataset_card, hub_licence
from cytoimagenet_hf.croissant import croissant
from cytoimagenet_hf.files import atomic_path, file_sha256, write_json

from .data_files import DataFile
from .figures import contact_sheet

STAGES = ("annotate", "select", "render", "publish", "import")
"""The stages of a build in order, and the one that takes their place for the published archive."""

VERSION = 1
"""Of the layout: what files there are, and what their columns mean."""


def write_manifest(output: Path, files: Sequence[DataFile], kept: pa.Table) -> None:
    """manifest.json: what `verify` checks the repository against."""
    listed = {}
    for file in files:
        path = output / "data" / file.name
        listed[f"data/{file.name}"] = {"bytes": path.stat().st_size, "rows": file.rows, "sha256": file_sha256(path)}
    content = {
        "version": VERSION,
        "files": listed,
        "class_counts": _counts(kept["label"]),
        "statistics": _statistics(kept) | {"images_by_source": _counts(kept["dir_name"])},
    }
    write_json(output / "manifest.json", content)


def _statistics(kept: pa.Table) -> dict[str, dict[str, int]]:
    classes = set(zip(kept["category"].to_pylist(), kept["label"].to_pylist(), strict=True))
    return {
        "images_by_category": _counts(kept["category"]),
        "classes_by_category": dict(sorted(Counter(category for category, _ in classes).items())),
        "images_by_database": _counts(kept["database"]),
    }


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted((str(name), count) for name, count in Counter(column.to_pylist()).items()))


def write_card(
    output: Path,
    files: Sequence[DataFile],
    kept: pa.Table,
    *,
    features: Features,
    leaks: Mapping[str, Any],
    seed: int,
) -> None:
    """README.md and croissant.json, from the summaries of all stages and the rows of the dataset, and a picture.

    Args:
        output: the dataset repository, its data in place.
        files: of the data.
        kept: the rows of the dataset, without images.
        features: of the dataset.
        leaks: the leak report of the stored split.
        seed: chooses the images of the picture.
    """
    sources = _sources(kept)
    splits = _split_files(output, files, 0)
    picture = output / "figures" / "contact_sheet.png"
    with atomic_path(picture) as temporary:
        contact_sheet(output, seed=seed).save(temporary, format="png")
    metadata = croissant(
        features=features,
        splits=[split.name for split in splits],
        licence=hub_licence(sources),
        version=f"{VERSION}.0.0",
        date=datetime.now(timezone.utc).date().isoformat(),
    )
    write_json(output / "croissant.json", metadata)
    summaries = {
        stage: json.loads(path.read_text(encoding="utf-8"))
        for stage in STAGES
        if (path := output / f"{stage}.summary.json").exists()
    }
    card = dataset_card(
        features=features,
        splits=splits,
        published_splits=_split_files(output, files, 1),
        sources=sources,
        summaries=summaries,
        statistics=_statistics(kept),
        leaks={name: count for name, count in leaks.items() if isinstance(count, int)},
        figures={"A few images of up to forty classes, one class a row": picture.relative_to(output).as_posix()},
    )
    with atomic_path(output / "README.md") as temporary:
        temporary.write_text(card, encoding="utf-8")


def _split_files(output: Path, files: Sequence[DataFile], side: int) -> list[SplitFiles]:
    """The splits as lists of files: `side` 0 is the stored split, 1 the published one."""
    found = []
    for split in ("train", "validation"):
        own = [file for file in files if file.cell[side] == split]
        size = sum((output / "data" / file.name).stat().st_size for file in own)
        if own:
            paths = tuple(f"data/{file.name}" for file in own)
            found.append(SplitFiles(split, paths, sum(file.rows for file in own), size))
    return found


def _sources(kept: pa.Table) -> list[dict[str, Any]]:
    """The facts of each source in the dataset, for the card."""
    from .sources import SOURCES  # forty modules, needed here alone

    rows = kept.select(["dir_name", "name", "database", "licence"])
    facts = rows.group_by("dir_name").aggregate([(name, "min") for name in ("name", "database", "licence")])
    images = _counts(kept["dir_name"])
    found = []
    for row in facts.to_pylist():
        known = SOURCES.get(row["dir_name"])
        found.append(
            {
                "dir_name": row["dir_name"],
                "name": row["name_min"] or row["dir_name"],
                "database": row["database_min"] or "unknown",
                "licence": row["licence_min"] or "unverified",
                "link": known.link if known else "",
                "citation": known.citation if known else "",
                "images": images[row["dir_name"]],
            }
        )
    return found
