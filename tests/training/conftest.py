"""A small dataset of drawn shapes and the smallest network that learns it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets as hf
import numpy as np
import pytest
from PIL import Image

from cytoimagenet_hf.dataset.cards import DatasetFacts, SplitFiles, dataset_card
from cytoimagenet_hf.dataset.schema import dataset_features
from cytoimagenet_hf.training import TrainConfig

CLASSES = ("dots", "rings", "stripes")
CATEGORY = {"dots": "compound", "rings": "compound", "stripes": "phenotype"}
ROWS = {"train": 96, "validation": 23}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, two of them compounds; 96 rows in three shards and 23, a prime, to validate on."""
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture
def config(shapes: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """A configuration for seconds: `config(epochs=2)` changes what it names."""

    def make(**changed: Any) -> TrainConfig:
        base = {
            "dataset": str(shapes),
            "output": str(tmp_path / "run"),
            "image_size": 32,
            "batch_size": 16,
            "epochs": 1,
            "cache": "ram",
            "workers": 0,
            "trackers": [],
            "bn_batches": 4,
            "model_config": {"width_coefficient": 0.125, "depth_coefficient": 0.125},
        }
        return TrainConfig.from_dict(base | changed)

    return make


def write_shapes(folder: Path, *, change: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> Path:
    """Write the dataset as `publish` does; `change` may spoil a row."""
    features = dataset_features(CLASSES)
    splits = []
    for split, count in ROWS.items():
        rows = [change(_row(split, number)) for number in range(count)]
        part = hf.Dataset.from_list([dict.fromkeys(features) | row for row in rows], features=features)
        shards = 3 if split == "train" else 1
        names = [f"data/{split}-{shard:05d}-of-{shards:05d}.parquet" for shard in range(shards)]
        (folder / "data").mkdir(parents=True, exist_ok=True)
        for shard, name in enumerate(names):
            part.shard(shards, shard, contiguous=True).to_parquet(str(folder / name))
        # The bytes must be true: `datasets` keys its cache by the card, and would serve another test's rows.
        size = sum((folder / name).stat().st_size for name in names)
        splits.append(SplitFiles(split, tuple(names), count, size))
    (folder / "README.md").write_text(dataset_card(DatasetFacts(features, splits)), encoding="utf-8")
    return folder


def write_spoiled(folder: Path, *ids: str, content: bytes = b"no image") -> str:
    """The dataset with images, train-5 say, that cannot be decoded."""

    def spoil(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"image": {"bytes": content, "path": None}} if row["image_id"] in ids else {})

    return str(write_shapes(folder, change=spoil))


def _row(split: str, number: int) -> dict[str, Any]:
    code = number % len(CLASSES)
    rng = np.random.default_rng([number, split == "train"])
    side = 40
    y, x = np.mgrid[:side, :side]
    distance = np.hypot(y - rng.uniform(12, 28), x - rng.uniform(12, 28))
    pattern = {"dots": distance < 7, "rings": abs(distance - 9) < 2, "stripes": (y + int(rng.integers(8))) % 8 < 3}
    pixels = 40 + 150 * pattern[CLASSES[code]] + rng.normal(0, 10, (side, side))
    image_id = f"{split}-{number}"
    return {
        "image": Image.fromarray(pixels.clip(0, 255).astype(np.uint8)),
        "label": code,
        "category": CATEGORY[CLASSES[code]],
        "image_id": image_id,
        "idx": image_id,
        "dir_name": ("bbbc010", "rec_rxrx1")[number % 2],
    }
