"""Results as tables: one form, four renderings (terminal, Markdown, LaTeX, HTML)."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .contamination import MARKS

if TYPE_CHECKING:
    import rich.table


@dataclass(frozen=True)
class Table:
    """Text in rows and columns; `best` names the cells (row, column) to be set off."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    best: frozenset[tuple[int, int]] = frozenset()


def result_tables(record: dict[str, Any], *, by_class: bool = True) -> list[Table]:
    """All tables of a results record, the paper's first; those without rows are left out, classes on request."""
    kinds = {entry["name"]: entry["kind"] for entry in record["entries"]}
    main = [name for name, kind in kinds.items() if kind in ("model", "fusion")]
    controls = [name for name, kind in kinds.items() if kind in ("fusion", "control")]
    baselines = [name for name, kind in kinds.items() if kind == "baseline"]
    tables = [
        accuracy_table(record, main, title="kNN accuracy, % (± 95 % Wald)", note=_marks_note(record)),
        accuracy_table(record, controls, title="Fusion beside its controls, %", note=record["controls_note"] or ""),
        accuracy_table(record, baselines, title="Baselines, %", note=_random_nets(record)),
        interval_table(record, [*main, *baselines]),
        comparison_table(record, main),
        *(class_table(record, name, main) for name in _sets(record) if by_class),
    ]
    return [table for table in tables if table.rows]


def accuracy_table(record: dict[str, Any], entries: Sequence[str], *, title: str, note: str = "") -> Table:
    """Scored sets in rows, entries in columns; the other way round when there are many entries."""
    scores, sets = _by_entry(record), _sets(record)
    cells = [[_accuracy(scores.get((entry, name))) for entry in entries] for name in sets]
    values = np.array(
        [[scores[entry, name]["accuracy"] if (entry, name) in scores else -1 for entry in entries] for name in sets]
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


def interval_table(record: dict[str, Any], entries: Sequence[str]) -> Table:
    """Wilson and cluster-bootstrap intervals, NSCB, the mean over classes and the worst class."""
    rows = []
    for score in record["scores"]:
        if score["entry"] not in entries:
            continue
        worst = min(score["per_class"], key=lambda name: score["per_class"][name])
        details = score["details"]
        nscb = details.get("nscb")
        rows.append(
            (
                score["set"],
                score["entry"],
                f"{score['n']:,}",
                _range(score["wilson"]),
                f"{_range(score['cluster_interval'])} ({score['cluster']})" if score["cluster_interval"] else "–",
                f"{100 * nscb:.2f} of {details['nscb_treatments']}" if nscb is not None else "–",
                f"{100 * np.mean(list(score['per_class'].values())):.2f}",
                f"{worst} {100 * score['per_class'][worst]:.1f}",
                ", ".join(details.get("unscorable", ())) or "–",
            )
        )
    columns = ("set", "features", "n", "Wilson 95 %", "cluster bootstrap 95 %", "NSCB", "mean of classes")
    table = Table("Intervals and protocol details, %", (*columns, "worst class", "cannot be right"), tuple(rows))
    return _without_empty_columns(table)


def comparison_table(record: dict[str, Any], entries: Sequence[str]) -> Table:
    """Paired differences between models and fusions."""
    rows = [
        (
            pair["set"],
            f"{pair['second']} − {pair['first']}",
            f"{100 * pair['difference']:+.2f}",
            f"{pair['only_second']} / {pair['only_first']}",
            f"{pair['p']:.3g}",
            f"{pair['p_holm']:.3g}",
            _points(pair["smallest_significant"]),
            _points(pair["detectable"]),
        )
        for pair in record["comparisons"]
        if pair["first"] in entries and pair["second"] in entries
    ]
    columns = (
        "set",
        "difference of",
        "points",
        "gained / lost",
        "McNemar p",
        "Holm p",
        "least significant",
        "detectable",
    )
    note = (
        "Exact McNemar on the same items; Holm over the sets. Least significant: the smallest gain that could reach "
        "0.05, were every disagreement a win; detectable: found with 80 % power at the observed disagreement."
    )
    return Table("Paired comparisons", columns, tuple(rows), note)


def class_table(record: dict[str, Any], name: str, entries: Sequence[str]) -> Table:
    """Accuracy by class on one set."""
    scores = _by_entry(record)
    present = [entry for entry in entries if (entry, name) in scores]
    classes = sorted({label for entry in present for label in scores[entry, name]["per_class"]})
    rows = tuple(
        (label, *(f"{100 * scores[entry, name]['per_class'].get(label, float('nan')):.1f}" for entry in present))
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
    body = " \\\\\n".join(" & ".join(row) for row in [[_tex(column) for column in table.columns]])
    lines = " \\\\\n".join(" & ".join(row) for row in rows)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{_tex(' '.join(filter(None, (table.title + '.', table.note))))}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}\n\\toprule\n{body} \\\\\n\\midrule\n{lines} \\\\\n"
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
    from rich.markup import escape
    from rich.table import Table as RichTable

    found = RichTable(title=escape(table.title), caption=escape(table.note), caption_justify="left")
    for number, column in enumerate(table.columns):
        found.add_column(escape(column), justify="left" if number == 0 else "right")
    for row in _marked(table, lambda cell: f"[bold]{cell}[/bold]", escape):
        found.add_row(*row)
    return found


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


def _by_entry(record: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(score["entry"], score["set"]): score for score in record["scores"]}


def _sets(record: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(score["set"] for score in record["scores"]))


def _set_title(record: dict[str, Any], name: str) -> str:
    n = next(score["n"] for score in record["scores"] if score["set"] == name)
    return f"{name} (n = {n:,})"


def _accuracy(score: dict[str, Any] | None) -> str:
    if score is None:
        return "–"
    text = f"{100 * score['accuracy']:.2f} ± {100 * score['wald_half_width']:.2f}"
    return f"{text} {score['marks']}" if score["marks"] else text


def _range(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:.1f}–{100 * ends[1]:.1f}"


def _points(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.2f}"


def _marks_note(record: dict[str, Any]) -> str:
    used = {overlap["kind"]: overlap for score in record["scores"] for overlap in score["contamination"]}
    if not used:
        return ""
    meanings = [f"{mark} {kind}" for kind, mark in MARKS.items() if kind in used]
    return f"Pretraining shares with the set: {', '.join(meanings)}."


def _random_nets(record: dict[str, Any]) -> str:
    lines = []
    for name in _sets(record):
        shares = [
            100 * score["accuracy"]
            for score in record["scores"]
            if score["set"] == name and score["kind"] == "baseline" and score["entry"].startswith("random net")
        ]
        if len(shares) > 1:
            lines.append(f"{name} {np.mean(shares):.2f} ± {np.std(shares, ddof=1):.2f}")
    return f"Random nets, mean ± sd over seeds: {'; '.join(lines)}." if lines else ""
