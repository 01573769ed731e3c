"""What is scored, on which tasks and by which rules: the options of `benchmark`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import check_fields, setting

from .networks import METHODS
from .source import USUAL, ImageColumns

NEIGHBOURS = 11  # paper §4: COOS-7 and CYCLoPs

_TASKS, _SCORED, _RULES = "Tasks", "What is scored", "How it is scored"


def _methods(given: Any) -> Any:
    """Methods from one, several (as text with commas), or the word all.

    Raises:
        InputError: an unknown one.
    """
    methods = METHODS if given == "all" else tuple(given.split(",") if isinstance(given, str) else given)
    if unknown := [method for method in methods if method not in METHODS]:
        raise InputError(f"unknown method {unknown[0]!r}: choose one of {', '.join(METHODS)}, or all")
    return methods


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """Tasks, where their files are, and options that only some of them know."""

    task: tuple[str, ...] = setting(
        (), "bbbc021, coos7, cyclops, …, or folder (your own); give it again for several.", repeat=True, group=_TASKS
    )
    data: tuple[Path, ...] = setting(
        (),
        "Folder of the files, one per task in the same order; or one that holds a folder per task.",
        repeat=True,
        group=_TASKS,
    )
    channels: tuple[str, ...] = setting(
        (), "folder: suffixes of the channel files in stain order, such as gfp,rfp.", commas=True, group=_TASKS
    )
    group: str | None = setting(None, "folder, cyclops: column that names groups, left out together.", group=_TASKS)
    k: int = setting(NEIGHBOURS, "folder: neighbours that vote.", low=1, group=_TASKS)
    image_key: str = setting("data", "coos7: images in the HDF5 files.", group=_TASKS)
    label_key: str = setting("labels", "coos7: labels in the HDF5 files.", group=_TASKS)
    columns: ImageColumns = setting(USUAL, command=False)

    def __post_init__(self) -> None:
        check_fields(self, name="tasks")


DEFAULTS = TaskOptions()


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """The rules of a benchmark by name; `benchmarks.recipes.load_recipe` makes a recipe of them."""

    recipe: str = setting("corrected", "published or corrected.", group=_RULES)
    scaler: str | None = setting(
        None,
        "Scale otherwise than the recipe: none, all (on bbbc021 of the treated images, as published), "
        "all-with-controls, controls, controls-shrunk, other.",
        group=_RULES,
    )
    protocol: str | None = setting(
        None,
        "cyclops, folder: leave-group-out or leave-one-out; by default groups are left out where they are known.",
        group=_RULES,
    )
    nscb: str | None = setting(
        None,
        "bbbc021: week overlap, other week set, disjoint weeks, disjoint plates, other plate set.",
        group=_RULES,
    )
    repairs: bool = setting(False, "Show what each repair of the original changes, instead.", group=_RULES)

    def __post_init__(self) -> None:
        check_fields(self, name="recipe")


@dataclass(frozen=True, kw_only=True)
class SuiteOptions:
    """What is scored beside each other, and what is measured.

    Attributes:
        random_nets: how many random nets the baselines have.
        partner: the untrained network of the fusion's control; None: EfficientNet-B0 drawn with `seed + 1`.
    """

    models: tuple[str, ...] = setting(
        (),
        "Checkpoint folder, Hub or timm name, Keras .h5, random or random:SEED; NAME=… names it.",
        option="model",
        repeat=True,
        group=_SCORED,
    )
    features: tuple[str | Path, ...] = setting(
        (),
        "Ready features: Parquet or CSV with ids, or CellProfiler profiles of wells; NAME=… names it.",
        parse=tuple,
        repeat=True,
        group=_SCORED,
    )
    methods: tuple[str, ...] = setting(
        ("concat-norm",),
        "One or more of concat-norm, concat-raw, merge-norm and merge-raw, with commas; or all.",
        commas=True,
        option="method",
        parse=_methods,
        metavar=f"{'|'.join(METHODS)}|all",
        group=_SCORED,
    )
    fuse: bool = setting(False, "Also score every two models side by side, with controls.", group=_SCORED)
    baselines: bool = setting(
        False, "Also score untrained networks of three seeds and features of pixels.", group=_SCORED
    )
    random_nets: int = setting(3, low=0, command=False)
    nuisances: bool = setting(
        False,
        "Also what cell count, position on the plate, intensity and background alone score, and what is left of each "
        "model without them.",
        group=_SCORED,
    )
    redrawn: int = setting(
        0,
        "Also each --model with redrawn weights, this many times, stage by stage or at the --pooling given: what "
        "training gave.",
        low=0,
        high=100,
        group=_SCORED,
    )
    partner: str | None = setting(None, command=False)
    drop_nan: bool = setting(False, "Leave out columns of --features that hold NaN or infinite values.", group=_SCORED)
    cache: Path | None = setting(
        None, "Folder of extracted features; an interrupted run continues from it.", group=_SCORED
    )
    measures: tuple[str, ...] = setting(
        ("nn",),
        "One or more of nn, map, probe, few-shot, mixing; nn is each task's own.",
        commas=True,
        group=_RULES,
    )
    postprocess: tuple[str, ...] = setting(
        ("none",),
        "bbbc021 and other screens: of none, controls, sphere, sphere-by-plate, tvn and pca, with commas; each is a "
        "row.",
        commas=True,
        group=_RULES,
    )
    sphere_epsilon: float | None = setting(
        None,
        "--postprocess sphere: added to the deviation of each direction; by default chosen by replicate mAP on plates "
        "that are not scored, or 1.",
        low=0,
        group=_RULES,
    )
    seed: int = setting(0, "Seed of random nets, folds, bootstrap and shuffles.", group=_RULES)

    def __post_init__(self) -> None:
        check_fields(self, name="benchmark")


@dataclass(frozen=True, kw_only=True)
class DiversityOptions:
    """What is drawn of a dataset to measure how far its labels lie from each other: the options of `diversity`."""

    per_label: int = setting(100, "Images drawn of each label.", low=1)
    threshold: float = setting(0.8, "Labels with a larger inter-class distance form the subset.", low=0, high=2)
    split: str = setting("train", "train or validation.")
    seed: int = setting(0, "Seed of the draw and the projection.")

    def __post_init__(self) -> None:
        check_fields(self, name="diversity")
