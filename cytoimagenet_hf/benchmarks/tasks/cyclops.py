"""CYCLoPs: localisation of tagged proteins in yeast cells of wild-type screen WT2 (labels of Chong et al. 2015).

DEAD and GHOST are not localisations and are left out; SPINDLEPOLE counts as SPINDLE: 16 classes remain of 19 folders.
The published code left two names out of its list of labels but not of its list of folders (E1, docs/paper.md). Class
folders are read, and the HDF5 files of DeepLoc from which they were made.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cytoimagenet_hf.benchmarks.base import Array, Benchmark, class_folders, labelled, paired_files
from cytoimagenet_hf.benchmarks.groups import held_out_rows, score_held_out, with_groups
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.hdf5 import own_array
from cytoimagenet_hf.images import Image, PlaneRef

WHERE = (
    "download http://spidey.ccbr.utoronto.ca/~okraus/DeepLoc_full_datasets.zip or Kaggle's "
    "stanleyhua/cyclops-protein-loc and lay the cells out as <root>/<CLASS>/<CLASS>_<n>_gfp.tif and _rfp.tif "
    "(a folder chong_labeled between is fine), or leave DeepLoc's Chong_train_set.hdf5, Chong_valid_set.hdf5 and "
    "Chong_test_set.hdf5 in <root>; a metadata.csv (file_name = <CLASS>/<CLASS>_<n>, and a column such as plate or "
    "field) says which cells come from one field"
)
LEFT_OUT = ("DEAD", "GHOST")
MERGED = {"SPINDLEPOLE": "SPINDLE"}

_FIELDS = ("field", "plate", "image_filename_gfp", "imagenumber")
"""Columns of the files' own table that tell which image a cell was cut from, lower case."""


def load(root: Path, recipe: BenchmarkRecipe, *, images: bool = True, group: str | None = None) -> list[Image]:
    """One image per cell; labels by the recipe.

    Args:
        root: class folders (also below `chong_labeled`), or DeepLoc's HDF5 files.
        recipe: which label a folder gets; HDF5 files name the class of each cell.
        images: not used: the labels are where the images are.
        group: column that tells plates or fields; by default the first known one, else what file names tell.
    """
    base = root / "chong_labeled" if (root / "chong_labeled").is_dir() else root
    if not base.is_dir():
        raise InputError(f"{base} is not a folder: {WHERE}")
    files = sorted(path for path in base.iterdir() if path.suffix.lower() in (".h5", ".hdf5"))
    if files:
        return [item for file in files for item in _hdf5_items(file, group)]
    folders = class_folders(base, where=WHERE)
    labels = folder_labels([folder.name for folder in folders], shifted=recipe.folder_labels == "shifted")
    items = [
        labelled(
            f"{folder.name}/{stem}",
            files,
            labels[folder.name],
            channels=CYCLOPS.channels,
            facts={"folder": folder.name},
        )
        for folder in folders
        if folder.name in labels
        for stem, files in paired_files(folder, ("gfp", "rfp")).items()
    ]
    return with_groups(items, base, column=group, where=WHERE)


def folder_labels(folders: Sequence[str], *, shifted: bool) -> dict[str, str]:
    """Folder → label; folders without a label are left out.

    Args:
        folders: class folders, sorted.
        shifted: pair folders with the shorter list of labels one by one, as the original did.

    Example:
        >>> folder_labels(["ACTIN", "DEAD", "ER", "NUCLEI"], shifted=True)
        {'ACTIN': 'ACTIN', 'DEAD': 'ER', 'ER': 'NUCLEI'}
        >>> folder_labels(["ACTIN", "DEAD", "ER", "NUCLEI"], shifted=False)
        {'ACTIN': 'ACTIN', 'ER': 'ER', 'NUCLEI': 'NUCLEI'}
    """
    kept = [name for name in folders if name not in LEFT_OUT]
    pairs = zip(folders, kept, strict=False) if shifted else zip(kept, kept, strict=True)
    return {folder: MERGED.get(label, label) for folder, label in pairs}


