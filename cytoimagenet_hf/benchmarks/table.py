"""Results as tables: one form, four renderings (terminal, Markdown, LaTeX, HTML)."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cytoimagenet_hf.scoring.contamination import MARKS
from cytoimagenet_hf.scoring.results import Comparison, ResultsRecord, ScoreRecord

if TYPE_CHECKING:
    import rich.table

Line = list[tuple[str, str]]
"""Heading and text of every cell of a row."""
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


def _table(title: str, lines: Sequence[Line], note: str = "") -> Table:
    columns = tuple(heading for heading, _ in lines[0]) if lines else ()
    return Table(title, columns, tuple(tuple(text for _, text in line) for line in lines), note)


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
    lines = [_interval_line(score) for score in record.scores if score.entry in entries]
    table = _table("Intervals and protocol details, %", lines)
    kept = [c for c in range(len(table.columns)) if any(row[c] != "–" for row in table.rows)]
    rows = tuple(tuple(row[c] for c in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[c] for c in kept), rows=rows)


def _interval_line(score: ScoreRecord) -> Line:
    details, shares = score.details, score.per_class
    worst = min(shares, key=lambda name: shares[name])
    nscb, published, mixing = (details.get(name) for name in ("nscb", "published_scaler", "mixing"))
    by_group = f"({score.groups} × {score.cluster})" if score.cluster else "(items)"
    reasons = details.get("not_measured", {})
    return [
        ("set", score.set),
        ("features", score.entry),
        ("n", f"{score.n:,}"),
        ("Wilson 95 %", _range(score.wilson)),
        ("by groups 95 %", f"{_range(score.cluster_interval)} {by_group}" if score.cluster_interval else "–"),
        ("protocol", details.get("protocol", "–")),
        ("NSCB", "–" if nscb is None else f"{100 * nscb:.2f} of {details['nscb_treatments']}"),
        ("published scaler", f"{100 * published['nsc']:.2f}" if published else "–"),
        ("neighbourhoods unmixed", f"{100 * mixing['rejected']:.1f} ({mixing['of']})" if mixing else "–"),
        ("mean of classes", f"{100 * np.mean(list(shares.values())):.2f}"),
        ("worst class", f"{worst} {100 * shares[worst]:.1f}"),
        ("cannot be right", ", ".join(details.get("unscorable", ())) or "–"),
        ("not measured", "; ".join(f"{measure}: {reason}" for measure, reason in reasons.items()) or "–"),
    ]


def gain_table(record: ResultsRecord) -> Table:
    """Every model and fusion against the best baseline of each set."""
    lines = []
    for gain in record.gains:
        names = [("set", gain.set), ("features", gain.second), ("best baseline", gain.first)]
        lines.append([*names, *_difference(gain, "gain, points")])
    note = "Paired on the same items. The baseline is the best of them on the scored items, which favours it. "
    return _table("Gain over the best baseline", lines, note + _CLEAR_NOTE)


def training_table(record: ResultsRecord) -> Table:
    """What training gave: every model and its stages beside the same architecture with redrawn weights."""
    lines = [
        [
            ("set", gain.set),
            ("network", gain.model),
            ("features", gain.way),
            ("trained", f"{100 * gain.trained:.2f}"),
            ("redrawn", _mean_and_spread(gain.redrawn)),
            *_difference(gain.gain, "training gave, points"),
        ]
        for gain in record.training
    ]
    note = (
        "Redrawn: the same architecture with weights drawn anew, mean ± sd over the draws. Paired on the same items, "
        f"Holm over the sets. {_CLEAR_NOTE}"
    )
    return _table("What training gave", lines, note)


def pooled_table(record: ResultsRecord) -> Table:
    """Differences over all sets of one measure together."""
    lines = [
        [
            ("difference of", f"{pooled.second} − {pooled.first}"),
            ("measure", pooled.measure),
            ("sets", ", without ".join(filter(None, (f"{len(pooled.sets)}", ", ".join(pooled.left_out))))),
            ("points", f"{100 * pooled.difference:+.2f}"),
            ("95 %", _range(pooled.interval)),
            ("p", _p(pooled.p)),
            ("sd between sets", f"{100 * pooled.spread:.2f}"),
            ("I²", f"{100 * pooled.heterogeneity:.0f} %"),
            ("a new set, 95 %", _range(pooled.prediction)),
            ("clear", clear_of_zero(pooled.interval, pooled.detectable)),
        ]
        for pooled in record.pooled
    ]
    note = (
        "Random effects over the sets: REML, interval of Hartung and Knapp. Sets are taken for independent; left out "
        f"are sets on which nothing differs. {_CLEAR_NOTE}"
    )
    return _table("All sets together", lines, note)


def ladder_table(record: ResultsRecord) -> Table:
    """What nuisances score, and what is left of each model without them."""
    lines = [
        [
            ("set", step.set),
            ("known of an image", f"{step.model}: {step.step}" if step.model else step.step),
            ("numbers", f"{step.columns or '–'}"),
            ("accuracy", f"{100 * step.value:.2f}"),
            ("95 %", _range(step.interval) if step.columns else "–"),
            ("change, points", f"{100 * step.change.difference:+.2f}" if step.change else "–"),
            ("95 %", _range(step.change.interval if step.change else None)),
            ("clear", clear_of_zero(step.change.interval, step.change.detectable) if step.change else "–"),
            ("protocol", step.protocol),
        ]
        for step in record.ladder
    ]
    note = (
        "Change: of features, what they have over all nuisances; of features without nuisances, what a regression on "
        "the nuisances, fitted within the training folds, took from them. A phenotype that changes the number of "
        f"cells goes with it. {_CLEAR_NOTE}"
    )
    return _table("Nuisances, %", lines, note)


def comparison_table(record: ResultsRecord) -> Table:
    """Paired differences between models and fusions."""
    lines = []
    for pair in record.comparisons:
        points, interval, *test = _difference(pair, "points")
        lost = ("gained / lost", f"{pair.only_second} / {pair.only_first}")
        names = ("difference of", f"{pair.second} − {pair.first}")
        lines.append([("set", pair.set), names, points, interval, lost, *test])
    note = (
        "Where items share a group, whole groups are exchanged; fewer than six groups cannot give p below 0.05 and "
        f"are not tested. Holm over the sets. {_CLEAR_NOTE}"
    )
    return _table("Paired comparisons", lines, note)


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


def _difference(pair: Comparison, points: str) -> Line:
    """A difference under the heading `points`, its interval and its test."""
    return [
        (points, f"{100 * pair.difference:+.2f}"),
        ("95 %", _range(pair.interval)),
        ("test", _test(pair)),
        ("p", _p(pair.p)),
        ("Holm p", _p(pair.p_holm)),
        ("clear", clear_of_zero(pair.interval, pair.detectable)),
    ]


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
