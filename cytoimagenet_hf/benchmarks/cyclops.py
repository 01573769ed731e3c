"""CYCLoPs: localisation of tagged proteins in yeast cells of wild-type screen WT2 (labels of Chong et al. 2015).

DEAD and GHOST are no localisations and are left out; SPINDLEPOLE counts as SPINDLE: 16 classes remain of 19 folders.
The published code left two names out of its list of labels but not of its list of folders (FACTS E1).
"""

from collections.abc import Sequence
from pathlib import Path

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features import FeatureTable
from cytoimagenet_hf.images import Image

from .base import Benchmark, Score, class_folders, ids_of, labelled, labels_of, paired_files
from .protocols import NEIGHBOURS, predict_leave_one_out
from .recipes import BenchmarkRecipe

WHERE = (
    "download http://spidey.ccbr.utoronto.ca/~okraus/DeepLoc_full_datasets.zip or Kaggle's "
    "stanleyhua/cyclops-protein-loc and lay the cells out as <root>/<CLASS>/<CLASS>_<n>_gfp.tif and _rfp.tif "
    "(a folder chong_labeled between is fine)"
)
LEFT_OUT = ("DEAD", "GHOST")
MERGED = {"SPINDLEPOLE": "SPINDLE"}


def load(root: Path, recipe: BenchmarkRecipe, *, images: bool = True) -> list[Image]:
    """One image per cell; labels by the recipe.

    Raises:
        InputError: no class folders, an empty one, a cell without its second channel.
    """
    base = root / "chong_labeled" if (root / "chong_labeled").is_dir() else root
    if not base.is_dir():
        raise InputError(f"{base} is no folder: {WHERE}")
    folders = class_folders(base, where=WHERE)
    labels = folder_labels([folder.name for folder in folders], shifted=recipe.folder_labels == "shifted")
    return [
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


def score(
    features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, seed: int, *, k: int = NEIGHBOURS
) -> list[Score]:
    """11-NN leave-one-out accuracy."""
    ids, labels = ids_of(items), labels_of(items)
    predictions = predict_leave_one_out(features.rows(ids).values, labels, ids, recipe=recipe, seed=seed, k=k)
    return [Score("cyclops", ids, labels, predictions, details={"classes": len(set(labels))})]


CYCLOPS = Benchmark(
    name="cyclops",
    title="CYCLoPs (protein localisation, yeast)",
    channels=("protein", "cytosol"),
    where=WHERE,
    protocol="11-NN, Euclidean, leave-one-out",
    load=load,
    score=score,
    listed_from_set=True,
)