CYCLOPS = Benchmark(
    name="cyclops",
    title="CYCLoPs (protein localisation, yeast)",
    channels=("protein", "cytosol"),
    where=WHERE,
    protocol="11-NN, Euclidean, leave-one-field-out where fields are known, else leave-one-out",
    load=load,
    score=partial(score_held_out, name="cyclops"),
    rows=partial(held_out_rows, name="cyclops"),
    listed_from_set=True,
)


def _hdf5_items(file: Path, group: str | None) -> list[Image]:
    """Cells of one file: `data1` (cells, channels x side x side) channel-major, `Index1` (cells, classes) one-hot."""
    import h5py

    with h5py.File(file, "r") as content:
        lacking = [key for key in ("data1", "Index1") if key not in content]
        if lacking:
            raise InputError(f"{file} has no {lacking}, only {sorted(content)}: is it one of DeepLoc's files? {WHERE}")
        shape, codes = own_array(content, "data1").shape, np.asarray(own_array(content, "Index1"))
        names = _names(content, "Index1")
        fields = _fields(content, group)
    side = round((shape[1] / len(CYCLOPS.channels)) ** 0.5) if len(shape) == 2 else 0
    if side == 0 or len(CYCLOPS.channels) * side * side != shape[1] or codes.ndim != 2 or len(codes) != shape[0]:
        raise InputError(
            f"{file}: data1 {shape} and Index1 {codes.shape}; expected (cells, 2 x side x side) and (cells, classes)"
        )
    if not names or len(names) != codes.shape[1]:
        raise InputError(f"{file} names {len(names)} classes for {codes.shape[1]} columns of Index1 (Index1_columns)")
    odd = np.flatnonzero((codes != 0).sum(axis=1) != 1)
    if len(odd):
        raise InputError(f"{file}: {len(odd)} cells have no class or several, such as row {odd[0]}: mend Index1")
    if group is not None and fields is None:
        raise InputError(f"{file} has no column {group!r} in Info1 (Info1_columns): leave --group out")
    part = re.search(r"train|valid|test", file.stem.lower())  # as in Chong_train_set.hdf5
    split = part[0] if part else file.stem
    items = []
    for row, code in enumerate(codes.argmax(axis=1)):
        label = names[code]
        if label.upper() in LEFT_OUT:
            continue
        planes = tuple(
            (PlaneRef(file, kind="hdf5-flat", place=("data1", row, place * side * side, side, side)),)
            for place in range(len(CYCLOPS.channels))
        )
        facts = {"label": MERGED.get(label.upper(), label), "folder": label, "part": split}
        if fields is not None:
            facts |= {"group": str(fields[1][row]), "group_name": fields[0]}
        items.append(Image(f"{split}/{row:06d}", CYCLOPS.channels, planes, facts))
    return items


def _names(content: Any, key: str) -> list[str]:
    """Names of the columns of an array: an array or attribute `<key>_columns`, or `label_names`."""
    for name in (f"{key}_columns", "label_names"):
        for holder in (content, content.attrs, content[key].attrs):
            if name in holder:
                names = np.asarray(holder[name]).ravel().tolist()
                return [text.decode() if isinstance(text, bytes) else str(text) for text in names]
    return []


def _fields(content: Any, group: str | None) -> tuple[str, Array] | None:
    """What the cells' own table says of the image each was cut from: (column, one value per cell)."""
    if "Info1" not in content:
        return None
    columns = [name.lower() for name in _names(content, "Info1")]
    wanted = _FIELDS if group is None else (group.lower(),)
    chosen = next((name for name in wanted if name in columns), None)
    if chosen is None:
        return None
    values = np.asarray(content["Info1"])[:, columns.index(chosen)].tolist()
    return chosen, np.array([_written(value) for value in values], dtype=object)


def _written(value: bytes | float) -> str:
    """A number in full, so that two plates never share a name: `1234567`, not `1.23457e+06`."""
    if isinstance(value, bytes):
        return value.decode()
    return str(int(value)) if float(value).is_integer() else repr(value)
