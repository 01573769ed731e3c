"""Plates of a few pixels and what is read of them, for the tests of this folder."""

import numpy as np
import tifffile

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


def write(path, value=1, *, shape=(4, 5), dtype=np.uint16):
    """A TIFF of one value, whatever the ending of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as handle:
        tifffile.imwrite(handle, np.full(shape, value, dtype), photometric="minisblack")


def values(image):
    """The largest value of each channel."""
    return [int(plane.max()) for plane in image.read()]
