"""Which drawings a set of profiles has: plates, controls and doses."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.profiles.conditions import frame_columns
from cytoimagenet_hf.profiles.plan import Profiles
from cytoimagenet_hf.tables.features import FeatureTable

from .curves import control_strips, dose_curve
from .heatmap import plate_heatmap
from .montage import Montage

_MOST_CURVES = 60  # more is no page to look at


def counted_as(profiles: Profiles) -> str:
    """What the column `count` of well profiles counts: `cells` where features were of cells, else `fields`."""
    steps = [step for step in profiles.table.about.get("steps", []) if step["step"] == "aggregate"]
    return "cells" if any("cell" in step.get("left_out_columns", ()) for step in steps) else "fields"


def plates_of(table: FeatureTable) -> list[str]:
    """(n,) the plate of every row; all alike where none is known."""
    known = "plate" in table.metadata
    return [str(plate) for plate in table.metadata["plate"]] if known else ["plate"] * len(table)


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
        values = screen.distance
        if row.measured_on != "distance":
            values = screen.scores[
                row.measured_on.removeprefix("score to ") if " to " in row.measured_on else row.compound
            ]
        untreated = values[rows][profiles.facts.negative[rows]].tolist()
        drawn.append(dose_curve(row, untreated, unit=screen.unit, on_plate=many))
    return drawn
