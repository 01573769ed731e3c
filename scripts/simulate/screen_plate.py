"""One plate of a screen: 96 wells with controls and two compounds in nine doses, written in several layouts.

Columns 1 and 12 hold DMSO, column 2 the highest dose of each compound as positive control, columns 3 to 11 its
threefold dilutions; rows A to D are one compound, E to H the other, as on BBBC013.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.core.simulated import mark_simulated

from .camera import expose
from .cells import draw_field
from .library import EFFECTS
from .phenotypes import Phenotype, Style, mix
from .plan import plate_optics, write_table
from .plate_layouts import PLATE_LAYOUTS, PlateField
from .sizes import size_named

PLATE = "SIM-96"
STAINS = {"dna": "nucleus", "tubulin": "microtubules", "actin": "actin"}
"""Stain → the structure that it shows."""

UNTREATED = EFFECTS["none"]
_TOP = 10.0  # µM, the highest dose


@dataclass(frozen=True)
class _Compound:
    name: str
    effect: Phenotype  # at full strength
    ec50: float  # µM: the dose of half the effect


# Effects in numbers alone, so that they grow evenly with the dose; half of them in the middle of the doses, an order
# of magnitude apart. Both are stronger than the archive's labels: a plate has one field of a dozen cells per well.
_COMPOUNDS = (
    _Compound(
        "jasplakinolide",
        UNTREATED.variant(
            elongation=0.5,
            styles={
                "actin": Style(grain=3.5, contrast=2.0, amount=0.4, spread=0.1, level=1.2),
                "microtubules": Style(spread=0.1, amount=0.6, grain=1.5),
            },
        ),
        0.1,
    ),
    _Compound(
        "etoposide",
        UNTREATED.variant(
            radius=27,
            nucleus=0.72,
            confluence=0.45,
            nucleus_roughness=0.08,
            styles={"nucleus": Style(contrast=3.0, grain=1.8), "nucleoli": Style(amount=0.3)},
        ),
        1.0,
    ),
)


@dataclass(frozen=True)
class PlateWell:
    """What is in one well, and the share of its compound's full effect."""

    well: str
    compound: str
    concentration: float
    role: str
    effect: Phenotype
    strength: float


def plate_wells() -> list[PlateWell]:
    """The 96 wells in reading order.

    Example:
        >>> wells = plate_wells()
        >>> len(wells), wells[0].compound, wells[1].role, wells[10].concentration
        (96, 'DMSO', 'positive_control', 0.00152)
    """
    wells = []
    for row in "ABCDEFGH":
        compound = _COMPOUNDS[row > "D"]
        for column in range(1, 13):
            well = f"{row}{column:02d}"
            if column in (1, 12):
                wells.append(PlateWell(well, "DMSO", 0.0, "negative_control", compound.effect, 0.0))
                continue
            dose = _TOP / 3 ** max(0, column - 3)
            role = "positive_control" if column == 2 else "treatment"
            strength = dose / (dose + compound.ec50)
            wells.append(PlateWell(well, compound.name, float(f"{dose:.3g}"), role, compound.effect, strength))
    return wells


def simulate_plate(
    root: str | Path,
    *,
    size: str = "tiny",
    seed: int,
    layouts: Sequence[str] = ("imagexpress", "phenix", "omezarr"),
) -> dict[str, Path]:
    """Write the plate in each layout, one field per well and three stains, and its `platemap.csv`.

    Args:
        root: made when absent; a layout lies in a folder of its name.
        size: a name of `SIZES`; its `side` is that of a field.
        seed: equal seeds give equal pixels in every layout.
        layouts: names of `PLATE_LAYOUTS`.

    Returns:
        Layout → what `images.find_images` is given.

    Raises:
        InputError: an unknown size or layout.
    """
    if unknown := [name for name in layouts if name not in PLATE_LAYOUTS]:
        raise InputError(f"no plate layout {', '.join(unknown)}: known are {', '.join(PLATE_LAYOUTS)}")
    side, root = size_named(size).side, Path(root)
    mark_simulated(root)
    wells = plate_wells()
    fields = [_field(well, side, seed) for well in wells]
    written = {name: PLATE_LAYOUTS[name](root / name, PLATE, fields, seed=seed) for name in layouts}
    columns = ("well", "compound", "concentration", "role")
    rows = pd.DataFrame([{column: getattr(well, column) for column in columns} for well in wells])
    rows.insert(0, "plate", PLATE)
    write_table(root / "platemap.csv", rows.rename(columns={"concentration": "concentration_um"}))
    return written


def _field(well: PlateWell, side: int, seed: int) -> PlateField:
    rng = derive_rng(seed, "plate", well.well)
    optics = plate_optics(seed, "plate", PLATE, severity=0.7)
    look = mix(UNTREATED, well.effect, well.strength)
    drawn = draw_field(rng, look, side, list(STAINS.values()), optics=optics)
    planes = {stain: expose(rng, drawn[name], optics, depth="uint16") for stain, name in STAINS.items()}
    return PlateField(well.well, 1, planes)
