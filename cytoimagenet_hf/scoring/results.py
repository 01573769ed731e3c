"""The typed record of a benchmark run: what tables, figures, cards, reports and the leaderboard read.

A record is complete enough to run the benchmark again and to draw every table without the features. It is written as
JSON by `to_json` and read back by `read_results`, which refuses what is not such a record.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import read_json_file

from .contamination import Overlap

Kind = Literal["model", "fusion", "control", "baseline", "stage", "redrawn"]
Ends = tuple[float, float]


@dataclass(frozen=True)
class EntryRecord:
    """What was scored: a model, a fusion, a control, a baseline, one stage of a model, or a redrawn twin of either.

    Attributes:
        name: unique within the record.
        kind: what it is.
        about: model, weights, method and whatever else made its features.
    """

    name: str
    kind: Kind
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreRecord:
    """One entry on one scored set.

    Attributes:
        task: benchmark.
        set: scored set: `bbbc021`, `coos7/test1`.
        entry: name of the entry.
        kind: of the entry.
        n: items scored.
        right: of them, right; None where a measure gives every item a share.
        value: the mean outcome: right / n, or the mean share.
        wald_half_width: half of the 95 % interval by the normal approximation, as the paper gives it.
        wilson: 95 % Wilson interval of right / n; None for shares.
        cluster: what items share, such as `compound` or `plate`; None where the download does not tell.
        groups: number of such groups.
        cluster_interval: 95 % interval by resampling groups.
        per_class: class → mean outcome.
        classes: of the confusion matrix.
        confusion: items by true (row) and predicted (column) class.
        details: further numbers of the protocol.
        marks: of contamination, as tables show them.
        contamination: what training shares with the set.
        measure: what `value` is: `accuracy`, `replicate mAP`, `5-shot accuracy`.
    """

    task: str
    set: str
    entry: str
    kind: Kind
    n: int
    right: int | None
    value: float
    wald_half_width: float
    wilson: Ends | None
    cluster: str | None
    groups: int | None
    cluster_interval: Ends | None
    per_class: Mapping[str, float]
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    marks: str = ""
    contamination: tuple[Overlap, ...] = ()
    measure: str = "accuracy"

    @property
    def interval(self) -> Ends:
        """By groups where there are groups: cells of one plate are not independent."""
        plain = (max(0.0, self.value - self.wald_half_width), min(1.0, self.value + self.wald_half_width))
        return self.cluster_interval or self.wilson or plain


@dataclass(frozen=True)
class Comparison:
    """Two entries on the same items: `second` minus `first`.

    Attributes:
        set: scored set.
        first: the entry that is subtracted.
        second: the other.
        n: common items.
        difference: of the mean outcomes.
        interval: 95 % of the difference, by resampling groups; of independent items where no groups are known; None:
            a single group.
        only_first: items that only the first gets right, or on which it has the larger share.
        only_second: the same of the second.
        test: `group permutation`; where no groups are known `exact McNemar`, for shares `item permutation`; or `none`.
        groups: how many groups were exchanged; None for items.
        cluster: what the groups are.
        p: two-sided; None where no test can reach 0.05.
        p_holm: adjusted over the sets.
        detectable: the difference that 80 % power would find, from the spread seen; None where nothing differs.
        error: standard error of the difference, as groups spread; None where nothing differs, or for one group.
    """

    set: str
    first: str
    second: str
    n: int
    difference: float
    interval: Ends | None
    only_first: int
    only_second: int
    test: Literal["group permutation", "exact McNemar", "item permutation", "none"]
    groups: int | None
    cluster: str | None
    p: float | None
    p_holm: float | None
    detectable: float | None
    error: float | None = None


@dataclass(frozen=True)
class PooledGain:
    """One difference from all sets of a measure together.

    Attributes:
        measure: of the sets.
        first: the entry that is subtracted, or what stands for another one in each set.
        second: the other.
        sets: that were pooled.
        left_out: sets on which nothing differs, so that they have no standard error.

    The other numbers are those of `pooling_over_sets.PooledEffect`.
    """

    measure: str
    first: str
    second: str
    sets: tuple[str, ...]
    left_out: tuple[str, ...]
    difference: float
    interval: Ends
    p: float
    spread: float
    heterogeneity: float
    prediction: Ends | None
    weights: tuple[float, ...]
    detectable: float


@dataclass(frozen=True)
class LadderStep:
    """A rung of the nuisance ladder on one set; see `benchmarks.nuisances`.

    Attributes:
        set: scored set.
        step: `largest class`, a nuisance, `all nuisances`, `features`, or `features without nuisances`.
        model: whose features; empty for nuisances.
        value: accuracy.
        interval: 95 % of it.
        n: items scored.
        columns: how many numbers describe an item.
        protocol: in words.
        change: features over all nuisances, or what is left over the features; None for nuisances.
    """

    set: str
    step: str
    model: str
    value: float
    interval: Ends
    n: int
    columns: int
    protocol: str
    change: Comparison | None = None


@dataclass(frozen=True)
class TrainingGain:
    """What training gave to one way of taking features of a model on one set: trained minus redrawn weights.

    Attributes:
        set: scored set.
        model: name of the entry.
        way: `as extracted`, `stem`, or `stage 3`.
        measure: what the values are.
        trained: value with the trained weights.
        interval: 95 % of it.
        redrawn: value with drawn weights, one per seed.
        gain: trained minus the mean of the redrawn ones, paired by item.
    """

    set: str
    model: str
    way: str
    measure: str
    trained: float
    interval: Ends
    redrawn: tuple[float, ...]
    gain: Comparison


@dataclass(frozen=True)
class ResultsRecord:
    """A whole run.

    Attributes:
        config: what was asked for, enough to ask again.
        versions: of the packages that can change a number.
        entries: in the order of the tables.
        scores: entry by entry.
        comparisons: between models and fusions.
        gains: of every model and fusion over the best baseline of the set; empty without baselines.
        controls_note: how to read fusions, where there are any.
        training: what training gave, where redrawn twins were asked for.
        pooled: differences over all sets of a measure together, where there are two or more.
        ladder: what nuisances score, and what is left without them, where that was asked for.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    entries: tuple[EntryRecord, ...]
    scores: tuple[ScoreRecord, ...]
    comparisons: tuple[Comparison, ...] = ()
    gains: tuple[Comparison, ...] = ()
    controls_note: str = ""
    training: tuple[TrainingGain, ...] = ()
    pooled: tuple[PooledGain, ...] = ()
    ladder: tuple[LadderStep, ...] = ()

    @property
    def sets(self) -> list[str]:
        """Scored sets in order."""
        return list(dict.fromkeys(score.set for score in self.scores))

    def names(self, *kinds: Kind) -> list[str]:
        """Names of the entries of these kinds, in order."""
        return [entry.name for entry in self.entries if entry.kind in kinds]

    def by_entry(self) -> dict[tuple[str, str], ScoreRecord]:
        """(entry, set) → score."""
        return {(score.entry, score.set): score for score in self.scores}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` turns them back into an equal record."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


_REQUIRED = {"config", "versions", "entries", "scores", "comparisons", "gains", "controls_note"}


def from_json(content: Any, *, where: str = "the record") -> ResultsRecord:
    """A record from its JSON values.

    Raises:
        InputError: not a results record, or one of another version.
    """
    try:
        if missing := _REQUIRED - content.keys():
            raise KeyError(", ".join(sorted(missing)))
        names = {part.name for part in fields(ResultsRecord)}
        record = _typed(ResultsRecord, {name: value for name, value in content.items() if name in names})
        if not isinstance(record.config.get("recipe", {}), Mapping):
            raise TypeError("the recipe of config is a mapping")
        return record
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{where} is not a results record of `cytoimagenet benchmark` ({type(error).__name__}: {error}): "
            "run the benchmark again with --output"
        ) from error


def read_results(path: str | Path) -> ResultsRecord:
    """The record in a `results.json`: of `cytoimagenet benchmark`, or of `make demo`, which keeps it beside others.

    Raises:
        InputError: no such file, or no such record in it.
    """
    try:
        content = read_json_file(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if isinstance(content, dict) and "scores" not in content and isinstance(content.get("benchmarks"), dict):
        content = content["benchmarks"]
    return from_json(content, where=str(path))


def _typed(hint: Any, value: Any) -> Any:
    """A value of JSON as the type of a field: records, tuples, mappings, finite numbers and text.

    Raises:
        TypeError: it is of another type.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if value is None else _typed(next(kind for kind in arguments if kind is not type(None)), value)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{name: _typed(hints.get(name, Any), part) for name, part in value.items()})
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_typed(kind, part) for kind, part in zip(kinds, value, strict=True))
    expected = {int: (int,), float: (int, float), str: (str,)}.get(str if origin is Literal else hint)
    if expected is not None and (isinstance(value, bool) or not isinstance(value, expected)):
        raise TypeError(f"{value!r} is not {'text' if expected == (str,) else 'a number'}")
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"{value!r} is not a finite number")
    if origin is Mapping and not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is not a mapping")
    return value
