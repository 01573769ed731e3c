"""idr0088: three 16-bit TIFF per site, one row of the annotation table per well, reporter lines with two proteins."""

from dataclasses import dataclass

import pandas as pd

from scripts.simulate.library import EFFECTS
from scripts.simulate.plan import FieldPlan, Plan, Shot, plate_optics
from scripts.simulate.plates import allot
from scripts.simulate.sizes import Size

from .recursion import CELL_LINES, on_line

IMAGES = "idr0088/20200722-awss3/ds_hcs_02/PhenoPrintScreen/raw_images_for_IDR"

# Where the tagged protein of each reporter line is found: the five pairs of the screen, then one more.
# RAB5 and RAB5A: a label that begins another.
REPORTERS = {
    "ACTB-RAB5A": ("actin", "endosomes"),
    "CANX-COX4I1": ("er", "mitochondria"),
    "GM130-SQSTM1": ("golgi", "lysosomes"),
    "TUBA1B-RELA": ("microtubules", "cytosol"),
    "TP53BP1-CLTA": ("nuclear speckles", "endosomes"),
    "RAB5-RELA": ("endosomes", "cytosol"),
}


@dataclass(frozen=True)
class Treatment:
    """A compound as the annotation table spells it, its mechanism (may be empty), and what it does."""

    compound: str
    mechanism: str
    effect: str
    repeats: int = 1


DMSO = Treatment("DMSO", "", "none", 2)
# Compounds that share a mechanism are too rare to be labels of their own: the mechanism becomes the label.
TREATMENTS = (
    Treatment("Tamoxifen", "estrogen receptor antagonist", "large endosomes"),
    Treatment("4-Hydroxytamoxifen", "estrogen receptor antagonist", "large endosomes"),
    Treatment("Y-27632 * 2HCl", "Rho associated kinase inhibitor", "star-shaped cells"),
    Treatment("(+)-Bay K 8644 [R]", "voltage_gated_calcium_channel_agonist", "dispersed golgi", 3),
    Treatment("A 23187 | Calcimycin", "", "vacuolated cells", 3),
    Treatment("Toremifene", "estrogen receptor antagonist", "large endosomes"),
    Treatment("Fasudil", "Rho associated kinase inhibitor", "star-shaped cells"),
    Treatment("H-1152", "Rho associated kinase inhibitor", "star-shaped cells"),
    Treatment("(S)-(+)-Monastrol", "kinesin inhibitor", "mitotic arrest", 3),
    Treatment("Colchicine", "tubulin inhibitor", "microtubules lost"),
    Treatment("Vinblastine sulfate", "tubulin inhibitor", "microtubules lost"),
    Treatment("Nocodazole", "tubulin inhibitor", "microtubules lost"),
    Treatment("Etoposide", "topoisomerase inhibitor", "large nuclei"),
    Treatment("Camptothecin", "topoisomerase inhibitor", "large nuclei"),
    Treatment("Irinotecan", "topoisomerase inhibitor", "large nuclei"),
)


def idr0088(size: Size, seed: int) -> Plan:
    """Each reporter line under DMSO; all compounds in the first three, so that a compound is not a reporter."""
    reporters = list(REPORTERS)[: max(3, size.labels)]
    treatments = {item.compound: item for item in (DMSO, *TREATMENTS[: 6 if size.labels < 12 else None])}
    treated = [name for name, item in treatments.items() for _ in range(item.repeats)]
    fields: list[FieldPlan] = []
    rows: list[dict[str, object]] = []
    for number, reporter in enumerate(reporters):
        line = ("A549", "HepG2", "WPMY-1")[number % 3]
        sites: tuple[int, ...]
        screen = f"PPS{number + 73:03d}"
        folder = f"p1709{number + 15}{screen}/PpsL05{(line + reporter).replace('-', '')}_{screen}"
        names, repeats, sites, plates = ["DMSO"], size.wells, (1,), 4
        if number < 3:
            names, repeats, sites, plates = treated, max(1, size.wells // 16), (1, 2), 2
        for plate, well, compound in allot(names, repeats=repeats, plates=plates):
            _add_well(fields, rows, size, seed, (line, reporter, folder, plate, well, sites), treatments[compound])
    return Plan(tuple(fields), {"idr0088/idr0088-screenA-annotation.csv.zip": pd.DataFrame(rows)})


def _add_well(
    fields: list[FieldPlan],
    rows: list[dict[str, object]],
    size: Size,
    seed: int,
    place: tuple[str, str, str, int, str, tuple[int, ...]],
    treatment: Treatment,
) -> None:
    line, reporter, folder, plate, well, sites = place
    barcode = str(1013608200 + int(folder[-3:]) * 10 + plate)
    location = f"{folder}_201709{16 + plate}_150825"
    usual = {"HepG2": CELL_LINES["HEPG2"], "A549": CELL_LINES["U2OS"], "WPMY-1": CELL_LINES["RPE"]}[line]
    stains = ("nucleus", *REPORTERS[reporter])
    for site in sites:
        name = f"{IMAGES}/{location}/{barcode}/{barcode}_{well}_T0001F{site:03d}L01A0{{0}}Z01C0{{0}}.tif"
        fields.append(
            FieldPlan(
                key=f"idr0088/{barcode}/{well}/{site}",
                phenotype=on_line(usual, EFFECTS[treatment.effect]),
                optics=plate_optics(seed, "idr0088", barcode),
                size=size.side,
                shots=tuple(Shot(name.format(c), stain, "uint16") for c, stain in enumerate(stains, start=1)),
                labels={
                    "compound": treatment.compound,
                    "phenotype": treatment.mechanism,
                    "cell_type": line,
                    "reporter": reporter,
                },
            )
        )
    green, red = reporter.split("-")
    rows.append(
        {
            "Plate": barcode,
            "Well": f"{well[0]}{int(well[1:])}",  # the table does not pad
            "Characteristics [Organism]": "Homo sapiens",
            "Term Source 1 REF": "NCBITaxon",
            "Term Source 1 Accession": "NCBITaxon_9606",
            "Characteristics [Cell Line]": line,
            "Term Source 2 REF": "EFO",
            "Term Source 2 Accession": "EFO_0001086",
            "Comment [Cell Line with Markers]": f"{line.replace('-', '')}-{reporter}",
            "Compound Concentration (microMolar)": "" if treatment == DMSO else "9",
            "Compound Set": "" if treatment == DMSO else "MoA Reference",
            "Compound MoA": treatment.mechanism,
            "Compound Name": treatment.compound,
            "Compound ID - Artificial": "" if treatment == DMSO else f"CPD{TREATMENTS.index(treatment) + 1:04d}",
            "Compound SMILES": "",
            "Compound InChIKey": "",
            "Compound PubChem CID": "",
            "Compound PubChem URL": "",
            "Control Type": "Negative Control" if treatment == DMSO else "",
            "Channels": f"Ch1 (blue): Nuclei/Cytoplasm, Ch2 (green): {green}, Ch3 (red): {red}",
            "Plate Location": location,
        }
    )
