"""docs/numbers.md: what was measured, from the JSON files that `scripts/bench.py` and its like wrote."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
TITLES = {
    "labels": "Labels of both recipes beside those of the paper",
    "select": "Choosing weak labels of 2.7 million fields of view",
    "render": "Rendering fields of view to encoded crops",
    "knn": "Exact nearest neighbours",
    "import": "The published archive at its full size",
    "load": "Reading a built dataset",
    "load_full": "A dataset of the published size, opened in every way",
    "push": "What a second push sends after 1 % of the rows changed",
    "extract": "Extracting features",
    "train": "Training steps",
    "spread": "The demo's scores over seeds",
}
_HEAD = """# Numbers

Made by `python scripts/docs.py` from the JSON files in `docs/benchmarks`, which hold more. Each table was
measured in one run on one machine, the alternatives in turn: compare within a table, never between machines.
"""


def page(folder: Path = FOLDER) -> str:
    """The whole page; a benchmark without a file is left out."""
    return "\n".join([_HEAD, *sections(folder).values()])


def sections(folder: Path = FOLDER) -> dict[str, str]:
    """Name of each measurement that has a file → its part of the page, in order."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    order = [*(name for name in TITLES if name in found), *(name for name in found if name not in TITLES)]
    return {name: _section(name, found[name]) for name in order}


def _section(name: str, result: Mapping[str, Any]) -> str:
    parts = [f"## {TITLES.get(name, name.replace('_', ' ').capitalize())}"]
    if result.get("table"):
        parts.append(table(result["table"]))
    parts += ["\n".join(f"- {note}" for note in result["notes"])] if result.get("notes") else []
    goals = result.get("goals")
    if isinstance(goals, Mapping):
        parts.append("\n".join(f"- Goal, {goal.replace('_', ' ')}: {_cell(value)}" for goal, value in goals.items()))
    if machine := result.get("machine"):
        cores = f"{machine['cores']} cores" if machine["cores"] != 1 else "1 core"
        python = machine["versions"].get("python") or machine.get("python")  # beside the versions in older files
        parts.append(f"{machine['processor']}, {cores}, {machine['memory_gb']} GB; Python {python}.")
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as a Markdown table, what they are about first."""
    names = sorted(rows[0], key=lambda name: not isinstance(rows[0][name], str))
    texts = [all(isinstance(row[name], str) for row in rows) for name in names]
    lines = [
        " | ".join(name.replace("_", " ") for name in names),
        " | ".join("---" if text else "--:" for text in texts),
        *(" | ".join(_cell(row[name]) for name in names) for row in rows),
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|")
