"""Results as tables: one form, four renderings (terminal, Markdown, LaTeX, HTML)."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cytoimagenet_hf.scoring.contamination import MARKS
from cytoimagenet_hf.scoring.results import Comparison, ResultsRecord, ScoreRecord

if TYPE_CHECKING:
    import rich.table


_CLEAR_NOTE = (
    "Clear: the interval excludes 0; else the difference that 80 % power would find, from the spread seen here."
)


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; `best` names the cells (row, column) to be set off."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    best: frozenset[tuple[int, int]] = frozenset()


def result_tables(record: ResultsRecord, *, by_class: bool = True) -> list[Table]:
    """All tables of a results record, the paper's first; those without rows are left out, classes on request."""
    main, controls = record.names("model", "fusion"), record.names("fusion", "control")
    baselines = record.names("baseline")
    tables = [
        accuracy_table(record, main, title=_main_title(record), note=_marks_note(record)),
        accuracy_table(record, controls, title="Fusion beside its controls, %", note=record.controls_note),
        accuracy_table(record, baselines, title="Baselines, %", note=_random_nets(record)),
        gain_table(record),
        training_table(record),
        pooled_table(record),
        ladder_table(record),
        interval_table(record, [*main, *baselines]),
        comparison_table(record),
        *(class_table(record, name, main) for name in record.sets if by_class),
    ]
    return [table for table in tables if table.rows]


def _main_title(record: ResultsRecord) -> str:
    plain = all(score.measure == "accuracy" for score in record.scores)
    return "kNN accuracy, % (± 95 % Wald)" if plain else "Scores, % (± 95 %; accuracy, or what the set is named after)"


def accuracy_table(record: ResultsRecord, entries: Sequence[str], *, title: str, note: str = "") -> Table:
    """Scored sets in rows, entries in columns; the other way round when there are many entries."""
    scores, sets = record.by_entry(), record.sets
    cells = [[_accuracy(scores.get((entry, name))) for entry in entries] for name in sets]
    values = np.array(
        [[scores[entry, name].value if (entry, name) in scores else -1 for entry in entries] for name in sets]
    )
    best = {(r, c) for r, row in enumerate(values) for c, value in enumerate(row) if value >= 0 and value == row.max()}
    if not entries:
        return Table(title, (), ())
    if len(entries) <= 5:
        rows = tuple((_set_title(record, name), *row) for name, row in zip(sets, cells, strict=True))
        return Table(title, ("", *entries), rows, note, frozenset((r, c + 1) for r, c in best))
    rows = tuple((entry, *(row[c] for row in cells)) for c, entry in enumerate(entries))
    return Table(
        title, ("", *(_set_title(record, name) for name in sets)), rows, note, frozenset((c, r + 1) for r, c in best)
    )


def interval_table(record: ResultsRecord, entries: Sequence[str]) -> Table:
    """Wilson and cluster-bootstrap intervals, NSCB, the mean over classes and the worst class."""
    rows = []
    for score in record.scores:
        if score.entry not in entries:
            continue
        worst = min(score.per_class, key=lambda name: score.per_class[name])
        nscb = score.details.get("nscb")
        published = score.details.get("published_scaler")
        by_group = _range(score.cluster_interval)
        by_group += f" ({score.groups} × {score.cluster})" if score.cluster else " (items)"
        rows.append(
            (
                score.set,
                score.entry,
                f"{score.n:,}",
                _range(score.wilson),
                by_group if score.cluster_interval else "–",
                score.details.get("protocol", "–"),
                f"{100 * nscb:.2f} of {score.details['nscb_treatments']}" if nscb is not None else "–",
                f"{100 * published['nsc']:.2f}" if published else "–",
                f"{100 * score.details['mixing']['rejected']:.1f} ({score.details['mixing']['of']})"
                if "mixing" in score.details
                else "–",
                f"{100 * np.mean(list(score.per_class.values())):.2f}",
                f"{worst} {100 * score.per_class[worst]:.1f}",
                ", ".join(score.details.get("unscorable", ())) or "–",
                "; ".join(f"{what}: {why}" for what, why in score.details.get("not_measured", {}).items()) or "–",
            )
        )
    columns = ("set", "features", "n", "Wilson 95 %", "by groups 95 %", "protocol", "NSCB", "published scaler")
    rest = ("neighbourhoods unmixed", "mean of classes", "worst class", "cannot be right", "not measured")
    table = Table("Intervals and protocol details, %", (*columns, *rest), tuple(rows))
    return _without_empty_columns(table)


def gain_table(record: ResultsRecord) -> Table:
    """Every model and fusion against the best baseline of each set."""
    rows = tuple((gain.set, gain.second, gain.first, *_difference(gain)) for gain in record.gains)
    columns = ("set", "features", "best baseline", "gain, points", *_OF_DIFFERENCE)
    note = (
        "Paired on the same items. The baseline is the best of them on the scored items, which favours it. "
        + _CLEAR_NOTE
    )
    return Table("Gain over the best baseline", columns, rows, note)


