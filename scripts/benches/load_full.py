"""A dataset of the published size, with tiny images, as people open it: seconds and peak memory of each way."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from builder.publish.figures import contact_sheet
from builder.render.shard import SHARD_SCHEMA
from cytoimagenet_hf.dataset.schema import SUBSETS
from cytoimagenet_hf.imaging import encode_png

from .common import in_child
from .images import publish_rows

_SHARD_ROWS = 20_000


def measure(*, images: int, classes: int) -> dict[str, Any]:
    """Write the dataset, then open it in each way in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        # What other runs left in the cache would be found there, and what this one leaves would stay.
        os.environ["HF_DATASETS_CACHE"] = str(Path(name) / "cache")
        folder = Path(name) / "cytoimagenet"
        started = time.perf_counter()
        write_full(folder, images=images, classes=classes)
        writing = time.perf_counter() - started
        table = []
        for what in WAYS:
            child = in_child(_opened, what, str(folder))
            row = {"what": what, "seconds": child.seconds, "peak MB": child.peak_mb, "own MB": child.own_mb}
            table.append(row | {"what came": child.result})
        size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
        card = (folder / "README.md").stat().st_size
    return {
        "name": "load_full",
        "table": table,
        "options": {"full": True, "images": images, "classes": classes},
        "notes": [
            f"{images:,} images of 8 x 8 pixels: what is left is the work per row. Writing them took {writing:.0f} s; "
            f"the files hold {size / 1e6:.0f} MB, the card {card / 1e3:.0f} KB.",
            "load_dataset copies the files into its cache once. load_cytoimagenet, the explorer and training write an "
            "index of all columns but the pictures, which stay where they are; the first of them here is the subset "
            "by 20 labels. A stream copies nothing.",
            "toy_20 and toy_50 have files of their own and read nothing else. A subset by labels is rows of the "
            "index; streamed it reads all files: with whole images a pass over 56 GB.",
            "Each line is a process of its own; its memory includes the interpreter and what it imports. `own` leaves "
            "out mapped files, whose pages the system takes back when it needs them.",
        ],
    }


def write_full(folder: Path, *, images: int, classes: int) -> None:
    """A dataset as `publish` writes it: all names of the subsets among the classes, crops of four to a field."""
    toys = sorted({name for names in SUBSETS.values() for name in names})
    labels = sorted([*toys, *(f"label {number:03d}" for number in range(classes - len(toys)))])
    folder.mkdir(parents=True)
    shards = []
    with tempfile.TemporaryDirectory() as name:
        for start in range(0, images, _SHARD_ROWS):
            shards.append(Path(name) / f"shard-{start:07d}.parquet")
            numbers = np.arange(start, min(images, start + _SHARD_ROWS))
            rows = [_row(number, labels) for number in numbers.tolist()]
            pq.write_table(pa.Table.from_pylist(rows, schema=SHARD_SCHEMA), shards[-1])
        fields, rng = np.arange(images) // classes // 4, np.random.default_rng(0)
        by_field, by_row = rng.random(fields.max() + 1), rng.random(images)
        by_field[0] = 0  # however few there are, both sides have images
        splits = [np.where(share < 0.1, "validation", "train").tolist() for share in (by_field[fields], by_row)]
        publish_rows(folder, shards, labels, splits=splits)


def _row(number: int, labels: list[str]) -> dict[str, Any]:
    code, copy = number % len(labels), number // len(labels)
    source = ("rec_rxrx1", "idr0088", "bbbc022", "kag_hpa", "idr0080")[code % 5]
    content = encode_png(np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8))
    row = {"image_id": f"{source}-{code:03d}-{copy:05d}", "idx": f"{source}-{code:03d}-{copy // 4:05d}"}
    row |= {"label": labels[code], "category": "compound", "compound": labels[code], "organism": "human"}
    row |= {"dir_name": source, "database": "Database", "name": source, "licence": "cc0", "microscopy": "fluorescence"}
    row |= {"cell_type": "u2os", "channels": "nucleus|actin", "crop": copy % 5 > 0, "scaling": 0.5}
    row |= {
        "plate": f"p{copy % 40}",
        "well": "B02",
        "site": "1",
        "sha256": f"{number:064x}",
        "dhash": f"{number:032x}",
    }
    row |= {"width": 8, "height": 8, "png_bytes": len(content), "image": {"bytes": content, "path": None}}
    return {name: row.get(name) for name in SHARD_SCHEMA.names}


def _opened(what: str, folder: str) -> str:
    """Open the dataset in one of the ways, in a process of its own: what is imported on the way counts."""
    return str(WAYS[what](folder))


def _hf() -> Any:
    import datasets

    return datasets


def _ours() -> Any:
    from cytoimagenet_hf.dataset.load import load_cytoimagenet

    return load_cytoimagenet


def _splits(folder: str) -> dict[str, int]:
    return {name: len(part) for name, part in _hf().load_dataset(folder).items()}


def _middle(folder: str) -> tuple[int, int]:
    part = _hf().load_dataset(folder, split="train")
    return tuple(part[len(part) // 2]["image"].size)


def _first(folder: str, name: str | None = None) -> str:
    return str(next(iter(_hf().load_dataset(folder, name, split="train", streaming=True)))["image_id"])


def _epoch(folder: str) -> str:
    rows = _ours()(folder, subset=SUBSETS["toy_20"], split="train", streaming=True)
    return f"{sum(1 for _ in rows)} images"


def _leaks(folder: str) -> str:
    from cytoimagenet_hf.dataset.leaks import leak_report

    report = leak_report(_hf().load_dataset(folder))
    return f"{report.groups} fields, leak-free: {report.leak_free}"


def _explorer(folder: str) -> str:
    from cytoimagenet_hf.explore.gallery import Gallery

    return f"{len(Gallery(folder, limit=2000).rows)} images"


def _tables(folder: str) -> dict[str, int]:
    from cytoimagenet_hf.training import TrainConfig
    from cytoimagenet_hf.training.tables import load_tables

    return {name: len(part) for name, part in load_tables(TrainConfig(dataset=folder, output="unused")).items()}


def _shape(loaded: Any) -> str:
    return f"{len(loaded)} images in {len(loaded.features['label'].names)} classes"


WAYS: dict[str, Callable[[str], object]] = {
    "load_dataset, the first time": _splits,
    "load_dataset, again": _splits,
    "a row of it, by position": _middle,
    "stream: the first row": _first,
    "load_dataset, toy_20": lambda folder: _shape(_hf().load_dataset(folder, "toy_20", split="train")),
    "stream toy_20: the first row": lambda folder: _first(folder, "toy_20"),
    "load_cytoimagenet, subset toy_20": lambda folder: _shape(_ours()(folder, subset="toy_20", split="train")),
    "load_cytoimagenet, subset by 20 labels": lambda folder: _shape(
        _ours()(folder, subset=SUBSETS["toy_20"], split="train")
    ),
    "stream a subset by 20 labels: an epoch": _epoch,
    "leak report": _leaks,
    "explorer, 2000 images, the first time": _explorer,
    "explorer, 2000 images, again": _explorer,
    "the trainer's tables": _tables,
    "contact sheet": lambda folder: contact_sheet(folder, seed=0).size,
}
"""What is timed → how."""
