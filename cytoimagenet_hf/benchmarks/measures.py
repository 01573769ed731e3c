"""What features can be asked beside nearest neighbours: replicates, shared targets, probes, few examples, mixing.

Arrays in, one outcome per item out, so that intervals and paired tests treat every measure alike. Where items share a
group (plate, compound, field), no measure lets a query learn from its own group.
"""

import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2, hypergeom
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.knn import kneighbors
from cytoimagenet_hf.seeding import derive_rng

Array = npt.NDArray[Any]
SHOTS = (1, 5, 10)
_QUERIES = 1000  # rows whose similarities are in memory at a time
_STRENGTHS = np.logspace(-4, 1, 6)  # C of the logistic regression


def replicate_precision(
    values: Array, *, treatments: Array, plates: Array, controls: Array, seed: int, null_size: int = 10_000
) -> pd.DataFrame:
    """How well replicates of a treatment on other plates are found among the controls of the query's own plate.

    Average precision by cosine similarity through copairs: positives are the same treatment on another plate,
    negatives the control wells of the query's own plate.

    Args:
        values: (n, d), one row per well.
        treatments: (n,) name of the treatment.
        plates: (n,) plate.
        controls: (n,) booleans, the negative controls.
        seed: of the null distribution.
        null_size: random rankings that make the null.

    Returns:
        One row per treatment with a replicate on another plate: treatment, mean_average_precision, p_value,
        corrected_p_value (Benjamini-Hochberg), wells.

    Raises:
        InputError: no treatment is on two plates, or no plate has controls; copairs is missing.
    """
    average_precision = _copairs().average_precision
    control = np.asarray(controls, bool)
    # Control wells form a treatment of their own on each plate, so that they are negatives and never positives.
    meta = pd.DataFrame(
        {
            "treatment": np.where(control, [f"control on {plate}" for plate in plates], treatments.astype(str)),
            "plate": plates.astype(str),
            "is_control": control,
        }
    )
    spread = meta[~control].groupby("treatment")["plate"].nunique()
    if not (spread > 1).any():
        raise InputError("no treatment is on two plates: replicate precision needs replicates on other plates")
    if not control.any():
        raise InputError("no control wells: replicate precision ranks replicates among controls")
    found = average_precision(
        meta,
        np.asarray(values, np.float32),
        pos_sameby=["treatment"],
        pos_diffby=["plate"],
        neg_sameby=["plate"],
        neg_diffby=["treatment", "is_control"],
        progress_bar=False,
    )
    found = found[~found["is_control"] & found["average_precision"].notna()]
    per_treatment = _mean_by(found, "treatment", null_size=null_size, seed=seed)
    wells = found.groupby("treatment").size()
    columns = ["treatment", "mean_average_precision", "p_value", "corrected_p_value"]
    return per_treatment[columns].assign(wells=lambda table: table["treatment"].map(wells)).reset_index(drop=True)


def target_precision(values: Array, *, compounds: Array, targets: Array, seed: int, null_size: int = 10_000) -> Any:
    """How well compounds of one target are found among all others ("phenotypic consistency").

    Args:
        values: (n, d), one profile per compound: the median of its wells, of active compounds only.
        compounds: (n,) unique names.
        targets: (n,) target or mechanism of each.
        seed: of the null distribution.
        null_size: random rankings that make the null.

    Returns:
        One row per target with two compounds or more: target, mean_average_precision, p_value, corrected_p_value.

    Raises:
        InputError: a compound occurs twice, or no target has two compounds; copairs is missing.
    """
    average_precision = _copairs().average_precision
    names = pd.Series(compounds.astype(str))
    if names.duplicated().any():
        raise InputError(
            f"compound {names[names.duplicated()].iloc[0]!r} has two profiles: take the median of its wells"
        )
    meta = pd.DataFrame({"compound": names, "target": targets.astype(str)})
    if meta["target"].value_counts().max() < 2:
        raise InputError("no target has two compounds: nothing can be consistent")
    found = average_precision(
        meta,
        np.asarray(values, np.float32),
        pos_sameby=["target"],
        pos_diffby=["compound"],
        neg_sameby=[],
        neg_diffby=["target"],
        progress_bar=False,
    )
    found = found[found["average_precision"].notna()]
    per_target = _mean_by(found, "target", null_size=null_size, seed=seed)
    return per_target[["target", "mean_average_precision", "p_value", "corrected_p_value"]].reset_index(drop=True)


