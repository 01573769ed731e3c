"""COOS-7 and CYCLoPs: crops of 64 pixels with one cell in the middle, a class per place of the protein."""

from dataclasses import replace

from cytoimagenet_hf.core.seeding import derive_rng

from .camera import Optics, batch_optics
from .phenotypes import Phenotype, Style
from .plan import FieldPlan, Plan, Shot
from .sizes import Size

SIDE = 64

COOS7_CLASSES = {
    "ER": "er",
    "Inner_Mitochondria": "mitochondria",
    "Golgi": "golgi",
    "Peroxisomes": "peroxisomes",
    "Early_Endosome": "endosomes",
    "Cytosol": "cytosol",
    "Nuclear_Envelope": "nuclear membrane",
}
# How far plates differ: training plates and a held-out part of them; other plates; another day; another instrument.
COOS7_SHIFT = {"train": 0.5, "test1": 0.5, "test2": 0.6, "test3": 0.8, "test4": 1.0}


def coos7(size: Size, seed: int) -> Plan:
    """Mouse cells: `<set>/<class>/<stem>_protein.tif`, `_nucleus.tif` and `_mask.tif`, 16 bit."""
    fields = []
    for part, severity in COOS7_SHIFT.items():
        count = size.train_cells if part == "train" else size.test_cells
        scale = 0.95 if part == "test4" else 1.0  # the other instrument's pixels are larger
        plates = "train" if part in ("train", "test1") else part  # test1 comes from the training plates
        for label, structure in COOS7_CLASSES.items():
            for number in range(count):
                stem = f"coos7/{part}/{label}/{part}_{number:04d}"
                fields.append(
                    FieldPlan(
                        key=stem,
                        phenotype=mouse_cell(seed, stem),
                        optics=_optics(seed, f"coos7/{plates}", number, severity=severity, scale=scale),
                        size=SIDE,
                        shots=(
                            Shot(f"{stem}_protein.tif", structure, "uint16"),
                            Shot(f"{stem}_nucleus.tif", "nucleus", "uint16"),
                            Shot(f"{stem}_mask.tif", "mask"),
                        ),
                        labels={"class": label},
                        kind="single",
                    )
                )
    return Plan(tuple(fields))


CYCLOPS_CLASSES: dict[str, str] = {
    "ACTIN": "actin patches",
    "BUDNECK": "bud neck",
    "BUDTIP": "bud tip",
    "CELLPERIPHERY": "cell membrane",
    "CYTOPLASM": "cytosol",
    "ENDOSOME": "endosomes",
    "ER": "er",
    "GOLGI": "golgi",
    "MITOCHONDRIA": "mitochondria",
    "NUCLEARPERIPHERY": "nuclear membrane",
    "NUCLEI": "nucleus",
    "NUCLEOLUS": "nucleoli",
    "PEROXISOME": "peroxisomes",
    "SPINDLE": "spindle",
    "SPINDLEPOLE": "spindle pole",
    "VACUOLARMEMBRANE": "vacuole membrane",
    "VACUOLE": "vacuole",
    "DEAD": "whole",
    "GHOST": "shell",
}


def cyclops(size: Size, seed: int) -> Plan:
    """Yeast cells: `chong_labeled/<CLASS>/<CLASS>_<n>_gfp.tif` and `_rfp.tif`, float32."""
    fields = []
    for label, structure in CYCLOPS_CLASSES.items():
        for number in range(size.yeast_cells):
            stem = f"cyclops/chong_labeled/{label}/{label}_{number}"
            marker = structure if label in ("DEAD", "GHOST") else "cytosol"
            fields.append(
                FieldPlan(
                    key=stem,
                    phenotype=_yeast(seed, stem),
                    optics=_optics(seed, "cyclops", number, severity=1.0),
                    size=SIDE,
                    shots=(
                        Shot(f"{stem}_gfp.tif", structure, "float32"),
                        Shot(f"{stem}_rfp.tif", marker, "float32"),
                    ),
                    labels={"class": label},
                    kind="single",
                )
            )
    return Plan(tuple(fields))


def mouse_cell(seed: int, stem: str) -> Phenotype:
    """Geometry of one cell of COOS-7: varied, and independent of its class."""
    rng = derive_rng(seed, "shape", stem)
    return Phenotype(
        radius=float(rng.uniform(21, 29)),
        elongation=float(rng.uniform(0.05, 0.4)),
        roughness=float(rng.uniform(0.02, 0.08)),
        nucleus=float(rng.uniform(0.42, 0.54)),
        confluence=float(rng.uniform(0.3, 1.2)),
    )


def _yeast(seed: int, stem: str) -> Phenotype:
    """Round cells in three of four cases with a bud; organelles are fewer than in mammalian cells."""
    rng = derive_rng(seed, "shape", stem)
    few = {name: Style(amount=0.45) for name in ("endosomes", "golgi", "mitochondria", "peroxisomes")}
    return Phenotype(
        radius=float(rng.uniform(17, 23)),
        elongation=0.1,
        roughness=0.01,
        nucleus=0.4,
        bud=float(rng.choice([0.0, 0.35, 0.5, 0.65])),
        confluence=float(rng.uniform(0.5, 1.2)),
        styles={**few, "nucleoli": Style(amount=0.4)},
    )


def _optics(seed: int, plates: str, number: int, *, severity: float, scale: float = 1.0) -> Optics:
    """One of six plates."""
    optics = batch_optics(derive_rng(seed, "optics", f"{plates}/{number % 6}"), severity=severity)
    return replace(optics, scale=scale)
