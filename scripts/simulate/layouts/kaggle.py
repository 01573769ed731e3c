"""Kaggle sets: white blood cells as RGB bitmaps on black, and the Human Protein Atlas with one file per colour."""

import uuid

import pandas as pd

from cytoimagenet_hf.core.seeding import derive_rng
from scripts.simulate.phenotypes import Phenotype, Style
from scripts.simulate.plan import FieldPlan, Plan, Shot, plate_optics
from scripts.simulate.sizes import Size

BLAST = Phenotype(radius=30, nucleus=0.84, nucleus_roughness=0.06, styles={"nucleus": Style(contrast=0.5, grain=1.8)})
NORMAL = Phenotype(radius=24, nucleus=0.66, nucleus_roughness=0.02, styles={"nucleus": Style(contrast=1.8, grain=0.8)})


def kag_leukemia(size: Size, seed: int) -> Plan:
    """Training folds named by class, and a numbered validation set with its table."""
    top = "kag_leukemia/C-NMC_Leukemia"
    fields: list[FieldPlan] = []
    rows: list[dict[str, object]] = []
    for number in range(size.wells * 2):
        sick = number % 2 == 0
        patient = f"{number % 5 + 1}" if sick else f"H{number % 4 + 1}"
        name = f"UID_{patient}_{number + 1}_1_{'all' if sick else 'hem'}.bmp"
        path = f"{top}/training_data/fold_{number % 3}/{'all' if sick else 'hem'}/{name}"
        if number % 4 >= 2:  # every second pair goes to the validation set, under a number
            new_name = f"{len(rows) + 1}.bmp"
            rows.append({"Patient_ID": name, "new_names": new_name, "labels": int(sick)})
            path = f"{top}/validation_data/C-NMC_test_prelim_phase_data/{new_name}"
        fields.append(
            FieldPlan(
                key=f"kag_leukemia/{name}",
                phenotype=BLAST if sick else NORMAL,
                optics=plate_optics(seed, "kag_leukemia", patient),
                size=150,
                shots=(Shot(path, "nucleus"),),
                labels={"phenotype": "leukemia" if sick else "wildtype"},
                kind="smear",
            )
        )
    table = f"{top}/validation_data/C-NMC_test_prelim_phase_data_labels.csv"
    return Plan(tuple(fields), {table: pd.DataFrame(rows)})


# Class numbers of the 2019 competition that a cell of this model can show.
HPA_CLASSES = {
    1: "nuclear membrane",
    2: "nucleoli",
    4: "nuclear speckles",
    6: "er",
    7: "golgi",
    8: "peroxisomes",
    9: "endosomes",
    10: "lysosomes",
    12: "actin",
    13: "focal adhesions",
    14: "microtubules",
    17: "spindle",
    19: "centrosome",
    21: "cell membrane",
    23: "mitochondria",
    25: "cytosol",
}


def kag_hpa(size: Size, seed: int) -> Plan:
    """One to two classes per image; four files per image, of which green shows the protein."""
    fields, rows = [], []
    classes = list(HPA_CLASSES)[:: 1 if size.labels > 4 else 5]
    for number in range(len(classes) * size.wells):
        rng = derive_rng(seed, "hpa", str(number))
        shown = [classes[number % len(classes)]]
        if rng.random() < 0.15:
            shown = sorted({*shown, int(rng.choice(classes))})
        name = str(uuid.UUID(bytes=rng.bytes(16), version=4))
        stains = {
            "red": "microtubules",
            "green": "+".join(HPA_CLASSES[number] for number in shown),
            "blue": "nucleus",
            "yellow": "er",
        }
        fields.append(
            FieldPlan(
                key=f"kag_hpa/{name}",
                phenotype=Phenotype(radius=float(rng.uniform(17, 26)), elongation=float(rng.uniform(0.05, 0.35))),
                optics=plate_optics(seed, "kag_hpa", str(number % 29)),
                size=size.side,
                shots=tuple(Shot(f"kag_hpa/train/{name}_{colour}.png", stain) for colour, stain in stains.items()),
                labels={"cell_visible": " ".join(map(str, shown))},
            )
        )
        rows.append({"Id": name, "Target": " ".join(map(str, shown))})
    return Plan(tuple(fields), {"kag_hpa/train.csv": pd.DataFrame(rows)})
