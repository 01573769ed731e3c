"""BBBC021: plates of MCF7 cells under compounds at several concentrations, with the mechanism of action of some."""

from dataclasses import dataclass

import pandas as pd

from .library import EFFECTS
from .phenotypes import Phenotype, Style, mix
from .plan import FieldPlan, Plan, Shot, plate_optics
from .plates import file_uuid, wells
from .sizes import Size

STAINS = {"DAPI": (1, "nucleus"), "Tubulin": (2, "microtubules"), "Actin": (4, "actin")}

MECHANISMS: dict[str, Phenotype] = {
    "Actin disruptors": EFFECTS["actin lost"].variant(roughness=0.16, radius=17),
    "Aurora kinase inhibitors": EFFECTS["large nuclei"].variant(lobes=2, nucleus=0.72, radius=23),
    "Cholesterol-lowering": EFFECTS["elongated cells"].variant(confluence=0.7, moved={"actin": "lysosomes"}),
    "DNA damage": EFFECTS["large nuclei"].variant(confluence=0.3, radius=23),
    "DNA replication": EFFECTS["thick actin fibres"].variant(
        nucleus=0.6, styles={"nucleus": Style(contrast=3.0, grain=1.8)}
    ),
    "Eg5 inhibitors": EFFECTS["mitotic arrest"].variant(confluence=0.4),
    "Epithelial": EFFECTS["actin at the edge"].variant(confluence=1.4, radius=17),
    "Kinase inhibitors": EFFECTS["star-shaped cells"].variant(confluence=0.5, styles={"actin": Style(contrast=0.5)}),
    "Microtubule destabilizers": EFFECTS["microtubules lost"].variant(lobes=3),
    "Microtubule stabilizers": EFFECTS["microtubule bundles"].variant(lobes=3, radius=17),
    "Protein degradation": EFFECTS["small round cells"].variant(moved={"microtubules": "lysosomes"}, confluence=0.7),
    "Protein synthesis": EFFECTS["condensed chromatin"].variant(moved={"microtubules": "er"}, confluence=0.45),
}
"""Effect on MCF7 of the twelve classes of the image set's own table."""


@dataclass(frozen=True)
class Compound:
    """A compound as the published tables spell it, its class, its effect at the highest dose, and its week."""

    name: str
    mechanism: str
    week: int
    strength: float = 1.0


# Compounds of one class are in different weeks: whoever matches plates instead of cells finds the wrong class.
# The only kinase inhibitor has no other compound to be matched with, so its treatments cannot be scored right.
COMPOUNDS = (
    Compound("cytochalasin B", "Actin disruptors", 1),
    Compound("latrunculin B", "Actin disruptors", 2),
    Compound("AZ258", "Aurora kinase inhibitors", 1),
    Compound("AZ841", "Aurora kinase inhibitors", 3),
    Compound("mevinolin/lovastatin", "Cholesterol-lowering", 2),
    Compound("simvastatin", "Cholesterol-lowering", 4),
    Compound("etoposide", "DNA damage", 1, 0.9),
    Compound("chlorambucil", "DNA damage", 3),
    Compound("camptothecin", "DNA replication", 2),
    Compound("floxuridine", "DNA replication", 4, 0.9),
    Compound("AZ-C", "Eg5 inhibitors", 3),
    Compound("AZ138", "Eg5 inhibitors", 1),
    Compound("PP-2", "Epithelial", 4),
    Compound("AZ-J", "Epithelial", 2, 0.9),
    Compound("PD-169316", "Kinase inhibitors", 3),
    Compound("nocodazole", "Microtubule destabilizers", 4),
    Compound("vincristine", "Microtubule destabilizers", 1),
    Compound("taxol", "Microtubule stabilizers", 2),
    Compound("docetaxel", "Microtubule stabilizers", 3),
    Compound("ALLN", "Protein degradation", 4),
    Compound("MG-132", "Protein degradation", 1),
    Compound("emetine", "Protein synthesis", 3),
    Compound("cyclohexamide", "Protein synthesis", 2, 0.9),
)
DOSES = ((3.0, 1.0), (1.0, 0.8), (0.3, 0.65))


