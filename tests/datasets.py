"""Tiny datasets in the layout that `publish` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets as hf
import numpy as np
from PIL import Image

from cytoimagenet_hf.cards import SplitFiles, dataset_card
from cytoimagenet_hf.schema import dataset_features


def write_dataset(folder: Path, labels: Sequence[str], codes: Mapping[str, Sequence[int]]) -> Path:
    """Write one shard per split with 8 x 8 images, ids `<split>-<row>`, and the card that names the files.

    Args:
        folder: where to; created.
        labels: class names.
        codes: split → class code of each row.
    """
    features = dataset_features(labels)
    splits = []
    for split, of in codes.items():
        rows = [
            dict.fromkeys(features)
            | {"image": Image.fromarray(np.full((8, 8), 20 * i + code, np.uint8)), "label": code}
            | {"image_id": f"{split}-{i}", "idx": f"{split}-{i}", "category": "organism"}
            for i, code in enumerate(of)
        ]
        path = folder / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        hf.Dataset.from_list(rows, features=features).to_parquet(str(path))
        splits.append(SplitFiles(split, (f"data/{path.name}",), len(rows), path.stat().st_size))
    (folder / "README.md").write_text(dataset_card(features=features, splits=splits), encoding="utf-8")
    (folder / "manifest.json").write_text("{}")
    return folder
