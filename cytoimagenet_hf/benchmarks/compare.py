"""Scores as results: the interval of each, and paired tests between them that respect what the items share.

Cells of one plate, and doses of one compound, are right or wrong together. A test that takes them for independent
rejects more than half of the true null hypotheses on 6 plates of 400 cells, so where groups are known whole groups
exchange the two models' names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm, t
from sklearn.metrics import confusion_matrix

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.scoring import stats
from cytoimagenet_hf.scoring.contamination import Overlap, marks
from cytoimagenet_hf.scoring.results import Comparison, Kind, ScoreRecord

from . import macro
from .base import Score

LEVEL = 0.05
MACRO = "macro F1"
"""The measure that is not a mean over items."""
_POWER = 0.8
Scores = Mapping[tuple[str, str], Score]
Outcomes = npt.NDArray[np.float64]


def summarise_score(
    score: Score, *, task: str, entry: str, kind: Kind, overlaps: Sequence[Overlap] = (), seed: int
) -> ScoreRecord:
    """One result: accuracy, intervals, shares by class, confusion, details of the protocol.

    Args:
        score: predictions of one entry on one set.
        task: its benchmark.
        entry: name of the entry.
        kind: of the entry.
        overlaps: what its training shares with the benchmark.
        seed: of the bootstrap.
    """
    outcomes, n = score.outcomes, len(score.ids)
    right = None if score.predictions is None else int(score.correct.sum())
    classes = [] if score.predictions is None else sorted(set(score.references) | set(score.predictions))
    shares = pd.Series(outcomes).groupby(score.references).mean()
    groups = None if score.clusters is None else len(set(score.clusters))
    by_group = None
    is_macro = score.measure == MACRO
    if is_macro:
        items = score.ids if score.clusters is None else score.clusters
        by_group = macro.interval(_counts(score, items), seed=seed)
    elif score.clusters is not None and groups is not None and groups > 1:
        by_group = stats.cluster_bootstrap(outcomes, score.clusters.astype(str), seed=seed)
    half = _half_width(outcomes) if right is None else stats.wald_half_width(right, n)
    if is_macro and by_group is not None:
        half = (by_group[1] - by_group[0]) / 2
    return ScoreRecord(
        task=task,
        set=score.name,
        entry=entry,
        kind=kind,
        n=n,
        right=right,
        value=statistic(score),
        wald_half_width=half,
        wilson=None if right is None or is_macro else stats.wilson_interval(right, n),
        cluster=score.cluster_name,
        groups=groups,
        cluster_interval=by_group,
        per_class={str(name): float(share) for name, share in shares.items()},
        classes=tuple(str(name) for name in classes),
        confusion=tuple(
            tuple(int(count) for count in row)
            for row in (confusion_matrix(score.references, score.predictions, labels=classes) if classes else ())
        ),
        details=dict(score.details),
        marks=marks(overlaps),
        contamination=tuple(overlaps),
        measure=score.measure,
    )


def statistic(score: Score) -> float:
    """What a score is in one number: the mean of its outcomes, or macro F1."""
    if score.measure == MACRO:
        return float(macro.macro_f1(_counts(score, score.ids).sum(axis=0)))
    return float(score.outcomes.mean())


def compare_pairs(scores: Scores, *, entries: Sequence[str], sets: Sequence[str], seed: int) -> tuple[Comparison, ...]:
    """Every two entries on every set both were scored on, adjusted by Holm over the sets of a pair.

    The entry whose name comes first in the alphabet is subtracted, so that the sign of a difference does not depend on
    the order in which models were named.
    """
    comparisons: list[Comparison] = []
    for first, second in combinations(sorted(entries), 2):
        common = [name for name in sets if (first, name) in scores and (second, name) in scores]
        comparisons += adjust([_named(scores, first, second, name, seed) for name in common])
    return tuple(comparisons)


def compare_with_best(
    scores: Scores, *, entries: Sequence[str], baselines: Sequence[str], sets: Sequence[str], seed: int
) -> tuple[Comparison, ...]:
    """Every entry's gain over the best baseline of each set, adjusted by Holm over the sets.

    The best baseline is chosen on the scored items themselves, which favours it: a gain shown here is not overstated.
    """
    best = {}
    for name in sets:
        scored = [baseline for baseline in baselines if (baseline, name) in scores]
        if scored:
            best[name] = max(scored, key=lambda baseline: statistic(scores[baseline, name]))
    comparisons: list[Comparison] = []
    for entry in entries:
        common = [name for name in sets if name in best and (entry, name) in scores]
        comparisons += adjust([_named(scores, best[name], entry, name, seed) for name in common])
    return tuple(comparisons)


def adjust(pairs: Sequence[Comparison]) -> list[Comparison]:
    """Holm's adjustment over the comparisons that have a p-value."""
    tested = [pair for pair in pairs if pair.p is not None]
    adjusted = iter(stats.holm([pair.p for pair in tested if pair.p is not None]))
    return [replace(pair, p_holm=float(next(adjusted))) if pair.p is not None else pair for pair in pairs]


