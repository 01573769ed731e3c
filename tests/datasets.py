"""Tiny datasets in the layout that `publish` writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets as hf
import numpy as np
from PIL import Image

from builder.publish.files import open_writer
from cytoimagenet_hf.dataset.cards import DatasetFacts, SplitFiles, dataset_card
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


def foreign(
    folder: Path,
    splits: Mapping[str, int] | None = None,
    *,
    image: str = "image",
    label: str | None = "label",
    kind: str = "class",
    pixels: str = "L",
) -> Path:
    """Write a dataset as others do: images and labels alone, in a class each in turn, without a card.

    Args:
        folder: where to; created.
        splits: name → number of rows.
        image: column of images.
        label: column of classes "no" and "yes"; None: there is none.
        kind: how classes are kept: class, string, int or bool.
        pixels: L, RGB, I;16, list (two pictures a row), 2d, 3d (two channels first).
    """
    rng = np.random.default_rng(0)
    kinds = {
        "class": (hf.ClassLabel(names=["no", "yes"]), (0, 1)),
        "string": (hf.Value("string"), ("no", "yes")),
        "int": (hf.Value("int64"), (3, 10)),
        "bool": (hf.Value("bool"), (False, True)),
    }
    features: dict[str, object] = {
        "list": hf.List(hf.Image()),
        "2d": hf.Array2D((24, 24), "uint16"),
        "3d": hf.Array3D((2, 24, 24), "uint16"),
    }
    columns = {image: features.get(pixels, hf.Image())} | ({label: kinds[kind][0]} if label else {})

    def cell(code: int) -> object:
        noise = rng.integers(0, 200, (2, 24, 24))
        noise[:, :, ::8] += 50 * code
        gray = [Image.fromarray(plane.astype(np.uint8)) for plane in noise]
        if pixels == "I;16":
            return Image.fromarray((noise[0] * 16).astype(np.uint16))
        arrays = {"2d": noise[0] * 16, "3d": noise * 16}
        return arrays.get(pixels, gray if pixels == "list" else gray[0].convert(pixels if pixels == "RGB" else "L"))

    for split, count in (splits or {"train": 32, "validation": 8}).items():
        rows = [{image: cell(row % 2)} | ({label: kinds[kind][1][row % 2]} if label else {}) for row in range(count)]
        content = {name: [row[name] for row in rows] for name in columns}
        (folder / "data").mkdir(parents=True, exist_ok=True)
        made = hf.Dataset.from_dict(content, features=hf.Features(columns))
        made.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


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
    card = dataset_card(DatasetFacts(dataset_features(labels), splits, subset_splits=subsets))
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
        table = hf.Dataset.from_list(whole, features=features).data.table.combine_chunks()
        with open_writer(path, table.schema) as writer:
            writer.write_table(table)
        splits.append(SplitFiles(split, (f"{part}/{path.name}",), len(of), path.stat().st_size))
    return splits
