"""The sections of docs/numbers.md, each from a JSON file that `scripts/bench.py` or its like wrote."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError

from . import blocks
from .sentences import MEASUREMENTS, heading_and_sentence

_PERCENT = re.compile(r"[\d.]+ ?%")
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
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


def sections(folder: Path = FOLDER) -> dict[str, str]:
    """Name of each measurement that has a file → its part of the page, in order."""
    files = [path for path in folder.glob("*.json") if path.stem not in ELSEWHERE]
    if untold := sorted({path.stem for path in files} - {*MEASUREMENTS}):
        raise InputError(f"{untold[0]}.json: write its heading and its sentence into scripts/pages/numbers.md.jinja")
    return {
        path.stem: _section(path.stem, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(files, key=lambda path: MEASUREMENTS.index(path.stem))
    }


def _section(name: str, result: Mapping[str, Any]) -> str:
    parts = [*heading_and_sentence(name, result)]
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
    about = [name for name in rows[0] if all(_is_text(row[name]) for row in rows)]
    values = [name for name in rows[0] if name not in about]
    if len(about) + len(values) <= _WIDEST:
        return _columns(rows, about, values)
    step = max(1, math.ceil(len(values) / math.ceil(len(values) / max(1, _WIDEST - len(about)))))
    groups = [values[start : start + step] for start in range(0, len(values), step)]
    return "\n\n".join(_columns(rows, about, group) for group in groups)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not _PERCENT.fullmatch(value)


def _columns(rows: Sequence[Mapping[str, Any]], about: Sequence[str], values: Sequence[str]) -> str:
    names = [*about, *values]
    head = [name.replace("_", " ") for name in names]
    return blocks.table(head, ([_cell(row[name]) for name in names] for row in rows), numbers=len(values))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