def probe(values: Array, labels: Array, groups: Array, *, seed: int, folds: int = 5) -> Array:
    """Predictions (n,) of a logistic regression, each group predicted by a fit on other groups.

    The strength of the penalty is chosen by inner folds over the training groups, so that no group is seen twice.

    Args:
        values: (n, d).
        labels: (n,).
        groups: (n,) plate, field or compound.
        seed: of the folds.
        folds: outer folds; fewer where there are fewer groups.

    Raises:
        InputError: fewer than three groups, or a fold whose training groups hold a single class.
    """
    count = len(np.unique(groups))
    if count < 3:
        raise InputError(f"{count} groups: a probe needs three, one to predict and two to choose the penalty by")
    predictions = np.empty(len(labels), dtype=object)
    for train, test in _group_folds(labels, groups, folds=folds, seed=seed):
        if len(set(labels[train])) < 2:
            raise InputError("classes coincide with groups: without a group its class is unknown, so no probe is fair")
        predictions[test] = probe_transfer(values[train], labels[train], groups[train], values[test], seed=seed)
    return predictions


def probe_transfer(train: Array, labels: Array, groups: Array, test: Array, *, seed: int) -> Array:
    """Predictions (n,) of a logistic regression fitted on a training set.

    The strength of the penalty is chosen by inner folds over the training groups.

    Args:
        train: (m, d).
        labels: (m,).
        groups: (m,) of the training rows.
        test: (n, d).
        seed: of the inner folds.

    Raises:
        InputError: fewer than two groups.
    """
    count = len(np.unique(groups))
    if count < 2:
        raise InputError(f"{count} training groups: two are needed to choose the penalty by")
    inner = _group_folds(labels, groups, folds=3, seed=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    search = GridSearchCV(model, {"logisticregression__C": _STRENGTHS}, cv=inner, error_score=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an inner fold that lacks a class is what small screens have
        search.fit(train, labels.astype(str))
    return np.asarray(search.predict(test), dtype=object)


def few_shot(
    values: Array,
    labels: Array,
    groups: Array,
    *,
    shots: Sequence[int] = SHOTS,
    seeds: int = 20,
    seed: int,
    train: npt.NDArray[np.bool_] | None = None,
) -> dict[int, Array]:
    """How often each item is named right from a few examples of each class in other groups.

    For each draw, `shots` examples per class are taken from the groups outside the query's fold; features are scaled
    by those groups, and the query takes the class of the nearest mean by cosine.

    Args:
        values: (n, d).
        labels: (n,).
        groups: (n,).
        shots: examples per class.
        seeds: draws.
        seed: of the draws and folds.
        train: (n,) true for the rows that examples come from, all others being queries; None: folds of groups.

    Returns:
        shots → (n,) share of draws in which each item is right; 0 for rows of `train`.

    Raises:
        InputError: fewer than two groups, or a class with too few examples outside a fold.
    """
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    right = {n: np.zeros(len(labels)) for n in shots}
    for fold, (known, test) in enumerate(_folds_of_groups(codes, groups, seed, train)):
        scaler = StandardScaler().fit(values[known])
        scaled, queries = scaler.transform(values[known]), scaler.transform(values[test])
        members = [np.flatnonzero(codes[known] == code) for code in range(len(names))]
        short = [name for name, own in zip(names, members, strict=True) if len(own) < max(shots)]
        if short:
            raise InputError(
                f"class '{short[0]}' has fewer than {max(shots)} examples outside one fold of groups: ask for fewer"
            )
        for draw in range(seeds):
            rng = derive_rng(seed, "few-shot", f"{fold}/{draw}")
            order = [rng.permutation(own) for own in members]
            for n in shots:
                means = np.stack([scaled[own[:n]].mean(axis=0) for own in order])  # (K, D)
                right[n][test] += np.argmax(_unit(queries) @ _unit(means).T, axis=1) == codes[test]
    return {n: total / seeds for n, total in right.items()}


def possible_shots(
    labels: Array,
    groups: Array,
    *,
    seed: int,
    shots: Sequence[int] = SHOTS,
    train: npt.NDArray[np.bool_] | None = None,
) -> list[int]:
    """Those numbers of examples that every class has outside every fold of groups.

    Args:
        labels: (n,).
        groups: (n,).
        seed: of the folds, as for `few_shot`.
        shots: what is asked for.
        train: as for `few_shot`.

    Raises:
        InputError: a class lies in one fold, so that not even one example is outside.
    """
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    counts = np.array(
        [np.bincount(codes[known], minlength=len(names)) for known, _ in _folds_of_groups(codes, groups, seed, train)]
    )  # (F, K)
    found = [n for n in shots if n <= counts.min()]
    if not found:
        scarce = str(names[counts.min(axis=0).argmin()])
        raise InputError(f"class {scarce!r} has no example outside one fold of groups: few-shot cannot be asked")
    return found


def _folds_of_groups(
    codes: Array, groups: Array, seed: int, train: npt.NDArray[np.bool_] | None
) -> list[tuple[Array, Array]]:
    if train is not None:
        return [(np.flatnonzero(train), np.flatnonzero(~train))]
    if len(np.unique(groups)) < 2:
        raise InputError("only one group: examples must come from other groups than the query")
    return _group_folds(codes, groups, folds=5, seed=seed)


def _group_folds(labels: Array, groups: Array, *, folds: int, seed: int) -> list[tuple[Array, Array]]:
    """(training rows, test rows) of folds that divide no group; fewer folds where groups or members are few."""
    _, members = np.unique(labels.astype(str), return_counts=True)
    count = max(2, min(folds, len(np.unique(groups)), int(members.max())))
    split = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer members than folds is what small screens have
        found = list(split.split(np.zeros((len(labels), 1)), labels.astype(str), groups.astype(str)))
    return [(train, test) for train, test in found if len(test) and len(train)]


def mixing_rejection(values: Array, batches: Array, *, k: int | None = None, level: float = 0.05) -> float:
    """Share of items whose neighbourhood does not mix batches as the whole set does (kBET; Büttner et al. 2019).

    Near `level` where batches are mixed, 1 where they are separate. Features that know nothing mix perfectly, so this
    number is read beside a label score, never alone.

    Args:
        values: (n, d).
        batches: (n,).
        k: neighbours; by default a quarter of the mean batch size, at least 10.
        level: of each chi-square test.

    Raises:
        InputError: one batch.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> apart = np.r_[rng.normal(0, 1, (100, 2)), rng.normal(50, 1, (100, 2))]
        >>> mixing_rejection(apart, np.repeat(["a", "b"], 100))
        1.0
    """
    names, codes = np.unique(batches.astype(str), return_inverse=True)
    if len(names) < 2:
        raise InputError(f"only one batch ({str(names[0])!r}): nothing can be mixed")
    k = k or int(np.clip(len(values) / len(names) / 4, 10, len(values) - 1))
    _, neighbours = kneighbors(values, values, k, exclude=np.arange(len(values)))
    counts = np.stack([(codes[neighbours] == code).sum(axis=1) for code in range(len(names))], axis=1)  # (n, B)
    expected = k * np.bincount(codes) / len(codes)
    statistic = ((counts - expected) ** 2 / expected).sum(axis=1)
    return float((chi2.sf(statistic, len(names) - 1) < level).mean())


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
    unit = _unit(np.asarray(values, np.float64))
    _, said = np.unique(names.astype(str), return_inverse=True)
    _, barred = np.unique(excluded.astype(str), return_inverse=True)
    found = np.full(len(values), np.nan)
    for start in range(0, len(values), _QUERIES):
        rows = np.arange(start, min(start + _QUERIES, len(values)))
        allowed = barred[rows, None] != barred[None, :]  # (Q, n)
        matched = (allowed & (said[rows, None] == said[None, :])).any(axis=1)
        nearest = np.where(allowed, unit[rows] @ unit.T, -np.inf).argmax(axis=1)
        found[rows] = np.where(matched, said[nearest] == said[rows], np.nan)
    return found


def enrichment(values: Array, *, names: Array, excluded: Array, share: float = 0.01) -> tuple[Array, Array]:
    """Odds ratio (n,) of the query's name among its nearest `share` of allowed rows, and p (n,); NaN without a match.

    The ratio of (in top, same name) to the rest, ad / bc, with 0.5 added to each cell where one is empty; p by the
    exact test of Fisher, one-sided.

    Args:
        values: (n, d).
        names: (n,) as in `recall_at_1`.
        excluded: (n,) as in `recall_at_1`.
        share: of the allowed rows that count as near.
    """
    unit = _unit(np.asarray(values, np.float64))
    ratios, ps = np.full(len(names), np.nan), np.full(len(names), np.nan)
    for row in range(len(names)):
        allowed = excluded != excluded[row]
        allowed[row] = False
        same = names[allowed] == names[row]
        if not same.any() or same.all():
            continue
        near = np.zeros(len(same), bool)
        count = max(1, int(np.ceil(share * len(same))))
        near[np.argsort(-(unit[allowed] @ unit[row]), kind="stable")[:count]] = True
        cells = np.array(
            [(near & same).sum(), (near & ~same).sum(), (~near & same).sum(), (~near & ~same).sum()], float
        )
        ps[row] = hypergeom.sf(cells[0] - 1, len(same), same.sum(), count)
        if (cells == 0).any():
            cells += 0.5
        ratios[row] = cells[0] * cells[3] / (cells[1] * cells[2])
    return ratios, ps


def _unit(values: Array) -> Array:
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(length == 0, 1, length))


def _mean_by(found: pd.DataFrame, name: str, *, null_size: int, seed: int) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as scratch:  # copairs keeps its null distributions in the home folder otherwise
        return pd.DataFrame(
            _copairs().mean_average_precision(
                found,
                sameby=[name],
                null_size=null_size,
                threshold=0.05,
                seed=seed,
                progress_bar=False,
                max_workers=1,
                cache_dir=scratch,
            )
        )


def _copairs() -> Any:
    try:
        import copairs.map
    except ImportError as error:
        raise InputError(
            'replicate and target precision need copairs: pip install "cytoimagenet-hf[profiles]"'
        ) from error
    return copairs.map
