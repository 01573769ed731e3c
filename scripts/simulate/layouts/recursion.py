"""RxRx1: six 8-bit PNG per site and one metadata line per site."""

import pandas as pd

from scripts.simulate.library import EFFECTS
from scripts.simulate.phenotypes import Phenotype
from scripts.simulate.plan import FieldPlan, Plan, Shot, plate_optics
from scripts.simulate.plates import allot
from scripts.simulate.sizes import Size

STAINS = ("nucleus", "er", "actin", "nucleoli", "mitochondria", "golgi")

# Two identifiers of which one begins with the other: a label must not be found inside another.
SIRNAS = {
    "s8645": "fragmented nuclei",
    "s86": "star-shaped cells",
    "s18582": "small round cells",
    "s15652": "large flat cells",
    "n337250": "elongated cells",
    "s35651": "crowded cells",
}
UNTREATED = "EMPTY"

CELL_LINES = {
    "HUVEC": Phenotype(radius=18, elongation=0.25),
    "RPE": Phenotype(radius=20, roughness=0.06),
    "HEPG2": Phenotype(radius=14, confluence=1.1, roughness=0.02),
    "U2OS": Phenotype(radius=19, elongation=0.2, confluence=0.5),
}


def rec_rxrx1(size: Size, seed: int) -> Plan:
    """Every siRNA in every cell line, on the four plates of one experiment per line."""
    sirnas = dict(list(SIRNAS.items())[: size.labels])
    fields, rows = [], []
    for line, usual in CELL_LINES.items():
        experiment = f"{line}-01"
        labels = [*sirnas, UNTREATED]
        # Four times as many untreated wells: enough of them for each line to become a label.
        for plate, well, sirna in allot([*labels, *[UNTREATED] * 3], repeats=max(2, size.wells // 8), plates=4):
            for site in (1, 2):
                name = f"{well}_s{site}"
                key = f"{experiment}_{plate + 1}_{name}"
                look = EFFECTS[sirnas.get(sirna, "none")]
                fields.append(
                    FieldPlan(
                        key=f"rec_rxrx1/{key}",
                        phenotype=on_line(usual, look),
                        optics=plate_optics(seed, "rec_rxrx1", f"{experiment}/{plate}"),
                        size=size.side,
                        shots=tuple(
                            Shot(f"rec_rxrx1/rxrx1/images/{experiment}/Plate{plate + 1}/{name}_w{channel}.png", stain)
                            for channel, stain in enumerate(STAINS, start=1)
                        ),
                        labels={"sirna": sirna, "cell_type": line},
                    )
                )
                rows.append(
                    {
                        "site_id": key,
                        "well_id": f"{experiment}_{plate + 1}_{well}",
                        "cell_type": line,
                        "dataset": "train",
                        "experiment": experiment,
                        "plate": plate + 1,
                        "well": well,
                        "site": site,
                        "well_type": "negative_control" if sirna == UNTREATED else "treatment",
                        "sirna": sirna,
                        "sirna_id": labels.index(sirna),
                    }
                )
    return Plan(tuple(fields), {"rec_rxrx1/rxrx1/metadata.csv": pd.DataFrame(rows)})


def on_line(usual: Phenotype, look: Phenotype) -> Phenotype:
    """An effect described on ordinary cells, on a line with its own size and shape."""
    default = Phenotype()
    return look.variant(
        radius=look.radius * usual.radius / default.radius,
        confluence=look.confluence * usual.confluence / default.confluence,
        elongation=min(look.elongation + usual.elongation - default.elongation, 0.7),
        roughness=max(look.roughness + usual.roughness - default.roughness, 0.0),
    )
