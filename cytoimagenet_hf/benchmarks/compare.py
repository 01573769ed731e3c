"""Scores as results: the interval of each, and paired tests between them that respect what the items share.

Cells of one plate, and doses of one compound, are right or wrong together. A test that takes them for independent
rejects more than half of the true null hypotheses on 6 plates of 400 cells, so where groups are known whole groups
exchange the two models' names.
"""

from collections.abc import Iterable, Mapping, Sequence
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
from cytoimagenet_hf.scoring.pooling_over_sets import pool_effects
from cytoimagenet_hf.scoring.results import Comparison, Kind, PooledGain, ResultsRecord, ScoreRecord

from . import macro
from .base import Score

LEVEL = 0.05
MACRO = "macro F1"
"""The measure that is not a mean over items."""
BEST_BASELINE = "best baseline"
"""Stands for the baseline that is best on each set, which differs from set to set."""
_POWER = 0.8
Scores = Mapping[tuple[str, str], Score]
Outcomes = npt.NDArray[np.float64]


def summarise_score(
    score: Score, *, task: str, entry: str, kind: Kind, overlaps: Sequence[Overlap] = (), seed: int
) -> ScoreRecord:
    """One entry on one set: accuracy, intervals, shares by class, confusion, details of the protocol.

    `overlaps` is what its training shares with the benchmark.
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
        common = [name for name in best if (entry, name) in scores]
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
    clusters: Any = None if second.clusters is None else second.clusters[order]
    if first.clusters is not None and not np.array_equal(first.clusters, clusters):
        raise InputError(f"{first.name}: two models were scored with different groups; use one table of groups")
    groups = None if first.clusters is None else first.clusters.astype(str)
    if first.measure == MACRO:
        compared = _by_counts(first, second, order, seed)
    else:
        compared = _by_mean(a, b, groups, seed, binary=first.shares is None)
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


def _by_mean(a: Outcomes, b: Outcomes, groups: npt.NDArray[Any] | None, seed: int, *, binary: bool) -> dict[str, Any]:
    """Groups are independent, what is inside them is not; without groups items are, as far as anyone knows."""
    gain = b - a
    error = _error(gain, np.arange(len(gain)) if groups is None else groups)
    count = len(gain) if groups is None else len(set(groups))
    interval: tuple[float, float] | None = None
    if groups is None:
        half = _half_width(gain)
        interval = (float(gain.mean()) - half, float(gain.mean()) + half)
    elif count > 1:
        interval = stats.cluster_bootstrap(gain, groups, seed=seed)
    test, p, detectable = "none", None, _detectable(error)
    if groups is None and binary:
        test, p = "exact McNemar", stats.mcnemar_exact(a, b)
        share = float((a != b).mean())
        smallest = stats.minimum_detectable_difference(len(a), discordance=share) if share else np.inf
        detectable = smallest if np.isfinite(smallest) else None
    elif smallest_p(count) <= LEVEL:
        test = "item permutation" if groups is None else "group permutation"
        p = stats.paired_permutation(a, b, seed=seed, groups=groups)
    return {
        "interval": interval,
        "test": test,
        "groups": None if groups is None else count,
        "p": p,
        "detectable": detectable,
        "error": error,
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


def _half_width(values: Outcomes) -> float:
    """Half of the 95 % interval of a mean by the normal approximation."""
    return float(norm.ppf(0.975) * values.std() / np.sqrt(len(values)))


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


def pool_record(record: ResultsRecord) -> tuple[PooledGain, ...]:
    """Every difference that was measured on two sets or more, pooled over the sets of one measure.

    First the gains over the best baseline, then what training gave, then models and fusions against each other. Sets
    are taken for independent; the tests of one task that share their training set are so given what they share.
    """
    measures = {(score.entry, score.set): score.measure for score in record.scores}
    gains = _pooled(record.gains, measures, first=BEST_BASELINE)
    training = _pooled([gain.gain for gain in record.training], measures)
    return (*gains, *training, *_pooled(record.comparisons, measures))


def comparisons_of(record: ResultsRecord, pooled: PooledGain) -> list[Comparison]:
    """The comparisons behind a pooled difference, in the order of its sets."""
    if pooled.first == BEST_BASELINE:
        pairs = list(record.gains)
    else:
        measured = (*record.comparisons, *(gain.gain for gain in record.training))
        pairs = [pair for pair in measured if pair.first == pooled.first]
    by_set = {pair.set: pair for pair in pairs if pair.second == pooled.second}
    return [by_set[name] for name in pooled.sets]


def _pooled(
    pairs: Iterable[Comparison], measures: dict[tuple[str, str], str], *, first: str | None = None
) -> list[PooledGain]:
    together: dict[tuple[str, str, str], list[Comparison]] = {}
    for pair in pairs:
        key = (measures[pair.second, pair.set], first or pair.first, pair.second)
        together.setdefault(key, []).append(pair)
    return [_pool(*key, of) for key, of in together.items() if sum(pair.error is not None for pair in of) > 1]


def _pool(measure: str, first: str, second: str, pairs: Sequence[Comparison]) -> PooledGain:
    usable = [(pair, pair.error) for pair in pairs if pair.error is not None]
    effect = pool_effects([pair.difference for pair, _ in usable], [error for _, error in usable])
    return PooledGain(
        measure=measure,
        first=first,
        second=second,
        sets=tuple(pair.set for pair, _ in usable),
        left_out=tuple(pair.set for pair in pairs if pair.error is None),
        **vars(effect),
    )
