"""docs/cells.md: measurements beside CellProfiler's own, from docs/benchmarks/cells_agreement.json."""

from collections.abc import Mapping
from typing import Any

from .numbers import table

_SHOWN = 6  # names of measures that differ


def agreement(result: Mapping[str, Any]) -> str:
    """The table, and what it says of the cells.

    Args:
        result: content of the file.
    """
    rows = [{**row, "beyond 1 %": _short(row["beyond 1 %"])} for row in result["table"]]
    cells = [
        f"| {one['screen']} | {one['cell']} | {one['area']:,} | {one['area of CellProfiler']:,.0f} |"
        for one in result["cells"]
    ]
    return "\n".join(
        [
            "Differences are relative to CellProfiler's number. The last column names measures that differ by "
            "more than 1 % in a cell.",
            "",
            table(rows),
            "",
            "The nuclei, with their areas in the masks and in CellProfiler's tables:",
            "",
            "| screen | cell | pixels here | pixels of CellProfiler |",
            "| --- | --- | --: | --: |",
            *cells,
            "",
            "Measured by `python scripts/bench.py cells_agreement FOLDER`.",
        ]
    )


def _short(names: str) -> str:
    known = [name for name in names.split(", ") if name]
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(known[:_SHOWN]) + more or "none"
