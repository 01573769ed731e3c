"""idr0017: the LOPAC library in twelve isogenic HCT116 lines (Breinig et al. 2015).

The wells are those of the PGPC package of the authors: one table row for each of 48 plates x 384 wells, imaged twice.
Plate n of the table is library plate S of line X: n = 4 (X - 1) + S, folder `…_LOPAC_X<XX>_LP_S<SS>_<replicate>`.
"""

import re

import pandas as pd

from cytoimagenet_hf.core.errors import InputError

from . import idr
from .base import Archive, Count
from .plates import INCELL, View, incell_well, scan_wells

_TABLE = re.compile(r"(?:.*/)?(pgpc_lopac_well_annotation|changed_lopac3_384[^/]*)\.txt(\.gz|\.zip)?", re.IGNORECASE)
STAINS = {"DAPI": "nucleus", "Cy3": "actin"}
# Codes of the supplier and genotypes in the order of X: PGPC, vignettes/src/ImageAndDataProcessing.Rnw, `line`, whose
# start plates are 1, 5, 9 and so on. The codes are the labels, as published.
LINES = {
    "02-006": "AKT1-/- & AKT2-/-",
    "02-031": "MEK2-/-",
    "02-004": "AKT1-/-",
    "104-009": "CTNNB1 mt-/wt+",
    "par007": "second parental line",
    "104-001": "P53-/-",
    "104-004": "PTEN-/-",
    "104-007": "PI3KCA mt-/wt+",
    "104-008": "KRAS mt-/wt+",
    "02-008": "BAX-/-",
    "02-030": "MEK1-/-",
    "par001": "first parental line",
}


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well and replicate."""
    file = next((name for name in archive.files if _TABLE.fullmatch(name)), None)
    if file is None:
        raise InputError(
            f"idr0017: no PGPC_LOPAC_well_annotation.txt (.gz) is below {archive.root}. {SOURCE.download}"
        )
    columns = {name: name for name in ("PlateName", "Plate", "Well", "compoundID_384", "compoundID", "Name")}
    table = idr.read_columns(archive, file, columns, separator="\t")
    if len(strange := sorted(set(table["Plate"]) - {str(number) for number in range(1, 49)})):
        raise InputError(f"idr0017: {file} has plates {strange[:3]}; they are numbered from 1 to 48")
    line, library = table["Plate"].astype(int).sub(1).floordiv(4), table["Plate"].astype(int).sub(1).mod(4).add(1)
    stem = "LOPAC_X" + (line + 1).astype(str).str.zfill(2) + "_LP_S" + library.astype(str).str.zfill(2)
    wells = pd.DataFrame(
        {
            "well": idr.wells(table["Well"]),
            "cell_type": line.map(dict(enumerate(LINES))),
            "compound": _compounds(table),
            "control": table["compoundID_384"].str.lower().map(_control),
        }
    )
    replicates = [wells.assign(plate="2011-11-17_X-Man_" + stem + f"_{number}") for number in (1, 2)]
    return pd.concat(replicates, ignore_index=True)


def _compounds(table: pd.DataFrame) -> pd.Series:
    # Controls have no name of their own; those that are in the library as well share its compound number.
    named = table[table["Name"] != ""].drop_duplicates("compoundID").set_index("compoundID")["Name"]
    shared = table["compoundID"].map(named).fillna("")
    plain_names = (
        table["compoundID_384"].str.replace(r"^(neg_ctr_|ctrl_|no treatment$)", "", regex=True).str.replace("_", " ")
    )
    return table["Name"].where(table["Name"] != "", shared.where(shared != "", plain_names))


def _control(identifier: str) -> str:
    if identifier.startswith("neg_ctr"):
        return "negative"
    if identifier == "no treatment":
        return "untreated"
    return "positive" if identifier.startswith("ctrl") else ""


SOURCE = idr.study(
    dir_name="idr0017",
    name="Chemical-Genetic Interaction Map",
    link=idr.LINK + "screen-1151",
    licence="cc-by-nc-nd-4.0",
    citation="Breinig et al. 2015, doi:10.15252/msb.20156400; data doi:10.17867/10000101",
    organism="human",
    microscopy="fluorescence",
    stains=STAINS,
    scan=scan_wells(rows, INCELL, View(STAINS, {"cell_visible": tuple(STAINS.values())}), well=incell_well),
    download=(
        "Fetch 20151124/14_X-Man_10x/source/<plate>/ of screen 1151 and, from the PGPC package of Bioconductor, "
        "inst/extdata/conf/Changed_LOPAC3_384_convert96er_GeneID_updated_Selectivity.txt."
    ),
    disk_gb=2480.0,
    encoding="latin-1",  # of the PGPC package
    expected=(
        Count("fields", 147_456, "table"),
        Count("wells in the table", 18_432, "table"),
        Count("compound", 1_281, "reference"),
        Count("cell_type", 12, "reference"),
    ),
    notes=(
        "No derivatives: images made from this source may not be shared. Plate formula inferred. The lines, with "
        "their genotypes from the PGPC vignette: "
        + ", ".join(f"{code} {genotype}" for code, genotype in LINES.items())
        + ". The authors' list of wrong dilutions is not applied, as published."
    ),
)