def bbbc021(size: Size, seed: int) -> Plan:
    """Each treatment once on each of its week's plates, among DMSO wells and a compound without a class."""
    chosen = _treatments(size.treatments)
    fields: list[FieldPlan] = []
    rows: list[dict[str, object]] = []
    for week in sorted({compound.week for compound, _, _ in chosen}):
        here = [item for item in chosen if item[0].week == week]
        for replicate in range(1, size.replicates + 1):
            plate = f"Week{week}_{27000 + week * 100 + replicate * 20}"
            names = iter(wells())
            for compound, dose, strength in here:
                _add(fields, rows, size, seed, (week, plate, next(names), replicate), compound, dose, strength)
            for _ in range(max(2, size.replicates)):
                _add(fields, rows, size, seed, (week, plate, next(names), replicate), _DMSO, 0.0, 0.0)
            _add(fields, rows, size, seed, (week, plate, next(names), replicate), _UNKNOWN, 10.0, 0.5)
    moa = [
        {"compound": compound.name, "concentration": dose, "moa": compound.mechanism} for compound, dose, _ in chosen
    ]
    moa.append({"compound": "DMSO", "concentration": 0.0, "moa": "DMSO"})
    return Plan(
        tuple(fields),
        {
            "bbbc021/BBBC021_v1_image.csv": pd.DataFrame(rows),
            "bbbc021/BBBC021_v1_moa.csv": pd.DataFrame(moa)
            .astype({"concentration": object})
            .assign(
                concentration=[f"{row['concentration']:.6f}" for row in moa]  # the published file prints six decimals
            ),
        },
    )


_DMSO = Compound("DMSO", "none", 0)
_UNKNOWN = Compound("calpain inhibitor 2 (ALLM)", "none", 0)


def _treatments(limit: int) -> list[tuple[Compound, float, float]]:
    """(compound, concentration, strength): all highest doses first, so that a small set keeps all compounds it can."""
    treatments = []
    for dose, strength in DOSES:
        treatments += [(compound, dose, strength * compound.strength) for compound in COMPOUNDS]
    return treatments[:limit]


def _add(
    fields: list[FieldPlan],
    rows: list[dict[str, object]],
    size: Size,
    seed: int,
    place: tuple[int, str, str, int],
    compound: Compound,
    dose: float,
    strength: float,
) -> None:
    week, plate, well, replicate = place
    look = mix(_MCF7, MECHANISMS.get(compound.mechanism, _MCF7), strength)
    folder = f"Week{week}/{plate}"
    prefix = "" if week == 4 else f"Week{week}_{week}50607_"
    names = {
        stain: f"{prefix}{well}_s1_w{channel}{file_uuid(seed, f'{plate}{well}{channel}')}.tif"
        for stain, (channel, _) in STAINS.items()
    }
    fields.append(
        FieldPlan(
            key=f"bbbc021/{plate}/{well}",
            phenotype=look,
            optics=plate_optics(seed, "bbbc021", plate, severity=0.7),  # one microscope
            size=size.side,
            shots=tuple(Shot(f"bbbc021/{folder}/{names[stain]}", STAINS[stain][1], "uint16") for stain in STAINS),
            labels={"compound": compound.name, "moa": compound.mechanism},
        )
    )
    row: dict[str, object] = {"TableNumber": week, "ImageNumber": len(rows) + 1}
    for stain in STAINS:
        row |= {f"Image_FileName_{stain}": names[stain], f"Image_PathName_{stain}": folder}
    rows.append(
        row
        | {
            "Image_Metadata_Plate_DAPI": plate,
            "Image_Metadata_Well_DAPI": well,
            "Replicate": replicate,
            "Image_Metadata_Compound": compound.name,
            "Image_Metadata_Concentration": dose,
        }
    )


_MCF7 = Phenotype(confluence=0.8, radius=17)