def compare(first: Score, second: Score, *, names: tuple[str, str], seed: int) -> Comparison:
    """Two entries on the same items, joined by id.

    Args:
        first: subtracted.
        second: the other.
        names: of the two entries.
        seed: of permutations and bootstrap.

    Raises:
        InputError: they were scored on different items, against different labels, or with other groups.
    """
    order = pd.Index(second.ids).get_indexer(pd.Index(first.ids))
    if len(first.ids) != len(second.ids) or (order < 0).any():
        raise InputError(f"{first.name}: two models were scored on different items; compare like with like")
    if first.measure != second.measure:
        raise InputError(f"{first.name}: {first.measure} and {second.measure} are not a pair; compare like with like")
    a, b = first.outcomes, second.outcomes[order]
    if not np.array_equal(first.references, second.references[order]):
        raise InputError(f"{first.name}: two models were scored against different labels; use one recipe for both")
    if first.clusters is not None and not np.array_equal(first.clusters, _reordered(second.clusters, order)):
        raise InputError(f"{first.name}: two models were scored with different groups; use one table of groups")
    groups = None if first.clusters is None else first.clusters.astype(str)
    if first.measure == MACRO:
        compared = _by_counts(first, second, order, seed)
    elif groups is not None:
        compared = _by_groups(a, b, groups, seed)
    else:
        compared = _by_items(a, b) if first.shares is None else _by_shares(a, b, seed)
    return Comparison(
        set=first.name,
        first=names[0],
        second=names[1],
        n=len(a),
        difference=statistic(second) - statistic(first),
        only_first=int((a > b).sum()),
        only_second=int((b > a).sum()),
        cluster=first.cluster_name,
        p_holm=None,
        **compared,
    )


def smallest_p(groups: int) -> float:
    """The smallest two-sided p-value that exchanging this many groups can give: 2 of 2^G labellings.

    Example:
        >>> smallest_p(5), smallest_p(6)
        (0.0625, 0.03125)
    """
    return float(2.0 ** (1 - groups))


def _by_items(a: Outcomes, b: Outcomes) -> dict[str, Any]:
    """Items are independent as far as anyone knows."""
    gain = b - a
    half = _half_width(gain)
    share = float((a != b).mean())
    detectable = stats.minimum_detectable_difference(len(a), discordance=share) if share else None
    return {
        "interval": (float(gain.mean()) - half, float(gain.mean()) + half),
        "test": "exact McNemar",
        "groups": None,
        "p": stats.mcnemar_exact(a, b),
        "detectable": detectable if detectable is not None and np.isfinite(detectable) else None,
        "error": _error(gain, np.arange(len(gain))),
    }


