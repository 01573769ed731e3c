"""docs/numbers.md: what was measured, from the JSON files that `scripts/bench.py` and its like wrote."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .sentences import sentence

_PERCENT = re.compile(r"[\d.]+ ?%")
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
TITLES = {
    "screen": "A real plate, from files to doses",
    "spread": "The demo's scores over seeds",
    "extract": "Extracting features",
    "short": "Short extractions, from start to end",
    "plate": "A plate of large fields, from files to features",
    "remote": "Fields on the internet, beside the disk",
    "cells": "Cells of label images",
    "train": "Training steps",
    "gpu": "One GPU: training, extraction, resuming",
    "recipes": "The two training recipes",
    "load": "Reading a built dataset",
    "load_full": "A dataset of the published size, opened in every way",
    "import": "The published archive at its full size",
    "growth": "What a row costs as a dataset grows",
    "push": "What a second push sends after 1 % of the rows changed",
    "labels": "Labels of both recipes beside those of the paper",
    "select": "Choosing weak labels of 2.7 million fields of view",
    "render": "Rendering fields of view to encoded crops",
    "knn": "Exact nearest neighbours",
    "suite": "The benchmark suite of the demo",
    "metrics": "The evaluate metrics beside the command",
    "keras_parity": "Features of the Keras weights",
}
ELSEWHERE = ("cells_agreement", "repairs", "study")
"""Measurements with a page of their own."""
WORDS = {
    "times the floor": "ours / decode and encode alone",
    "floor ms": "decode and encode alone, ms",
    "bound ms": "with one count and one look-up of each pixel, ms",
    "times the bound": "ours / those",
    "of the floor": "of the network alone",
    "cpu times floor": "CPU time / product alone",
    "cpu times ours": "CPU time / ours",
    "cpu seconds": "CPU seconds",
    "peak mb": "peak MB",
    "times corrected": "times ours",
    "size": "file size / Pillow's",
    "floor: product alone": "the matrix product alone",
    "floor: read and write": "reading and writing the tables alone",
    "network alone (floor)": "network alone, images in memory",
    "times the loop": "times one by one",
    "side": "pixels a side",
}
"""Words of the files → words for readers who have not seen the programs."""
_HEAD = """# Numbers

Each sentence and table is made by `python scripts/docs.py` from a JSON file in `docs/benchmarks`, which holds more.
The command that measures is `python scripts/bench.py` with the name of the file. The rows of one table were measured
in turn, in one run on one machine: compare within a table, never between machines.
"""


def page(folder: Path = FOLDER) -> str:
    """The whole page; a benchmark without a file is left out."""
    return "\n".join([_HEAD, *sections(folder).values()])


def sections(folder: Path = FOLDER) -> dict[str, str]:
    """Name of each measurement that has a file → its part of the page, in order."""
    files = [path for path in sorted(folder.glob("*.json")) if path.stem not in ELSEWHERE]
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
    order = [*(name for name in TITLES if name in found), *(name for name in found if name not in TITLES)]
    return {name: _section(name, found[name]) for name in order}


def _section(name: str, result: Mapping[str, Any]) -> str:
    parts = [f"## {TITLES.get(name, name.replace('_', ' ').capitalize())}", sentence(name, result)]
    if result.get("table"):
        parts.append(table(_for_readers(name, result["table"])))
    notes = result.get("notes", ())
    parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    goals = result.get("goals")
    if isinstance(goals, Mapping) and not any(note.startswith("goal") for note in notes):
        met = {True: " (met)", False: " (not met)"}
        aims = (
            goal.replace("_", " ") + (met[value] if isinstance(value, bool) else f" at most {_cell(value)}")
            for goal, value in goals.items()
        )
        parts.append(f"Aims: {'; '.join(aims)}.")
    if machine := result.get("machine"):
        cores = f"{machine['cores']} cores" if machine["cores"] != 1 else "1 core"
        python = machine["versions"].get("python") or machine.get("python")  # beside the versions in older files
        parts.append(f"{machine['processor']}, {cores}, {machine['memory_gb']} GB; Python {python}.")
    return "\n\n".join(parts) + "\n"


def _for_readers(name: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows in words that need no explanation, without the goals."""
    words = WORDS if name != "keras_parity" else {}  # its sizes are those of images
    return [
        {
            words.get(column, column): words.get(value, value) if isinstance(value, str) else value
            for column, value in row.items()
            if column != "goal"
        }
        for row in rows
    ]


_WIDEST = 7
"""Columns of one table: more do not fit beside the menu of the site."""


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as a Markdown table, what they are about first; wide ones as several."""
    words = {
        name: all(isinstance(row[name], str) and not _PERCENT.fullmatch(row[name]) for row in rows) for name in rows[0]
    }
    about = [name for name in rows[0] if words[name]]
    values = [name for name in rows[0] if not words[name]]
    if len(about) + len(values) <= _WIDEST:
        return _table(rows, [*about, *values], words)
    step = max(1, math.ceil(len(values) / math.ceil(len(values) / max(1, _WIDEST - len(about)))))
    groups = [values[start : start + step] for start in range(0, len(values), step)]
    return "\n\n".join(_table(rows, [*about, *group], words) for group in groups)


def _table(rows: Sequence[Mapping[str, Any]], names: Sequence[str], words: Mapping[str, bool]) -> str:
    texts = [words[name] for name in names]
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
