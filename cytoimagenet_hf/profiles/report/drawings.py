"""Which drawings a set of profiles has, plates, controls and doses, and all of them as one SVG for a document."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import write_text
from cytoimagenet_hf.core.simulated import SIMULATED
from cytoimagenet_hf.profiles.conditions import frame_columns
from cytoimagenet_hf.profiles.plan import Profiles
from cytoimagenet_hf.tables.features import FeatureTable

from .curves import control_strips, dose_curve
from .heatmap import plate_heatmap
from .montage import Montage
from .svg import standalone

_MOST_CURVES = 60  # more is no page to look at
_COLUMN, _GAP = 560.0, 24.0


def counted_as(profiles: Profiles) -> str:
    """What the column `count` of well profiles counts: `cells` where features were of cells, else `fields`."""
    steps = [step for step in profiles.table.about.get("steps", []) if step["step"] == "aggregate"]
    return "cells" if any("cell" in step.get("left_out_columns", ()) for step in steps) else "fields"


def plates_of(table: FeatureTable) -> list[str]:
    """(n,) the plate of every row; all alike where none is known."""
    return [str(plate) for plate in table.metadata.get("plate", ["plate"] * len(table))]


def frames_of(table: FeatureTable) -> list[str]:
    """(n,) what is drawn as one plate: the plate, and its time point or focal plane where a well has several.

    Example:
        >>> from cytoimagenet_hf.tables import make_table
        >>> facts = {"plate": ["P", "P"], "well": ["A01", "A01"], "t": [1, 2]}
        >>> frames_of(make_table(["a", "b"], [[1.0], [2.0]], facts))
        ['P, t 1', 'P, t 2']
    """
    frames = plates_of(table)
    for name in frame_columns(table):
        frames = [f"{frame}, {name} {value}" for frame, value in zip(frames, table.metadata[name], strict=True)]
    return frames


def plate_drawings(
    profiles: Profiles,
    montage: Montage | None,
    missing: Mapping[str, Sequence[str]],
    *,
    plate_size: int | None = None,
) -> list[dict[str, str]]:
    """Drawings of every plate and time point: distance from controls, intensity by channel, or number of fields."""
    frames, ids = frames_of(profiles.table), [str(ident) for ident in profiles.table.ids]
    wells = [str(well) for well in profiles.table.metadata["well"]]
    layers: list[tuple[str, str, npt.NDArray[np.float64]]] = []
    distance = profiles.screen.distance if profiles.screen else np.full(len(ids), np.nan)
    if np.isfinite(distance).any():
        layers.append(("Distance from negative controls", "deviations of the controls", distance))
    if montage is not None:
        for channel, means in montage.intensity.items():
            layers.append(
                (f"Intensity, {channel}", "mean of the native pixels", np.array([means.get(i, np.nan) for i in ids]))
            )
    counts = profiles.table.metadata.get("count")
    numbers = np.ones(len(ids)) if counts is None else counts.to_numpy(np.float64)
    if not layers or len(np.unique(numbers)) > 1:
        layers.append((counted_as(profiles).capitalize(), "number per well", numbers))
    drawn = []
    for frame in dict.fromkeys(frames):
        places = [place for place, name in enumerate(frames) if name == frame]
        for title, legend, values in layers:
            finite = values[np.isfinite(values)]
            low, high = np.quantile(finite, [0.0, 0.98]) if len(finite) else (0.0, 1.0)
            if high <= low:
                low, high = min(0.0, low), low or 1.0
            cells = {wells[i]: (ids[i], float(values[i]), str(profiles.facts.role[i])) for i in places}
            drawing = plate_heatmap(
                cells,
                title=title,
                legend=legend,
                limits=(float(low), float(high)),
                missing=missing.get(frame, []),
                size=plate_size,
            )
            drawn.append({"plate": frame, "drawing": drawing})
    return drawn


def control_drawings(profiles: Profiles) -> list[str]:
    """A drawing per plate, setting and compound with positive controls."""
    screen = profiles.screen
    if screen is None:
        return []
    drawn, many = [], len(screen.groups) > 1
    substance = profiles.facts.conditions.substance
    for one in screen.separations:
        rows = screen.groups[one.plate, one.setting]
        roles = [
            str(role) if role != "positive" or (substance[row] or "positive control") == one.compound else ""
            for row, role in zip(rows, profiles.facts.role[rows], strict=True)
        ]
        ids = [str(ident) for ident in profiles.table.ids[rows]]
        drawn.append(control_strips(one, screen.scores[one.compound][rows], roles, ids, on_plate=many))
    return drawn


def dose_drawings(profiles: Profiles) -> list[str]:
    """A drawing per plate, setting and compound with doses; of very many, the clearest."""
    screen = profiles.screen
    if screen is None:
        return []
    drawn, many = [], len(screen.groups) > 1
    chosen = list(screen.responses)
    if len(chosen) > _MOST_CURVES:
        chosen = sorted(chosen, key=lambda row: -abs(row.spearman))[:_MOST_CURVES]
    for row in chosen:
        rows = screen.groups[row.plate, row.setting]
        score = row.compound if row.measured_on == "score" else row.measured_on.removeprefix("score to ")
        values = screen.distance if row.measured_on == "distance" else screen.scores[score]
        untreated = values[rows][profiles.facts.negative[rows]].tolist()
        drawn.append(dose_curve(row, untreated, unit=screen.unit, on_plate=many))
    return drawn


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
            width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', one)[0])
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
    write_text(path, standalone(head + "".join(parts)) + "</svg>\n")
