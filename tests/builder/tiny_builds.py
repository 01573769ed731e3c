"""Small archives and the tables of the stages before rendering, written directly."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile

from builder.stage import StageSummary
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA, SELECTION_SCHEMA

STAINS = ["nucleus", "actin"]


def cells(seed: int, *, side: int = 150, channels: int = 2) -> list[np.ndarray]:
    """Channels of bright blobs on a noisy 12-bit background; one at least in each quarter."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    quarters = np.array([(y, x) for y in (1, 3) for x in (1, 3)]) * side // 4
    centres = np.concatenate([rng.integers(0, side, (12, 2)), quarters])
    blobs = sum(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 120) for y, x in centres)
    return [
        np.clip(150 + 1500 * blobs * (c + 1) / channels + rng.normal(0, 25, blobs.shape), 0, 4095).astype(np.uint16)
        for c in range(channels)
    ]


def annotation(idx: str, files: list[str], **columns: object) -> dict[str, object]:
    """A row of annotations.parquet; what is not given is unknown."""
    row = dict.fromkeys(ANNOTATION_SCHEMA.names)
    row |= {"idx": idx, "dir_name": idx.split("-")[0], "channel_files": files, "channels": STAINS[: len(files)]}
    row |= {"database": "Test", "name": "Tiny", "organism": "human", "licence": "cc0", "path": "tiny", "field": idx}
    return row | columns


def write_annotations(output: Path, table: pd.DataFrame, **columns: object) -> None:
    """annotations.parquet of a frame, in small row groups; what it does not hold is unknown."""
    table = table.assign(**columns)
    arrays = [pa.array(table.get(f.name, [None] * len(table)), f.type, from_pandas=True) for f in ANNOTATION_SCHEMA]
    pq.write_table(pa.table(arrays, schema=ANNOTATION_SCHEMA), output / "annotations.parquet", row_group_size=37)


def write_tables(output: Path, annotations: list[dict[str, object]], labels: dict[str, str]) -> None:
    """annotations.parquet and selection.parquet of a build whose selection is `labels` (idx → label)."""
    output.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(annotations, schema=ANNOTATION_SCHEMA), output / "annotations.parquet")
    rows = [{"idx": idx, "label": label, "category": "compound"} for idx, label in sorted(labels.items())]
    pq.write_table(pa.Table.from_pylist(rows, schema=SELECTION_SCHEMA), output / "selection.parquet")


def tiny_build(
    root: Path, *, fields: int = 12, side: int = 150, labels: int = 2, plates: int = 3
) -> tuple[Path, Path]:
    """An archive of two-channel fields and their tables: (raw, output)."""
    raw, output = root / "raw", root / "output"
    (raw / "tiny").mkdir(parents=True, exist_ok=True)
    annotations = []
    chosen = {}
    for number in range(fields):
        idx = f"tiny-{number:04d}"
        files = [f"tiny/{idx}_w{channel}.tif" for channel in range(2)]
        for file, image in zip(files, cells(number, side=side), strict=True):
            tifffile.imwrite(raw / file, image)
        annotations.append(
            annotation(idx, files, plate=f"p{number % plates}", well=f"A{number % 12 + 1:02d}", site="1")
        )
        chosen[idx] = f"drug {number % labels}"
    write_tables(output, annotations, chosen)
    return raw, output


def rendered_images(output: Path) -> dict[str, dict]:
    """Rows of all shards by image_id."""
    rows = [row for path in sorted(output.glob("shards/shard-*.parquet")) for row in pq.read_table(path).to_pylist()]
    images = {row["image_id"]: row for row in rows}
    if len(images) != len(rows):
        raise AssertionError("an image_id occurs twice")
    return images


def stated(summary: StageSummary) -> dict:
    """What a summary says, as its file does; the seconds apart."""
    return json.loads(json.dumps(asdict(summary))) | {"seconds": 0}
