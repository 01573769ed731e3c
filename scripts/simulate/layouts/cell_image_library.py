"""Kinome Atlas: one TIFF per image and a mapping of file to kinase family."""

import pandas as pd

from cytoimagenet_hf.core.seeding import derive_rng
from scripts.simulate.phenotypes import Phenotype
from scripts.simulate.plan import FieldPlan, Plan, Shot, plate_optics
from scripts.simulate.sizes import Size

# Families of the mapping file, and a place where such kinases may be found.
FAMILIES = {"AGC": "cell membrane", "CAMK": "er", "CMGC": "nuclear speckles", "TK": "endosomes", "Other": "cytosol"}


def cil_kinome(size: Size, seed: int) -> Plan:
    """Images numbered from 53464; one channel holds nucleus and kinase together."""
    fields, rows = [], []
    families = list(FAMILIES)
    for number in range(size.wells):
        name, family = str(53464 + number), families[number % len(families)]
        optics = plate_optics(seed, "cil_kinome", name)
        radius = 18 * float(derive_rng(seed, "kinome", name).uniform(0.9, 1.2))
        fields.append(
            FieldPlan(
                key=f"cil_kinome/{name}",
                phenotype=Phenotype(radius=radius),
                optics=optics,
                size=size.side,
                shots=(Shot(f"cil_kinome/{name}.tif", f"nucleus+{FAMILIES[family]}"),),
                labels={"cell_visible": family},
            )
        )
        rows.append({"file_name": f"{name}.zip", "kinase": family})
    return Plan(tuple(fields), {"cil_kinome/cil_kinome_mapping.csv": pd.DataFrame(rows)})
