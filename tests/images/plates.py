"""Eight fields of a plate, made for the tests of this folder."""

import numpy as np

from cytoimagenet_hf.core.seeding import derive_rng
from scripts.simulate.plate_layouts import PlateField

STAINS = ("dna", "er", "rna", "agp", "mito")


def eight_fields(*, depth: int = 1, dtype: type = np.uint16) -> list[PlateField]:
    """4 wells x 2 sites x 5 stains of noise, (12, 16) pixels, or (depth, 12, 16) stacks."""
    fields = []
    for well in ("B02", "B11", "C02", "D10"):
        for site in (1, 2):
            rng = derive_rng(7, "fields", f"{well}/{site}")
            shape = (12, 16) if depth == 1 else (depth, 12, 16)
            planes = {stain: rng.integers(0, 4000, shape).astype(dtype) for stain in STAINS}
            fields.append(PlateField(well, site, planes))
    return fields
