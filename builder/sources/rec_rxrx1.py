"""RxRx1: four cell types under 1,138 siRNAs in 51 experimental batches (Sypetkowski et al. 2023)."""

import pandas as pd

from cytoimagenet_hf.core.errors import InputError

from . import rxrx
from .base import Archive, Count

METADATA = "rxrx1/metadata.csv"
# The release of the CellSignal competition: wells, not sites, and neither cell types nor Thermo identifiers.
COMPETITION = ("train.csv", "train_controls.csv", "test.csv", "test_controls.csv")
UNTREATED = ("EMPTY", "UNTREATED")


def rows(archive: Archive) -> pd.DataFrame:
    """One row per site, from `metadata.csv` or else from the competition's four tables."""
    if archive.find_table(METADATA):
        labels = {"cell_type": "cell_type", "sirna": "sirna", "control": "well_type"}
        table = rxrx.metadata(archive, METADATA, labels)
    elif any(archive.find_table(name) for name in COMPETITION):
        table = _competition(archive)
    else:
        raise InputError(
            f"rec_rxrx1: neither {METADATA} nor the competition's {', '.join(COMPETITION)} is below {archive.root}. "
            + SOURCE.download
        )
    # Untreated wells are the negative controls of the table; the vocabulary calls them untreated, by their sirna.
    return table.assign(control=table["control"].mask(table["sirna"].str.upper().isin(UNTREATED), ""))


def _competition(archive: Archive) -> pd.DataFrame:
    wells = []
    for name in COMPETITION:
        further = (["sirna"] if name != "test.csv" else []) + (["well_type"] if "controls" in name else [])
        wells.append(archive.table(name, columns=["experiment", "plate", "well", *further]))
    table = pd.concat(wells, ignore_index=True).fillna("")
    # The oldest release numbers the siRNAs; 1138 is the untreated well. Its numbers are not those of sirna_N.
    numbered = table["sirna"].str.isdecimal()
    sirna = table["sirna"].mask(numbered, "sirna_id_" + table["sirna"]).mask(table["sirna"] == "1138", "UNTREATED")
    well = pd.DataFrame(
        {
            **rxrx.place(table),
            "cell_type": table["experiment"].str.rpartition("-")[0],
            "sirna": sirna,
            "control": table["well_type"],
        }
    )
    return pd.concat([well.assign(site=site) for site in ("1", "2")], ignore_index=True)


SOURCE = rxrx.release(
    dir_name="rec_rxrx1",
    name="RxRx1",
    link="https://www.rxrx.ai/rxrx1#the-data",
    licence="cc-by-nc-sa-4.0",
    citation="Sypetkowski et al. 2023, RxRx1: A Dataset for Evaluating Experimental Batch Correction Methods",
    stains=rxrx.STAINS,
    scan=rxrx.scan_sites(rows),
    download="Fetch rxrx1-metadata.zip and rxrx1-images.zip from https://www.rxrx.ai/rxrx1 and unpack both.",
    disk_gb=47.0,
    expected=(
        Count("fields", 125_510, "docs"),
        Count("sirna", 1_138, "reference"),
        Count("cell_type", 4, "docs"),
    ),
    notes="Without metadata.csv the competition's tables are read: 62,759 wells, sirna_N instead of Thermo ids.",
)
