"""The page's drawings of numbers as one SVG file, for a document: distance from controls, controls, dose responses."""

import re
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.core.simulated import SIMULATED
from cytoimagenet_hf.profiles.plan import Profiles

from .drawings import control_drawings, dose_drawings, plate_drawings
from .svg import standalone

_COLUMN, _GAP = 560.0, 24.0


def write_figure(profiles: Profiles, path: str | Path, *, plate_size: int | None = None) -> None:
    """Write the drawings side by side, two to a row; one without a neighbour is in the middle.

    Args:
        profiles: of wells.
        path: `.svg`.
        plate_size: wells of the plate; by default the smallest plate that has them all.
    """
    path = Path(path)
    if path.suffix != ".svg":
        raise InputError(f"{path}: a figure is written as .svg")
    groups = [[one["drawing"] for one in plate_drawings(profiles, None, {}, plate_size=plate_size)]]
    groups += [control_drawings(profiles), dose_drawings(profiles)]
    parts, y = [], _GAP
    for row in [group[start : start + 2] for group in groups for start in range(0, len(group), 2)]:
        heights = []
        for place, one in enumerate(row):
            width, height = _size(one)
            left = _GAP + place * (_COLUMN + _GAP) if len(row) > 1 else _GAP + (2 * _COLUMN + _GAP - width) / 2
            at = f'<svg x="{left:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
            parts.append(at + one.removeprefix("<svg "))
            heights.append(height)
        y += max(heights) + _GAP
    width = 2 * _COLUMN + 3 * _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {y:g}" width="{width:g}" height="{y:g}" '
        'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">'
        '<rect width="100%" height="100%" fill="#fff"/>'
    )
    if profiles.table.about.get("simulated"):
        at = f'x="{width - _GAP:g}" y="{_GAP:g}" text-anchor="end" font-size="13" fill="#b3450a"'
        head += f"<text {at}>{SIMULATED}</text>"
    with atomic_path(path) as temporary:
        temporary.write_text(standalone(head + "".join(parts)) + "</svg>\n", encoding="utf-8")


def _size(drawing: str) -> tuple[float, float]:
    match = re.search(r'viewBox="0 0 (\d+) (\d+)"', drawing)
    if match is None:
        raise InputError("a drawing without a size")
    return float(match[1]), float(match[2])
