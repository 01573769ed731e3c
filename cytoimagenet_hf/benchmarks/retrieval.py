"""Ready profiles of wells: is the nearest profile the same perturbation, with and without its batch, source and place?

Two downloads have the form: the normalised profiles of MorphoHELM (arXiv 2605.15383), and CPJUMP1's. Levels of
restriction on the candidates: none (NR), not the same batch (NSB), not the same source (NSS), not the same well
position (NSL). Only wells that have a match among their candidates are scored.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import hypergeom

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.profiles.shrinkage import group_means
from cytoimagenet_hf.tables import FeatureTable, make_table, read_features

from .base import Array, Benchmark, Score, column, ids_of, labelled
from .recipes import BenchmarkRecipe
from .scaling import unit_rows

MORPHOHELM_WHERE = (
    "get a folder of data/main_paper_inputs/normalized/… of https://github.com/microsoft/MorphoHELM with git lfs, "
    "such as cpg-tgt2 (eight models, 24 MB each), and point to it: <root>/<model>_normalized.parquet"
)
CPJUMP1_WHERE = (
    "get CellProfiler profiles of CPJUMP1's plates from "
    "https://github.com/jump-cellpainting/2024_Chandrasekaran_NatureMethods (<plate>_normalized*.csv.gz or .parquet, "
    "1 MB each) into one folder, or a folder per plate as there; plates of one ending are put together"
)
LEVELS = {"NR": None, "NSB": ("Batch", "batch", "plate"), "NSS": ("Source", "source"), "NSL": ("well",)}
"""Level → columns that may hold what query and candidate must not share; NR leaves out the query alone."""

_NAMES = ("JCP2022", "pert_iname", "broad_sample", "gene", "compound", "treatment")
_TARGETS = ("target", "moa", "pert_target")
_VEHICLES = {"dmso", "jcp2022_033924"}
_CONTROLS = {*_VEHICLES, "jcp2022_999999", "jcp2022_unknown", "nan", "", "none"}
_NEGATIVE = "negative control"
_NEAR = 0.01  # of the allowed rows
_QUERIES = 1000  # rows whose similarities are in memory at a time


def load(root: Path, recipe: BenchmarkRecipe, *, images: bool = True) -> list[Image]:
    """Always refuses, and says what to get: rows come from the profiles themselves."""
    raise InputError(f"{root}: this task is scored from ready profiles with plate and well: {MORPHOHELM_WHERE}")


def profile_items(root: Path, recipe: BenchmarkRecipe, table: FeatureTable) -> list[Image]:
    """The treated rows of a profile table; before a post-processing its negative controls as well.

    Other controls, and wells without a perturbation, are left out.
    """
    columns = [name for name in _NAMES if name in table.metadata]
    if not columns:
        raise InputError(
            f"the profiles name no perturbation: one of Metadata_{', Metadata_'.join(_NAMES)} is needed; there are "
            f"{list(map(str, table.metadata.columns))}"
        )
    facts = table.metadata.astype(str)
    negative = facts[columns[0]].str.lower().isin(_VEHICLES)
    control = negative | facts[columns[0]].str.lower().isin(_CONTROLS)
    for name in ("pert_type", "control_type"):
        if name in facts:
            kind = facts[name].str.lower()
            negative |= kind.isin({"negcon", "negative_control"})
            control |= kind.isin({"control", "negcon", "poscon", "negative_control"})
    kept = ~control if recipe.postprocess == "none" else ~control | negative
    rows = facts.assign(row_id=table.ids, **{_NEGATIVE: np.where(negative, "yes", "no")})[kept]
    return [
        labelled(str(row.pop("row_id")), (), str(row[columns[0]]), facts={str(key): str(row[key]) for key in row})
        for row in rows.to_dict("records")
    ]


def is_control(item: Image) -> bool:
    """Whether a row is of a negative control."""
    return item.metadata[_NEGATIVE] == "yes"


def score(
    features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, seed: int, *, name: str = "profiles"
) -> list[Score]:
    """Recall@1 at every level that the metadata tell; target enrichment of mean profiles where targets are known."""
    items = [item for item in items if not is_control(item)]
    ids, names, values = ids_of(items), column(items, "label"), features.rows(ids_of(items)).values
    split = str(features.about.get("split", ""))
    prefix = f"{name}/{split}" if split else name
    scores = []
    for level, columns in LEVELS.items():
        shared = _first_fact(items, columns)
        if columns is not None and shared is None:
            continue
        excluded = ids if shared is None else column(items, shared)
        if len(set(excluded)) < 2:
            continue
        recalls = recall_at_1(values, names=names, excluded=excluded)
        matched = ~np.isnan(recalls)
        if matched.any():
            protocol = "the nearest other well" if shared is None else f"the nearest well of another {shared.lower()}"
            scores.append(
                Score(
                    f"{prefix} · {level} recall@1",
                    ids[matched],
                    names[matched],
                    shares=recalls[matched],
                    clusters=names[matched],
                    cluster_name="perturbation",
                    measure="recall@1",
                    details={"protocol": protocol, "wells": len(ids), "without_match": int((~matched).sum())},
                )
            )
    if not scores:
        raise InputError(f"{prefix}: no perturbation has two wells, so nothing can be retrieved")
    return [*scores, *_targets(values, items, names, prefix)]


def recall_at_1(values: Array, *, names: Array, excluded: Array) -> Array:
    """Whether the nearest allowed row, by cosine, carries the query's name: (n,) 0 or 1; NaN without an allowed match.

    Args:
        values: (n, d).
        names: (n,) what must be found: compound, gene, target.
        excluded: (n,) candidates of the query's own value here are not allowed: batch, source, layout; unique values
            leave out the query alone.

    Example:
        >>> recall_at_1(np.array([[1.0, 0], [1, 0.1], [0, 1]]), names=np.array(["a", "a", "b"]), excluded=np.arange(3))
        array([ 1.,  1., nan])
    """
    unit = unit_rows(np.asarray(values, np.float64))
    _, name_codes = np.unique(names.astype(str), return_inverse=True)
    _, barred = np.unique(excluded.astype(str), return_inverse=True)
    recalls = np.full(len(values), np.nan)
    for start in range(0, len(values), _QUERIES):
        rows = np.arange(start, min(start + _QUERIES, len(values)))
        allowed = barred[rows, None] != barred[None, :]  # (Q, n)
        matched = (allowed & (name_codes[rows, None] == name_codes[None, :])).any(axis=1)
        nearest = np.where(allowed, unit[rows] @ unit.T, -np.inf).argmax(axis=1)
        recalls[rows] = np.where(matched, name_codes[nearest] == name_codes[rows], np.nan)
    return recalls


def enrichment(values: Array, *, names: Array, excluded: Array) -> tuple[Array, Array]:
    """Odds ratio (n,) of the query's name in the nearest hundredth of allowed rows, and p (n,); NaN without a match.

    The ratio of (in top, same name) to the rest, ad / bc, with 0.5 added to each cell where one is empty; p by the
    exact test of Fisher, one-sided. Arguments as of `recall_at_1`.
    """
    unit = unit_rows(np.asarray(values, np.float64))
    ratios, ps = np.full(len(names), np.nan), np.full(len(names), np.nan)
    for row in range(len(names)):
        allowed = excluded != excluded[row]
        allowed[row] = False
        same = names[allowed] == names[row]
        if not same.any() or same.all():
            continue
        near = np.zeros(len(same), bool)
        count = max(1, int(np.ceil(_NEAR * len(same))))
        near[np.argsort(-(unit[allowed] @ unit[row]), kind="stable")[:count]] = True
        cells = np.array(
            [(near & same).sum(), (near & ~same).sum(), (~near & same).sum(), (~near & ~same).sum()], float
        )
        ps[row] = hypergeom.sf(cells[0] - 1, len(same), same.sum(), count)
        if (cells == 0).any():
            cells += 0.5
        ratios[row] = cells[0] * cells[3] / (cells[1] * cells[2])
    return ratios, ps


def ready_files(root: Path) -> dict[str, Callable[[], FeatureTable]]:
    """Profiles of the download: `<model>_normalized.parquet`, in the folder or in folders named by split."""
    files = sorted(root.rglob("*_normalized.parquet")) if root.is_dir() else []
    splits = {file.parent for file in files}
    return {
        (file.name if len(splits) < 2 else f"{file.parent.name}/{file.name}").removesuffix(
            "_normalized.parquet"
        ): partial(_read, file)
        for file in files
    }


def ready_plates(root: Path) -> dict[str, Callable[[], FeatureTable]]:
    """Profiles of plates put together by what follows the plate's name: `normalized_negcon`, `normalized`."""
    groups: dict[str, list[Path]] = {}
    for file in sorted(root.rglob("*_normalized*")) if root.is_dir() else []:
        if file.name.endswith((".csv", ".csv.gz", ".parquet")):
            groups.setdefault(file.name.partition("_")[2].split(".")[0], []).append(file)
    return {ending: partial(_together, files) for ending, files in groups.items()}


