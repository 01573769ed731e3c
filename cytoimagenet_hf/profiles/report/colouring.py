"""What the dots of the map can be coloured by: at most six colours, or one hue from light to dark."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.colours import CATEGORIES, PALETTE
from cytoimagenet_hf.profiles.well_facts import WellFacts
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.wells import place_of

from .svg import OTHER, number, shade

_ROLES = {"negative": PALETTE[0], "positive": PALETTE[1], "treatment": "#7b8794", "empty": PALETTE[3]}

_NONE = "#e0cda4"  # sand: outside the blues of a scale


@dataclass(frozen=True)
class Colouring:
    """One way to colour the rows: its name, a colour per row, and (label, colour) of the legend in the order shown."""

    name: str
    colours: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]


def colourings(table: FeatureTable, facts: WellFacts, distance: npt.NDArray[np.float64]) -> list[Colouring]:
    """Every way that says something of this table: role, compound, dose, plate, settings, row, column, distance."""
    ways = []
    if facts.role.any():
        roles = [str(role) or "unknown" for role in facts.role]
        names = [name for name in (*_ROLES, "unknown") if name in roles]
        colours = {name: _ROLES.get(name, OTHER) for name in names}
        ways.append(Colouring("role", tuple(colours[role] for role in roles), tuple(colours.items())))
    compounds = [
        "negative control" if bad else str(name) for bad, name in zip(facts.negative, facts.compound, strict=True)
    ]
    if len(set(compounds) - {""}) > 1:
        ways.append(_categories("compound", compounds))
    doses = np.where(facts.dose > 0, facts.dose, np.nan)
    if np.isfinite(doses).sum() > 2 and np.nanmax(doses) > np.nanmin(doses):
        ways.append(_scale(f"dose{f' ({facts.unit})' if facts.unit else ''}", doses, logarithmic=True))
    if "plate" in table.metadata and table.metadata["plate"].nunique() > 1:
        ways.append(_categories("plate", [str(plate) for plate in table.metadata["plate"]]))
    for name in facts.conditions.settings:
        ways.append(_categories(name, ["" if pd.isna(value) else str(value) for value in table.metadata[name]]))
    if "well" in table.metadata:
        places = np.array([place_of(str(well)) for well in table.metadata["well"]], float)
        ways.append(_scale("row", places[:, 0]))
        ways.append(_scale("column", places[:, 1]))
    if np.isfinite(distance).any():
        ways.append(_scale("distance from controls", distance))
    return ways


def _categories(name: str, values: Sequence[str]) -> Colouring:
    """The commonest in colours, what is beyond six of them in gray."""
    order = [value for value, _ in Counter(value for value in values if value).most_common()]
    shown = order if len(order) <= len(CATEGORIES) else order[: len(CATEGORIES) - 1]
    colours = dict(zip(shown, CATEGORIES, strict=False))
    legend = list(colours.items())
    if len(order) > len(shown):
        legend.append((f"{len(order) - len(shown)} others", OTHER))
    if "" in values:
        legend.append(("none", OTHER))
    return Colouring(name, tuple(colours.get(value, OTHER) for value in values), tuple(legend))


def _scale(name: str, values: npt.NDArray[np.float64], *, logarithmic: bool = False) -> Colouring:
    x = np.log10(values) if logarithmic else values
    low, high = np.nanmin(x), np.nanmax(x)
    if not logarithmic:
        high = np.nanquantile(x, 0.98) if name.startswith("distance") else high
    parts = (x - low) / (high - low) if high > low else np.zeros_like(x)
    colours = tuple(shade(0.1 + 0.9 * part) if np.isfinite(part) else _NONE for part in parts)
    steps = np.linspace(0, 1, 5)
    levels = [low + step * (high - low) for step in steps]
    legend = [
        (number(float(f"{10**level:.2g}") if logarithmic else round(level, 2)), shade(0.1 + 0.9 * step))
        for level, step in zip(levels, steps, strict=True)
    ]
    if not np.isfinite(x).all():
        legend.append(("none", _NONE))
    return Colouring(name, colours, tuple(legend))
