"""Results of many runs as one page: models by tasks, gains over the best baseline, intervals, contamination marks.

Records in, a self-contained HTML page or Markdown out. Nothing is computed here but means and order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jinja2

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.simulated import SENTENCE
from cytoimagenet_hf.scoring.contamination import MARKS
from cytoimagenet_hf.scoring.results import Comparison, Kind, ResultsRecord, ScoreRecord

from .render import templates

_SHOWN: tuple[Kind, ...] = ("model", "fusion", "baseline")


@dataclass(frozen=True)
class Cell:
    """One entry on one scored set.

    Attributes:
        score: its result.
        gain: over the best baseline of its own run, paired; None for baselines and runs without them.
        difference: that of `gain`, else from the best baseline in any record that was scored on as many items of the
            set; None for baselines, and where there is none.
    """

    score: ScoreRecord
    gain: Comparison | None
    difference: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval of the gain lies above zero."""
        return self.gain is not None and self.gain.interval is not None and self.gain.interval[0] > 0


@dataclass(frozen=True)
class Row:
    """One entry."""

    name: str
    kind: Kind
    cells: dict[str, Cell]  # set → result, where it was scored
    mean_gain: float | None  # mean difference from the best baseline over the sets it has one for


@dataclass(frozen=True)
class Leaderboard:
    """Entries by sets."""

    rows: tuple[Row, ...]  # best mean gain first
    sets: tuple[str, ...]
    recipes: tuple[str, ...]  # of the runs
    simulated: bool = False  # some of the results are of drawn images

    @property
    def best(self) -> dict[str, float]:
        """Set → highest accuracy."""
        return {name: max(row.cells[name].score.value for row in self.rows if name in row.cells) for name in self.sets}


def make_leaderboard(records: Sequence[ResultsRecord]) -> Leaderboard:
    """Put records side by side.

    Args:
        records: of `cytoimagenet benchmark`, of different models, tasks or both.

    Raises:
        InputError: no record, or one entry scored twice on one set with different results.
    """
    if not records:
        raise InputError("no results: give one or more results.json of `cytoimagenet benchmark`")
    cells: dict[str, dict[str, Cell]] = {}
    kinds: dict[str, Kind] = {}
    for record in records:
        gains = {(gain.second, gain.set): gain for gain in record.gains}
        for score in record.scores:
            if score.kind not in _SHOWN:
                continue
            kinds.setdefault(score.entry, score.kind)
            before = cells.setdefault(score.entry, {}).get(score.set)
            if before is not None and (before.score.value, before.score.n) != (score.value, score.n):
                raise InputError(
                    f"{score.entry!r} on {score.set} is {before.score.value:.4f} in one record and "
                    f"{score.value:.4f} in another: name one of them otherwise (NAME=model)"
                )
            if before is None or before.gain is None:
                cells[score.entry][score.set] = Cell(score, gains.get((score.entry, score.set)))
    best = _best_baselines(cells, kinds)
    rows = [_row(name, kinds[name], of_entry, best) for name, of_entry in cells.items()]
    rows.sort(key=lambda row: (row.mean_gain is None, -(row.mean_gain or 0), row.name))
    sets = dict.fromkeys(name for record in records for name in record.sets)
    recipes = dict.fromkeys(str(record.config.get("recipe", {}).get("name", "unknown")) for record in records)
    simulated = any(bool(record.config.get("simulated")) for record in records)
    return Leaderboard(tuple(rows), tuple(sets), tuple(recipes), simulated)


def _best_baselines(cells: dict[str, dict[str, Cell]], kinds: dict[str, Kind]) -> dict[tuple[str, int], float]:
    """(set, items) → the highest score of a baseline."""
    best: dict[tuple[str, int], float] = {}
    for name, row in cells.items():
        if kinds[name] == "baseline":
            for of_set, cell in row.items():
                key = of_set, cell.score.n
                best[key] = max(best.get(key, cell.score.value), cell.score.value)
    return best


def _row(name: str, kind: Kind, cells: dict[str, Cell], best: dict[tuple[str, int], float]) -> Row:
    """An entry with its differences from the best baseline."""

    def difference(of_set: str, cell: Cell) -> float | None:
        if kind == "baseline" or cell.gain is not None:
            return None if cell.gain is None else cell.gain.difference
        baseline = best.get((of_set, cell.score.n))
        return None if baseline is None else cell.score.value - baseline

    compared = {of_set: replace(cell, difference=difference(of_set, cell)) for of_set, cell in cells.items()}
    gains = [cell.difference for cell in compared.values() if cell.difference is not None]
    return Row(name, kind, compared, sum(gains) / len(gains) if gains else None)


def to_page(board: Leaderboard, *, title: str = "Leaderboard") -> str:
    """A self-contained HTML page whose columns sort on click."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    template = environment.from_string((templates() / "leaderboard.html.jinja").read_text(encoding="utf-8"))
    simulated = SENTENCE if board.simulated else ""
    return template.render(board=board, title=title, marks=_used_marks(board), simulated=simulated)


def to_markdown(board: Leaderboard) -> str:
    """The same as a Markdown table: accuracy, the gain over the best baseline, marks."""
    lines = [f"| features | kind | mean gain | {' | '.join(board.sets)} |"]
    lines.append(f"| --- | --- | --: |{' --: |' * len(board.sets)}")
    for row in board.rows:
        mean = "–" if row.mean_gain is None else f"{100 * row.mean_gain:+.1f}"
        cells = [_cell(row.cells.get(name)) for name in board.sets]
        lines.append(f"| {row.name.replace('|', chr(92) + '|')} | {row.kind} | {mean} | {' | '.join(cells)} |")
    note = (
        "In %: accuracy, or what the set is named after, then the gain over the best baseline, with its 95 % interval "
        "where the two were paired in one run."
    )
    marks = "; ".join(f"{mark} {kind}" for mark, kind in _used_marks(board).items())
    if marks:
        note += f" Training shares with the set: {marks}."
    top = [f"**{SENTENCE}**", ""] if board.simulated else []
    return "\n".join([*top, *lines, "", note, ""])


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    text = f"{100 * cell.score.value:.1f}{cell.score.marks}"
    if cell.difference is None:
        return text
    ends = cell.gain.interval if cell.gain is not None else None
    interval = "" if ends is None else f" [{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}]"
    return f"{text} ({100 * cell.difference:+.1f}{interval})"


def _used_marks(board: Leaderboard) -> dict[str, str]:
    used = {overlap.kind for row in board.rows for cell in row.cells.values() for overlap in cell.score.contamination}
    return {mark: kind for kind, mark in MARKS.items() if kind in used}
