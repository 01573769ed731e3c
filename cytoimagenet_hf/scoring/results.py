"""The typed record of a benchmark run: what tables, figures, cards, reports and the leaderboard read.

A record is complete enough to run the benchmark again and to draw every table without the features. It is written as
JSON by `to_json` and read back by `read_results`, which refuses what is not such a record.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import read_json_file

from .contamination import Overlap

Kind = Literal["model", "fusion", "control", "baseline"]
Ends = tuple[float, float]


@dataclass(frozen=True)
class EntryRecord:
    """What was scored: a model, a fusion, a control or a baseline.

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
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    entries: tuple[EntryRecord, ...]
    scores: tuple[ScoreRecord, ...]
    comparisons: tuple[Comparison, ...] = ()
    gains: tuple[Comparison, ...] = ()
    controls_note: str = ""

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


def from_json(content: Any, *, where: str = "the record") -> ResultsRecord:
    """A record from its JSON values.

    Raises:
        InputError: not a results record, or one of another version.
    """
    try:
        return ResultsRecord(
            config=content["config"],
            versions=content["versions"],
            entries=tuple(EntryRecord(**entry) for entry in content["entries"]),
            scores=tuple(_score(score) for score in content["scores"]),
            comparisons=tuple(_comparison(entry) for entry in content["comparisons"]),
            gains=tuple(_comparison(entry) for entry in content["gains"]),
            controls_note=content["controls_note"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{where} is no results record of `cytoimagenet benchmark` ({type(error).__name__}: {error}): "
            "run the benchmark again with --output"
        ) from error


def read_results(path: str | Path) -> ResultsRecord:
    """The record in a `results.json` of a benchmark, or in that of a demo, which holds it among other records.

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


def _score(content: Mapping[str, Any]) -> ScoreRecord:
    typed = {
        "wilson": _ends(content["wilson"]),
        "cluster_interval": _ends(content["cluster_interval"]),
        "classes": tuple(content["classes"]),
        "confusion": tuple(tuple(row) for row in content["confusion"]),
        "contamination": tuple(Overlap(**overlap) for overlap in content["contamination"]),
    }
    return ScoreRecord(**{**content, **typed})


def _comparison(content: Mapping[str, Any]) -> Comparison:
    return Comparison(**{**content, "interval": _ends(content["interval"])})


def _ends(value: Any) -> Any:
    return None if value is None else (float(value[0]), float(value[1]))
