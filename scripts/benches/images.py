"""Datasets for benchmarks: noise blobs as PNG in Parquet, and rows as `publish` writes them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import datasets as hf
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from builder.publish.data_files import KeptImages, write_dataset
from builder.publish.repository import write_companions
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.dataset.schema import dataset_features

CLASSES = tuple(f"class {code}" for code in range(20))


def write_images(folder: Path, *, count: int, side: int) -> Path:
    """Write `count` training images of `side` pixels, and 32 to validate on; blurred noise compresses as cells do."""
    features = dataset_features(CLASSES)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", count), ("validation", 32)):
        made = []
        for number in range(rows):
            rng = derive_rng(0, split, str(number))
            blobs = cv2.GaussianBlur(rng.normal(size=(side, side)).astype(np.float32), (0, 0), 3)
            pixels = cv2.normalize(blobs, None, 0, 255, cv2.NORM_MINMAX) + rng.normal(0, 2, (side, side))
            encoded = cv2.imencode(".png", pixels.clip(0, 255).astype(np.uint8))[1].tobytes()
            image_id = f"{split}-{number}"
            row = {"image": {"bytes": encoded, "path": None}, "label": number % len(CLASSES), "category": "compound"}
            made.append(dict.fromkeys(features) | row | {"image_id": image_id, "idx": image_id, "sha256": image_id})
        part = hf.Dataset.from_list(made, features=features)
        part.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


def publish_rows(folder: Path, shards: Sequence[Path], labels: list[str], *, splits: Sequence[list[str]]) -> None:
    """The repository of a dataset with all rows of some shards of `builder.render.shard.SHARD_SCHEMA`.

    `splits` are the side of each row in the whole dataset, and in its subsets.
    """
    columns = ["image_id", "label", "category", "database", "dir_name", "name", "licence", "png_bytes"]
    kept = pa.concat_tables(pq.read_table(path, columns=columns) for path in shards)
    codes = pc.index_in(kept["label"], value_set=pa.array(labels)).cast(pa.int64())
    names = pa.array([f"{row}.png" for row in kept["image_id"].to_pylist()])
    assigned = pa.table(
        {
            "image_id": kept["image_id"],
            "label": codes,
            "path": names,
            "filename": names,
            "png_bytes": kept["png_bytes"],
        }
    )
    files = write_dataset(folder, shards, KeptImages(np.ones(len(kept), bool), assigned, labels, *splits))
    write_companions(folder, files, kept, labels=labels, seed=0)
