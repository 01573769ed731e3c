"""One difference from many sets: what a record's paired comparisons say together, set by set pooled."""

from collections.abc import Iterable, Sequence

from cytoimagenet_hf.scoring.pooling_over_sets import pool_effects
from cytoimagenet_hf.scoring.results import Comparison, PooledGain, ResultsRecord

BEST_BASELINE = "best baseline"
"""Stands for the baseline that is best on each set, which differs from set to set."""
REDRAWN = "redrawn"
"""Ends the name of a network's twins in a comparison: `NAME, redrawn`."""


def pool_record(record: ResultsRecord) -> tuple[PooledGain, ...]:
    """Every difference that was measured on two sets or more, pooled over the sets of one measure.

    First the gains over the best baseline, then what training gave, then models and fusions against each other. Sets
    are taken for independent; the tests of one task that share their training set are so given what they share.

    Args:
        record: with its comparisons.
    """
    measures = {(score.entry, score.set): score.measure for score in record.scores}
    gains = _pooled(record.gains, measures, first=BEST_BASELINE)
    training = _pooled([one.gain for one in record.training], measures)
    return (*gains, *training, *_pooled(record.comparisons, measures))


def comparisons_of(record: ResultsRecord, pooled: PooledGain) -> list[Comparison]:
    """The comparisons behind a pooled difference, in the order of its sets."""
    every = [*record.gains] if pooled.first == BEST_BASELINE else [*record.comparisons]
    every += [one.gain for one in record.training]
    own = {pair.set: pair for pair in every if pair.second == pooled.second and _first(pooled, pair)}
    return [own[name] for name in pooled.sets]


def _first(pooled: PooledGain, pair: Comparison) -> bool:
    if pooled.first == BEST_BASELINE:
        return not pair.first.endswith(f", {REDRAWN}")
    return pair.first == pooled.first


def _pooled(
    pairs: Iterable[Comparison], measures: dict[tuple[str, str], str], *, first: str | None = None
) -> list[PooledGain]:
    together: dict[tuple[str, str, str], list[Comparison]] = {}
    for pair in pairs:
        key = (measures[pair.second, pair.set], first or pair.first, pair.second)
        together.setdefault(key, []).append(pair)
    return [_pool(key, own) for key, own in together.items() if sum(pair.error is not None for pair in own) > 1]


def _pool(key: tuple[str, str, str], pairs: Sequence[Comparison]) -> PooledGain:
    measure, first, second = key
    usable = [(pair, pair.error) for pair in pairs if pair.error is not None]
    found = pool_effects([pair.difference for pair, _ in usable], [error for _, error in usable])
    return PooledGain(
        measure=measure,
        first=first,
        second=second,
        sets=tuple(pair.set for pair, _ in usable),
        left_out=tuple(pair.set for pair in pairs if pair.error is None),
        difference=found.estimate,
        interval=(found.interval.low, found.interval.high),
        p=found.p,
        spread=found.spread,
        heterogeneity=found.heterogeneity,
        prediction=None if found.prediction is None else (found.prediction.low, found.prediction.high),
        weights=found.weights,
        detectable=found.detectable,
    )
