"""docs/cells.md: measurements beside CellProfiler's own, from docs/benchmarks/cells_agreement.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from .numbers import table

_SHOWN = 6  # names of measures that differ


def agreement(result: Mapping[str, Any]) -> str:
    """The table, and what it says of the cells, from the content of the file."""
    rows = [{**row, "beyond 1 %": _short(row["beyond 1 %"])} for row in result["table"]]
    words = {"area": "pixels here", "area of CellProfiler": "pixels of CellProfiler"}
    nuclei = [
        {words.get(name, name): nucleus[name] for name in ("screen", "cell", *words)} for nucleus in result["cells"]
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
            table(nuclei),
            "",
            *_why(result["offsets"]),
            "",
            "Measured by `python scripts/bench.py cells_agreement FOLDER`.",
        ]
    )


def _why(offsets: Sequence[Mapping[str, Any]]) -> list[str]:
    """What can agree, and what cannot."""
    shown = "; ".join(
        f"{one['channel']} by {one['least']:,.0f} to {one['most']:,.0f} grey values (deviation {one['deviation']:.1f})"
        for one in offsets
    )
    return [
        "- Shape agrees where the pixels of the mask are those that CellProfiler measured. Most masks of nf1 differ",
        "  from its objects by a few pixels. The older CellProfiler of jump gives `Orientation` in radians,",
        "  and its `Solidity` is up to 1 % larger, by another convex hull.",
        "- Texture agrees but for two measures: `SumAverage` moves with the grey level, and for `DifferenceVariance`",
        "  we know no reason.",
        "- Intensity, granularity, radial distribution and correlation of nf1 cannot agree: its numbers are of images",
        "  from which a background was taken that is not published. In the nucleus with the same pixels, ours lie",
        f"  above {shown}.",
        "- Intensities of jump were measured after illumination correction, whose functions are not beside the",
        "  images: only shape is compared.",
        "- Cells and cytoplasm of nf1 cannot be compared: their masks are binary, and cells that touch are one part.",
    ]


def _short(names: str) -> str:
    measures = [name for name in names.split(", ") if name]
    more = f" and {len(measures) - _SHOWN} more" if len(measures) > _SHOWN else ""
    return ", ".join(measures[:_SHOWN]) + more or "none"