MORPHOHELM = Benchmark(
    name="morphohelm",
    title="MorphoHELM (same perturbation, ready profiles)",
    channels=(),
    where=MORPHOHELM_WHERE,
    protocol="nearest profile by cosine at NR, NSB, NSS and NSL; enrichment of targets",
    load=load,
    score=partial(score, name="morphohelm"),
    profile_items=profile_items,
    is_control=is_control,
    ready=ready_files,
)
CPJUMP1 = replace(
    MORPHOHELM,
    name="cpjump1",
    title="CPJUMP1 (same perturbation, ready profiles)",
    where=CPJUMP1_WHERE,
    protocol="nearest profile by cosine at NR, NSB and NSL; enrichment of targets",
    score=partial(score, name="cpjump1"),
    ready=ready_plates,
)


def _targets(values: Array, items: Sequence[Image], names: Array, prefix: str) -> list[Score]:
    """Share of perturbations whose target is enriched among their nearest hundredth (Fisher's exact test)."""
    fact = _first_fact(items, _TARGETS)
    if fact is None:
        return []
    every, codes = np.unique(names.astype(str), return_inverse=True)
    means = group_means(values, codes)
    first = np.unique(codes, return_index=True)[1]
    targets = column([items[row] for row in first], fact).astype(str)
    ratios, ps = enrichment(means, names=targets, excluded=every)
    targeted = ~np.isnan(ratios) & ~np.isin(np.char.lower(targets.astype(str)), list(_CONTROLS))
    if not targeted.any():
        return []
    return [
        Score(
            f"{prefix} · {fact} enrichment",
            every[targeted].astype(object),
            targets[targeted].astype(object),
            shares=(ps[targeted] < 0.05).astype(np.float64),
            clusters=targets[targeted].astype(object),
            cluster_name=fact,
            measure="share enriched",
            details={
                "protocol": "same target among the nearest hundredth of mean profiles, Fisher p < 0.05; chance 5 %",
                "odds_ratio": float(np.exp(np.log(ratios[targeted]).mean())),
            },
        )
    ]


