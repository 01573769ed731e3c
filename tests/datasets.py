"""Tiny datasets in the layout that `publish` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets as hf
import numpy as np
from PIL import Image

from cytoimagenet_hf.dataset.cards import SplitFiles, dataset_card
from cytoimagenet_hf.dataset.schema import SUBSETS, dataset_features


def write_dataset(folder: Path, labels: Sequence[str], codes: Mapping[str, Sequence[int]]) -> Path:
    """Write one shard per split with 8 x 8 images and ids `<split>-<row>`.

    Args:
        folder: where to; created.
        labels: class names.
        codes: split → class code of each row.
    """
    rows = {
        split: [
            {"image": Image.fromarray(np.full((8, 8), 20 * i + code, np.uint8)), "label": code}
            | {"image_id": f"{split}-{i}", "idx": f"{split}-{i}", "category": "organism"}
            for i, code in enumerate(of)
        ]
        for split, of in codes.items()
    }
    return _write(folder, labels, rows)


def write_textures(folder: Path, *, per_class: int, side: int, seed: int = 0) -> Path:
    """Write a dataset of two textures, "dots" and "stripes", each image with its own phase and noise."""
    rng = np.random.default_rng(seed)
    labels = ["dots", "stripes"]
    rows = []
    for number in range(2 * per_class):
        code, phase = number % 2, int(rng.integers(8))
        line = (np.arange(side) + phase) // 4 % 2
        pattern = line[:, None] if code else line[:, None] & line
        pixels = 200 * np.broadcast_to(pattern, (side, side)) + rng.integers(0, 40, (side, side))
        image_id = f"{labels[code]}-{number:03d}"
        rows.append(
            {"image": Image.fromarray(pixels.astype(np.uint8)), "label": code, "category": "phenotype"}
            | {"image_id": image_id, "idx": image_id, "dir_name": f"source{number % 3}", "cell_type": "u2os"}
        )
    cut = len(rows) * 3 // 4
    return _write(folder, labels, {"train": rows[:cut], "validation": rows[cut:]})


def _write(folder: Path, labels: Sequence[str], rows: Mapping[str, list[dict[str, object]]]) -> Path:
    """One shard per split, those of subsets, and the card that names them; columns that a row lacks are null."""
    splits = _write_splits(folder, "data", labels, rows)
    subsets = {}
    for name, wanted in SUBSETS.items():
        chosen = sorted(set(wanted) & set(labels))
        codes = {labels.index(label): code for code, label in enumerate(chosen)}
        own = {
            split: [row | {"label": codes[row["label"]]} for row in part if row["label"] in codes]
            for split, part in rows.items()
        }
        if any(own.values()):
            subsets[name] = _write_splits(folder, name, chosen, {split: part for split, part in own.items() if part})
    card = dataset_card(features=dataset_features(labels), splits=splits, subset_splits=subsets)
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "manifest.json").write_text("{}")
    return folder


def _write_splits(
    folder: Path, part: str, labels: Sequence[str], rows: Mapping[str, list[dict[str, object]]]
) -> list[SplitFiles]:
    features = dataset_features(labels)
    splits = []
    for split, of in rows.items():
        path = folder / part / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = [dict.fromkeys(features) | row for row in of]
        hf.Dataset.from_list(whole, features=features).to_parquet(str(path))
        splits.append(SplitFiles(split, (f"{part}/{path.name}",), len(of), path.stat().st_size))
    return splits
