"""The numbers of docs/cells.md: measurements beside CellProfiler's own, from docs/benchmarks/cells_agreement.json."""

from collections.abc import Mapping
from typing import Any

from .numbers import table

_SHOWN = 6  # names of measures that differ


def parts(result: Mapping[str, Any]) -> dict[str, str]:
    """Block of the page → its content."""
    rows = [{**row, "beyond 1 %": _short(row["beyond 1 %"])} for row in result["table"]]
    words = {"area": "pixels here", "area of CellProfiler": "pixels of CellProfiler"}
    nuclei = [
        {words.get(name, name): nucleus[name] for name in ("screen", "cell", *words)} for nucleus in result["cells"]
    ]
    offsets = "; ".join(
        f"{one['channel']} by {one['least']:,.0f} to {one['most']:,.0f} grey values (deviation {one['deviation']:.1f})"
        for one in result["offsets"]
    )
    return {
        "agreement": table(rows),
        "nuclei": table(nuclei),
        "offsets": f"In the nucleus with the same pixels, our intensities lie above CellProfiler's: {offsets}.",
    }


def _short(names: str) -> str:
    measures = [name for name in names.split(", ") if name]
    more = f" and {len(measures) - _SHOWN} more" if len(measures) > _SHOWN else ""
    return ", ".join(measures[:_SHOWN]) + more or "none"