def _first_fact(items: Sequence[Image], names: Sequence[str] | None) -> str | None:
    return next((name for name in names or () if all(name in item.metadata for item in items)), None)


def _read(file: Path) -> FeatureTable:
    table = read_features(file)
    return replace(table, about=table.about | {"split": file.parent.name})


def _together(files: Sequence[Path]) -> FeatureTable:
    """Wells of several plates with the features that all have; `about` names those that some lack."""
    tables = [read_features(file, drop_nan=True) for file in files]
    common = [name for name in tables[0].names if all(name in table.names for table in tables)]
    if not common:
        raise InputError(f"{files[0]} and the other plates have no feature in common")
    facts = [name for name in tables[0].metadata if all(name in table.metadata for table in tables)]
    parts = [table.values[:, [table.names.index(name) for name in common]] for table in tables]
    metadata = {str(name): [value for table in tables for value in table.metadata[name]] for name in facts}
    ids = [
        f"{file.name.partition('_')[0]}/{row}" for file, table in zip(files, tables, strict=True) for row in table.ids
    ]
    left_out = sorted({name for table in tables for name in table.names} - set(common))
    about = {"files": [file.name for file in files], "features_that_plates_lack": left_out}
    return make_table(ids, np.concatenate(parts), metadata, names=common, about=about)