def _by_counts(first: Score, second: Score, order: npt.NDArray[Any], seed: int) -> dict[str, Any]:
    """Macro F1 of two models, groups (or items, where none are known) exchanged and drawn by their counts."""
    groups = first.ids if first.clusters is None else first.clusters
    # One set of classes for both: the predictions of either enter the counts of the other as empty ones.
    everything = np.concatenate([first.references, _predicted(first), _predicted(second)]).astype(str)
    classes = np.unique(everything)
    a = macro.group_counts(first.references, _predicted(first), groups, classes=classes)
    b = macro.group_counts(first.references, _predicted(second)[order], groups, classes=classes)
    testable = smallest_p(len(a)) <= LEVEL
    ends = macro.interval(b, seed=seed, minus=a)
    # The interval is of Student's t with G - 1 degrees of freedom.
    error = None if ends is None else (ends[1] - ends[0]) / 2 / float(t.ppf(0.975, len(a) - 1))
    return {
        "interval": ends,
        "test": ("none" if not testable else "item permutation" if first.clusters is None else "group permutation"),
        "groups": None if first.clusters is None else len(a),
        "p": macro.exchanged(a, b, seed=seed) if testable else None,
        "detectable": _detectable(error),
        "error": error or None,
    }


def _counts(score: Score, groups: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return macro.group_counts(score.references, _predicted(score), groups)


def _predicted(score: Score) -> npt.NDArray[Any]:
    if score.predictions is None:
        raise InputError(f"{score.name}: {MACRO} needs predictions")
    return score.predictions


def _by_shares(a: Outcomes, b: Outcomes, seed: int) -> dict[str, Any]:
    """Items are independent as far as anyone knows, and each has a share: the models' names are exchanged by item."""
    gain = b - a
    error = _error(gain, np.arange(len(a)))
    testable = smallest_p(len(a)) <= LEVEL
    return {
        "interval": (float(gain.mean()) - _half_width(gain), float(gain.mean()) + _half_width(gain)),
        "test": "item permutation" if testable else "none",
        "groups": None,
        "p": stats.paired_permutation(a, b, seed=seed) if testable else None,
        "detectable": _detectable(error),
        "error": error,
    }


def _half_width(values: Outcomes) -> float:
    """Half of the 95 % interval of a mean by the normal approximation."""
    return float(norm.ppf(0.975) * values.std() / np.sqrt(len(values)))


def _by_groups(a: Outcomes, b: Outcomes, groups: npt.NDArray[Any], seed: int) -> dict[str, Any]:
    """Groups are independent, what is inside them is not."""
    gain = b - a
    error = _error(gain, groups)
    count = len(set(groups))
    testable = smallest_p(count) <= LEVEL
    return {
        "interval": stats.cluster_bootstrap(gain, groups, seed=seed) if count > 1 else None,
        "test": "group permutation" if testable else "none",
        "groups": count,
        "p": stats.paired_permutation(a, b, seed=seed, groups=groups) if testable else None,
        "detectable": _detectable(error),
        "error": error,
    }


def _detectable(error: float | None) -> float | None:
    """(z of the level + z of the power) standard errors."""
    return float((norm.ppf(1 - LEVEL / 2) + norm.ppf(_POWER)) * error) if error else None


def _error(gain: npt.NDArray[np.float64], groups: npt.NDArray[Any]) -> float | None:
    """Standard error of the mean gain, as groups spread; None where nothing spreads."""
    sums = pd.Series(gain).groupby(groups).agg(["sum", "size"])
    count = len(sums)
    spread = float(((sums["sum"] - sums["size"] * gain.mean()) ** 2).sum())
    if count < 2 or spread == 0:
        return None
    return float(np.sqrt(count / (count - 1) * spread) / len(gain))


def _named(scores: Scores, first: str, second: str, name: str, seed: int) -> Comparison:
    return compare(scores[first, name], scores[second, name], names=(first, second), seed=seed)


def _reordered(clusters: npt.NDArray[Any] | None, order: npt.NDArray[Any]) -> Any:
    return None if clusters is None else clusters[order]
