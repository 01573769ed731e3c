"""COOS-7: seven protein localisations of mouse cells under four degrees of shift (Lu et al. 2019).

Neighbours come from the training set, predictions are for test1 (same plates) to test4 (another instrument). Two forms
are read: folders of TIFF pairs, and the published HDF5 files, whose keys are arguments. Both are spelled in several
ways: `train`, `training`; `test3`, `testing_3`; version 1.0 or 1.1.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from cytoimagenet_hf.benchmarks.base import Benchmark, Score, class_folders, column, ids_of, labelled, paired_files
from cytoimagenet_hf.benchmarks.protocols import NEIGHBOURS
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.hdf5 import own_array
from cytoimagenet_hf.images import Image, PlaneRef
from cytoimagenet_hf.tables import FeatureTable

from .fixed_sets import each_test_set, fixed_rows, predicted

WHERE = (
    "download the five HDF5 files of COOS-7 from Zenodo (https://arxiv.org/abs/1906.07282 has the link), or lay the "
    "cells out as <root>/<train|test1|test2|test3|test4>/<class>/<stem>_protein.tif and _nucleus.tif"
)
_TESTS = ("test1", "test2", "test3", "test4")
_STAINS = ("protein", "nucleus")
_SPLIT = re.compile(r"(?<![a-z])(?:(?P<train>train(?:ing)?)|test(?:ing)?[ _-]?(?P<test>[1-4]))(?![a-z0-9])")
CLASSES = (
    *("endoplasmic reticulum", "inner mitochondrial membrane", "golgi", "peroxisomes"),
    *("early endosome", "cytosol", "nuclear envelope"),
)
"""The classes in the order of the paper's table, shown behind the numbers 0 to 6 where a file has only numbers."""


def load(
    root: Path, recipe: BenchmarkRecipe, *, images: bool = True, image_key: str = "data", label_key: str = "labels"
) -> list[Image]:
    """One image per cell of the training set and of the test sets that are there.

    Args:
        root: folder with `train`, `test1` … (also below `CURATED-COOS7`), or with one HDF5 file for each, named
            in any of the usual ways.
        recipe: not used: both recipes read alike.
        images: not used: the labels are where the images are.
        image_key: HDF5 array of shape (cells, 2, height, width), protein first.
        label_key: HDF5 array of one label per cell: (cells,) or (cells, 1), numbers or text.
    """
    base = root / "CURATED-COOS7" if (root / "CURATED-COOS7").is_dir() else root
    items = []
    for split, place in _places(base).items():
        if place.is_dir():
            items += _folder_items(place, split)
        else:
            items += _hdf5_items(place, split, image_key, label_key)
    splits = set(column(items, "split"))
    if "train" not in splits or len(splits) < 2:
        raise InputError(
            f"{base} holds {sorted(splits) or 'no set'}; train and at least one test set are needed: {WHERE}"
        )
    return items


def score(
    features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, seed: int, *, k: int = NEIGHBOURS
) -> list[Score]:
    """11-NN accuracy on each test set."""
    scores = []
    for split, train, test in each_test_set(items, _TESTS):
        plates = [item.metadata.get("plate") for item in test]
        by_plate = all(plate is not None for plate in plates) and len(set(plates)) > 1
        scores.append(
            Score(
                f"coos7/{split}",
                ids=ids_of(test),
                references=column(test, "label"),
                predictions=predicted(features, train, test, recipe=recipe, k=k),
                clusters=np.array(plates, dtype=object) if by_plate else None,
                cluster_name="plate" if by_plate else None,
                details={
                    "train": len(train),
                    "classes": len(set(column(train, "label"))),
                    "protocol": f"{len(train)} training cells, " + ("by plate" if by_plate else "no groups known"),
                    "scaler": recipe.transfer_scaler,
                },
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
    rows=partial(fixed_rows, name="coos7", tests=_TESTS),
    listed_from_set=True,
)


def _folder_items(folder: Path, split: str) -> list[Image]:
    return [
        labelled(f"{split}/{label.name}/{stem}", files, label.name, channels=_STAINS, facts={"split": split})
        for label in class_folders(folder, where=WHERE)
        for stem, files in paired_files(label, _STAINS).items()
    ]


def _places(base: Path) -> dict[str, Path]:
    """Set → its folder or HDF5 file, in the order train, test1 …; folders come before files."""
    by_split: dict[str, list[Path]] = {}
    for path in sorted(base.iterdir()) if base.is_dir() else ():
        match = _SPLIT.search(path.name.lower())
        if match is None or not (path.is_dir() or path.suffix.lower() in (".h5", ".hdf5")):
            continue
        by_split.setdefault("train" if match["train"] else f"test{match['test']}", []).append(path)
    chosen = {}
    for split, paths in by_split.items():
        alike = [path for path in paths if path.is_dir()] or paths
        if len(alike) > 1:
            raise InputError(f"{[path.name for path in alike]} in {base} all look like {split}: keep one")
        chosen[split] = alike[0]
    return {split: chosen[split] for split in ("train", *_TESTS) if split in chosen}


def _hdf5_items(file: Path, split: str, image_key: str, label_key: str) -> list[Image]:
    import h5py

    with h5py.File(file, "r") as content:
        for key in (image_key, label_key):
            if key not in content:
                raise InputError(
                    f"{file} has no {key!r}, only {sorted(content)}: name the keys (image_key, label_key)"
                )
        shape, labels = own_array(content, image_key).shape, np.asarray(own_array(content, label_key))
    if labels.shape == (shape[0], 1):
        labels = labels[:, 0]
    if len(shape) != 4 or shape[1] != 2 or labels.shape != (shape[0],):
        raise InputError(
            f"{file}: images {shape}, labels {labels.shape}; expected (cells, 2, height, width) and one label per cell"
        )
    names = [_class_name(label) for label in labels.tolist()]
    return [
        Image(
            f"{split}/{row:06d}",
            _STAINS,
            tuple((PlaneRef(file, kind="hdf5", place=(image_key, row, place)),) for place in range(2)),
            {"label": name, "split": split},
        )
        for row, name in enumerate(names)
    ]


def _class_name(label: object) -> str:
    """Text as it is; a number from 0 to 6 with the class behind it."""
    text = label.decode() if isinstance(label, bytes) else str(label)
    number = text.removesuffix(".0")
    if number.isdigit() and int(number) < len(CLASSES):
        return f"{number} {CLASSES[int(number)]}"
    return text