def training_table(record: ResultsRecord) -> Table:
    """What training gave: every model and its stages beside the same architecture with redrawn weights."""
    rows = tuple(
        (
            gain.set,
            gain.model,
            gain.way,
            f"{100 * gain.trained:.2f}",
            _mean_and_spread(gain.redrawn),
            *_difference(gain.gain),
        )
        for gain in record.training
    )
    columns = ("set", "network", "features", "trained", "redrawn", "training gave, points", *_OF_DIFFERENCE)
    note = (
        "Redrawn: the same architecture with weights drawn anew, mean ± sd over the draws. Paired on the same items, "
        f"Holm over the sets. {_CLEAR_NOTE}"
    )
    return Table("What training gave", columns, rows, note)


def pooled_table(record: ResultsRecord) -> Table:
    """Differences over all sets of one measure together."""
    rows = tuple(
        (
            f"{pooled.second} − {pooled.first}",
            pooled.measure,
            f"{len(pooled.sets)}" + (f", without {', '.join(pooled.left_out)}" if pooled.left_out else ""),
            f"{100 * pooled.difference:+.2f}",
            _range(pooled.interval),
            _p(pooled.p),
            f"{100 * pooled.spread:.2f}",
            f"{100 * pooled.heterogeneity:.0f} %",
            _range(pooled.prediction),
            clear_of_zero(pooled.interval, pooled.detectable),
        )
        for pooled in record.pooled
    )
    columns = ("difference of", "measure", "sets", "points", "95 %", "p", "sd between sets", "I²", "a new set, 95 %")
    note = (
        "Random effects over the sets: REML, interval of Hartung and Knapp. Sets are taken for independent; left out "
        f"are sets on which nothing differs. {_CLEAR_NOTE}"
    )
    return Table("All sets together", (*columns, "clear"), rows, note)


def ladder_table(record: ResultsRecord) -> Table:
    """What nuisances score, and what is left of each model without them."""
    rows = tuple(
        (
            step.set,
            f"{step.model}: {step.step}" if step.model else step.step,
            f"{step.columns}" if step.columns else "–",
            f"{100 * step.value:.2f}",
            _range(step.interval) if step.columns else "–",
            f"{100 * step.change.difference:+.2f}" if step.change else "–",
            _range(step.change.interval if step.change else None),
            clear_of_zero(step.change.interval, step.change.detectable) if step.change else "–",
            step.protocol,
        )
        for step in record.ladder
    )
    numbers = ("numbers", "accuracy", "95 %", "change, points", "95 %", "clear")
    columns = ("set", "known of an image", *numbers, "protocol")
    note = (
        "Change: of features, what they have over all nuisances; of features without nuisances, what a regression on "
        "the nuisances, fitted within the training folds, took from them. A phenotype that changes the number of "
        f"cells goes with it. {_CLEAR_NOTE}"
    )
    return Table("Nuisances, %", columns, rows, note)


def comparison_table(record: ResultsRecord) -> Table:
    """Paired differences between models and fusions."""
    rows = []
    for pair in record.comparisons:
        points, interval, *test = _difference(pair)
        lost = f"{pair.only_second} / {pair.only_first}"
        rows.append((pair.set, f"{pair.second} − {pair.first}", points, interval, lost, *test))
    columns = ("set", "difference of", "points", _OF_DIFFERENCE[0], "gained / lost", *_OF_DIFFERENCE[1:])
    note = (
        "Where items share a group, whole groups are exchanged; fewer than six groups cannot give p below 0.05 and "
        f"are not tested. Holm over the sets. {_CLEAR_NOTE}"
    )
    return Table("Paired comparisons", columns, tuple(rows), note)


def class_table(record: ResultsRecord, name: str, entries: Sequence[str]) -> Table:
    """Accuracy by class on one set."""
    scores = record.by_entry()
    present = [entry for entry in entries if (entry, name) in scores]
    classes = sorted({label for entry in present for label in scores[entry, name].per_class})
    rows = tuple(
        (label, *(f"{100 * scores[entry, name].per_class.get(label, float('nan')):.1f}" for entry in present))
        for label in classes
    )
    return Table(f"{name}: accuracy by class, %", ("class", *present), rows)


def to_markdown(table: Table) -> str:
    """A Markdown section."""
    lines = [f"### {table.title}", "", _pipes(table.columns), _pipes(["---"] * len(table.columns))]
    lines += [_pipes(row) for row in _marked(table, lambda cell: f"**{cell}**", lambda cell: cell.replace("|", "\\|"))]
    return "\n".join([*lines, *(["", table.note] if table.note else []), ""])


