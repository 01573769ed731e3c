"""Scores as results: intervals of each, paired tests between them, adjusted over tasks (FACTS E6)."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from cytoimagenet_hf import stats
from cytoimagenet_hf.errors import InputError

from .base import Score


def summarise(score: Score, *, seed: int) -> dict[str, Any]:
    """One result, ready for JSON: accuracy, intervals, per-class shares, confusion, details of the protocol."""
    right, n = int(score.correct.sum()), len(score.ids)
    low, high = stats.wilson_interval(right, n)
    classes = sorted(set(score.references) | set(score.predictions))
    shares = pd.Series(score.correct).groupby(score.references).mean()
    cluster = None
    if score.clusters is not None and len(set(score.clusters)) > 1:
        cluster = [*stats.cluster_bootstrap(score.correct, score.clusters.astype(str), seed=seed)]
    return {
        "set": score.name,
        "n": n,
        "right": right,
        "accuracy": right / n,
        "wald_half_width": stats.wald_half_width(right, n),
        "wilson": [low, high],
        "cluster": score.cluster_name,
        "cluster_interval": cluster,
        "per_class": {str(name): float(share) for name, share in shares.items()},
        "confusion": {
            "classes": [str(name) for name in classes],
            "counts": confusion_matrix(score.references, score.predictions, labels=classes).tolist(),
        },
        "details": dict(score.details),
    }


def compare_pairs(
    scores: Mapping[tuple[str, str], Score], *, entries: Sequence[str], sets: Sequence[str]
) -> list[dict[str, Any]]:
    """Every two entries on every set both were scored on: difference, exact McNemar, Holm over the sets.

    Args:
        scores: (entry, set) → score.
        entries: names, in the order of the table.
        sets: names, in the order of the table.
    """
    results = []
    for first, second in combinations(entries, 2):
        common = [name for name in sets if (first, name) in scores and (second, name) in scores]
        pair = [compare(scores[first, name], scores[second, name]) for name in common]
        for result, adjusted in zip(pair, stats.holm([result["p"] for result in pair]), strict=True):
            results.append({"first": first, "second": second, **result, "p_holm": float(adjusted)})
    return results


def compare(first: Score, second: Score) -> dict[str, Any]:
    """Two models on the same items, joined by id.

    `smallest_significant` is the gain below which no result can be significant, `detectable` what 80 % power would
    find at the observed disagreement; None where no difference could be.

    Raises:
        InputError: they were scored on different items, or against different labels.
    """
    order = pd.Index(second.ids).get_indexer(pd.Index(first.ids))
    if len(first.ids) != len(second.ids) or (order < 0).any():
        raise InputError(f"{first.name}: two models were scored on different items; compare like with like")
    a, b = first.correct, second.correct[order]
    if not np.array_equal(first.references, second.references[order]):
        raise InputError(f"{first.name}: two models were scored against different labels; use one recipe for both")
    only_first, only_second = stats.discordant(a, b)
    n = len(a)
    share = (only_first + only_second) / n
    return {
        "set": first.name,
        "n": n,
        "difference": float(b.mean() - a.mean()),
        "only_first": only_first,
        "only_second": only_second,
        "p": stats.mcnemar_exact(a, b),
        "smallest_significant": _finite(stats.minimum_detectable_difference(n)),
        "detectable": _finite(stats.minimum_detectable_difference(n, discordance=share)) if share else None,
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
