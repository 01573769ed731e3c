"""COOS-7: seven protein localisations of mouse cells under four degrees of shift (Lu et al. 2019).

Neighbours come from the training set, predictions are for test1 (same plates) to test4 (another instrument). Two forms
are read: folders of TIFF pairs, and the published HDF5 files, whose keys are arguments.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features import FeatureTable
from cytoimagenet_hf.images import Image, PlaneRef

from .base import Benchmark, Score, class_folders, column, ids_of, labelled, labels_of, paired_files
from .protocols import NEIGHBOURS, predict_transfer
from .recipes import BenchmarkRecipe

WHERE = (
    "download the five HDF5 files of COOS-7 from Zenodo (https://arxiv.org/abs/1906.07282 has the link), or lay the "
    "cells out as <root>/<train|test1|test2|test3|test4>/<class>/<stem>_protein.tif and _nucleus.tif"
)
_TESTS = ("test1", "test2", "test3", "test4")
_STAINS = ("protein", "nucleus")


def load(
    root: Path, recipe: BenchmarkRecipe, *, images: bool = True, image_key: str = "data", label_key: str = "labels"
) -> list[Image]:
    """One image per cell of the training set and of the test sets that are there.

    Args:
        root: folder with `train`, `test1` … (also below `CURATED-COOS7`), or with one HDF5 file for each.
        recipe: not used: both recipes read alike.
        images: not used: the labels are where the images are.
        image_key: HDF5 array of shape (cells, 2, height, width), protein first.
        label_key: HDF5 array of one label per cell.

    Raises:
        InputError: the training set or all test sets are missing, a class folder is empty, a cell lacks a channel.
    """
    base = root / "CURATED-COOS7" if (root / "CURATED-COOS7").is_dir() else root
    items = []
    for split in ("train", *_TESTS):
        file = _hdf5_file(base, split)
        if (base / split).is_dir():
            items += _folder_items(base / split, split)
        elif file is not None:
            items += _hdf5_items(file, split, image_key, label_key)
    found = set(column(items, "split"))
    if "train" not in found or len(found) < 2:
        raise InputError(
            f"{base} holds {sorted(found) or 'no set'}; train and at least one test set are needed: {WHERE}"
        )
    return items


def score(
    features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, seed: int, *, k: int = NEIGHBOURS
) -> list[Score]:
    """11-NN accuracy on each test set."""
    by_split = {split: [item for item in items if item.metadata["split"] == split] for split in ("train", *_TESTS)}
    train = by_split.pop("train")
    train_values, train_labels = features.rows(ids_of(train)).values, labels_of(train)
    scores = []
    for split, test in by_split.items():
        if not test:
            continue
        labels = column(test, "label")
        predictions = predict_transfer(
            train_values, train_labels, features.rows(ids_of(test)).values, labels, recipe=recipe, k=k
        )
        plates = [item.metadata.get("plate") for item in test]
        known = all(plate is not None for plate in plates) and len(set(plates)) > 1
        scores.append(
            Score(
                f"coos7/{split}",
                ids=ids_of(test),
                references=labels,
                predictions=predictions,
                clusters=np.array(plates, dtype=object) if known else None,
                cluster_name="plate" if known else None,
                details={"train": len(train), "classes": len(set(train_labels))},
            )
        )
    return scores


COOS7 = Benchmark(
    name="coos7",
    title="COOS-7 (protein localisation, mouse)",
    channels=_STAINS,
    where=WHERE,
    protocol="11-NN, Euclidean, fitted on train, predicting each test set",
    load=load,
    score=score,
    listed_from_set=True,
)


def _folder_items(folder: Path, split: str) -> list[Image]:
    return [
        labelled(f"{split}/{label.name}/{stem}", files, label.name, channels=_STAINS, facts={"split": split})
        for label in class_folders(folder, where=WHERE)
        for stem, files in paired_files(label, _STAINS).items()
    ]


def _hdf5_file(base: Path, split: str) -> Path | None:
    """The HDF5 file of a set: its name holds `train` or `test1` …."""
    found = sorted(path for path in base.glob("*.h*5") if split in path.name.lower()) if base.is_dir() else []
    if len(found) > 1:
        raise InputError(f"{[path.name for path in found]} in {base} all look like {split}: keep one")
    return found[0] if found else None


def _hdf5_items(file: Path, split: str, image_key: str, label_key: str) -> list[Image]:
    import h5py

    with h5py.File(file, "r") as content:
        for key in (image_key, label_key):
            if key not in content:
                raise InputError(
                    f"{file} has no {key!r}, only {sorted(content)}: name the keys (image_key, label_key)"
                )
        shape, labels = content[image_key].shape, np.asarray(content[label_key])
    if len(shape) != 4 or shape[1] != 2 or labels.shape != (shape[0],):
        raise InputError(
            f"{file}: images {shape}, labels {labels.shape}; expected (cells, 2, height, width) and (cells,)"
        )
    names = [label.decode() if isinstance(label, bytes) else str(label) for label in labels.tolist()]
    return [
        Image(
            f"{split}/{row:06d}",
            _STAINS,
            tuple((PlaneRef(file, kind="hdf5", place=(image_key, row, place)),) for place in range(2)),
            {"label": name, "split": split},
        )
        for row, name in enumerate(names)
    ]