def to_latex(table: Table) -> str:
    """A LaTeX table (booktabs)."""
    rows = _marked(table, lambda cell: f"\\textbf{{{cell}}}", _tex)
    head = " & ".join(map(_tex, table.columns))
    lines = " \\\\\n".join(" & ".join(row) for row in rows)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{_tex(' '.join(filter(None, (table.title + '.', table.note))))}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}\n\\toprule\n{head} \\\\\n\\midrule\n{lines} \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def to_html(table: Table) -> str:
    """An HTML fragment."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = _marked(table, lambda cell: f"<strong>{cell}</strong>", html.escape)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    note = f"<p>{html.escape(table.note)}</p>" if table.note else ""
    return f"<h3>{html.escape(table.title)}</h3>\n<table>\n<tr>{head}</tr>\n{body}\n</table>\n{note}\n"


def to_rich(table: Table) -> "rich.table.Table":
    """A terminal table."""
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(title=table.title, caption=table.note, caption_justify="left")
    for number, column in enumerate(table.columns):
        made.add_column(column, justify="left" if number == 0 else "right")
    for r, row in enumerate(table.rows):
        made.add_row(*(Text(cell, style="bold" if (r, c) in table.best else "") for c, cell in enumerate(row)))
    return made


def _without_empty_columns(table: Table) -> Table:
    kept = [c for c in range(len(table.columns)) if any(row[c] != "–" for row in table.rows)]
    rows = tuple(tuple(row[c] for c in kept) for row in table.rows)
    return Table(table.title, tuple(table.columns[c] for c in kept), rows, table.note)


def _marked(table: Table, mark: Callable[[str], str], clean: Callable[[str], str]) -> list[list[str]]:
    return [
        [mark(clean(cell)) if (r, c) in table.best else clean(cell) for c, cell in enumerate(row)]
        for r, row in enumerate(table.rows)
    ]


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


_TEX = {"&": "\\&", "%": "\\%", "_": "\\_", "#": "\\#", "±": "$\\pm$", "−": "$-$", "–": "--", "†": "$\\dagger$"}
_TEX |= {"‡": "$\\ddagger$", "$": "\\$", "{": "\\{", "}": "\\}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text.replace("\\", "/"))


def _set_title(record: ResultsRecord, name: str) -> str:
    n = next(score.n for score in record.scores if score.set == name)
    return f"{name} (n = {n:,})"


def _accuracy(score: ScoreRecord | None) -> str:
    if score is None:
        return "–"
    text = f"{100 * score.value:.2f} ± {100 * score.wald_half_width:.2f}"
    return f"{text} {score.marks}" if score.marks else text


_OF_DIFFERENCE = ("95 %", "test", "p", "Holm p", "clear")
"""Columns that follow the points of a difference."""


def _difference(pair: Comparison) -> tuple[str, ...]:
    """The points of a difference, and the cells of `_OF_DIFFERENCE`."""
    clear = clear_of_zero(pair.interval, pair.detectable)
    return (
        *(f"{100 * pair.difference:+.2f}", _range(pair.interval), _test(pair)),
        *(_p(pair.p), _p(pair.p_holm), clear),
    )


def _test(pair: Comparison) -> str:
    if pair.test == "exact McNemar":
        return pair.test
    return f"{pair.groups} × {pair.cluster}" + (", too few" if pair.test == "none" else ", exchanged")


def _mean_and_spread(values: Sequence[float]) -> str:
    mean = f"{100 * float(np.mean(values)):.2f}"
    return f"{mean} ± {100 * float(np.std(values, ddof=1)):.2f}" if len(values) > 1 else mean


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _range(ends: tuple[float, float] | None) -> str:
    return "–" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def clear_of_zero(ends: tuple[float, float] | None, detectable: float | None) -> str:
    """Whether an interval excludes 0; if not, what could have been found."""
    if ends is not None and (ends[0] > 0 or ends[1] < 0):
        return "yes"
    return "no" if detectable is None else f"no, {100 * detectable:.1f} would be"


def _marks_note(record: ResultsRecord) -> str:
    used = {overlap.kind for score in record.scores for overlap in score.contamination}
    if not used:
        return ""
    meanings = [f"{mark} {kind}" for kind, mark in MARKS.items() if kind in used]
    return f"Pretraining shares with the set: {', '.join(meanings)}."


def _random_nets(record: ResultsRecord) -> str:
    lines = []
    for name in record.sets:
        shares = [
            100 * score.value
            for score in record.scores
            if score.set == name and score.kind == "baseline" and score.entry.startswith("random net")
        ]
        if len(shares) > 1:
            lines.append(f"{name} {np.mean(shares):.2f} ± {np.std(shares, ddof=1):.2f}")
    return f"Random nets, mean ± sd over seeds: {'; '.join(lines)}." if lines else ""
