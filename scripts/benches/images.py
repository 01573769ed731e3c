"""A dataset of noise blobs as PNG in Parquet, for benchmarks of loading and training."""

from pathlib import Path

import cv2
import datasets as hf
import numpy as np

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
