"""RxRx19b: HUVEC in the cytokine storm of severe COVID-19, under 1,856 drugs (Cuccarese et al. 2020)."""

import pandas as pd

from . import rxrx
from .base import Archive, Count


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well: all wells have one site."""
    labels = {"cell_type": "cell_type", "phenotype": "disease_condition", "compound": "treatment"}
    table = rxrx.metadata(archive, "rxrx19b/metadata.csv", labels)
    return table.assign(control=(table["compound"] == "").map({True: "untreated", False: ""}))


SOURCE = rxrx.release(
    dir_name="rec_rxrx19b",
    name="RxRx19b",
    link="https://www.rxrx.ai/rxrx19b",
    licence="cc-by-4.0",
    citation="Cuccarese et al. 2020, doi:10.1101/2020.08.02.233064",
    stains=rxrx.STAINS,
    scan=rxrx.scan_sites(rows),
    download="Fetch metadata.csv and the images from https://rxrx.ai/rxrx19b#Download; they unpack to rxrx19b/.",
    disk_gb=409.0,
    expected=(
        Count("fields", 70_384, "docs"),
        Count("compound", 1_856, "reference"),
        Count("compound=ravoxertinib", 72, "reference"),
    ),
    notes="Stains of the channels are those of rec_rxrx1 (inferred).",
)
