"""Which drawings a set of profiles has: plates, controls and doses."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.profiles.plan import Profiles
from cytoimagenet_hf.tables.features import FeatureTable

from .curves import control_strips, dose_curve
from .heatmap import plate_heatmap
from .montage import Montage

_MOST_CURVES = 60  # more is no page to look at


def plates_of(table: FeatureTable) -> list[str]:
    """(n,) the plate of every row; all alike where none is known."""
    known = "plate" in table.metadata
    return [str(plate) for plate in table.metadata["plate"]] if known else ["plate"] * len(table)


def plate_drawings(
    profiles: Profiles, montage: Montage | None, missing: Mapping[str, Sequence[str]]
) -> list[dict[str, str]]:
    """Drawings of every plate: distance from controls, each channel's intensity, or the number of fields."""
    plates, ids = plates_of(profiles.table), [str(ident) for ident in profiles.table.ids]
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
        layers.append(("Fields or cells", "rows that became the well", numbers))
    drawn = []
    for plate in dict.fromkeys(plates):
        own = [place for place, name in enumerate(plates) if name == plate]
        for title, legend, values in layers:
            finite = values[np.isfinite(values)]
            low, high = np.quantile(finite, [0.0, 0.98]) if len(finite) else (0.0, 1.0)
            if high <= low:
                low, high = min(0.0, low), low or 1.0
            cells = {wells[i]: (ids[i], float(values[i]), str(profiles.facts.role[i])) for i in own}
            drawing = plate_heatmap(
                cells, title=title, legend=legend, limits=(float(low), float(high)), missing=missing.get(plate, [])
            )
            drawn.append({"plate": plate, "drawing": drawing})
    return drawn


def control_drawings(profiles: Profiles) -> list[str]:
    """A drawing per plate and compound with positive controls."""
    if profiles.screen is None:
        return []
    plates = plates_of(profiles.table)
    drawn, many = [], len(set(plates)) > 1
    for one in profiles.screen.separations:
        own = [place for place, plate in enumerate(plates) if plate == one.plate or len(set(plates)) == 1]
        compound = profiles.facts.compound
        roles = [
            str(profiles.facts.role[i])
            if profiles.facts.role[i] != "positive" or (compound[i] or "positive control") == one.compound
            else ""
            for i in own
        ]
        drawn.append(
            control_strips(
                one,
                profiles.screen.scores[one.compound][own],
                roles,
                [str(profiles.table.ids[i]) for i in own],
                on_plate=many,
            )
        )
    return drawn


def dose_drawings(profiles: Profiles) -> list[str]:
    """A drawing per plate and compound with doses; of very many, the clearest."""
    screen = profiles.screen
    if screen is None:
        return []
    plates = plates_of(profiles.table)
    drawn, many = [], len(set(plates)) > 1
    chosen = list(screen.responses)
    if len(chosen) > _MOST_CURVES:
        chosen = sorted(chosen, key=lambda row: -abs(row.spearman))[:_MOST_CURVES]
    for row in chosen:
        own = np.array([plate == row.plate for plate in plates]) | (len(set(plates)) == 1)
        values = screen.distance
        if row.measured_on != "distance":
            values = screen.scores[
                row.measured_on.removeprefix("score to ") if " to " in row.measured_on else row.compound
            ]
        drawn.append(dose_curve(row, values[own & profiles.facts.negative].tolist(), unit=screen.unit, on_plate=many))
    return drawn
