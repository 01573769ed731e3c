"""RxRx19a: kidney and Vero cells infected with SARS-CoV-2, under 1,670 drugs (Heiser et al. 2020)."""

import pandas as pd

from . import rxrx
from .base import Archive, Count

# Five channels: w5 is wheat germ agglutinin here, there are no mitochondria.
STAINS = {"1": "nucleus", "2": "er", "3": "actin", "4": "nucleoli", "5": "golgi"}


def rows(archive: Archive) -> pd.DataFrame:
    """One row per site."""
    labels = {"cell_type": "cell_type", "phenotype": "disease_condition", "compound": "treatment"}
    table = rxrx.metadata(archive, "RxRx19a/metadata.csv", labels)
    return table.assign(
        control=(table["compound"] == "").map({True: "untreated", False: ""}),
        organism=(table["cell_type"].str.lower() == "vero").map({True: "monkey", False: "human"}),
    )


SOURCE = rxrx.release(
    dir_name="rec_rxrx19a",
    name="RxRx19a",
    link="https://www.rxrx.ai/rxrx19a",
    licence="cc-by-4.0",
    citation="Heiser et al. 2020, doi:10.1101/2020.04.21.054387",
    stains=STAINS,
    scan=rxrx.scan_sites(rows, STAINS),
    download="Fetch metadata.csv and the images from https://rxrx.ai/rxrx19#Download; they unpack to RxRx19a/.",
    disk_gb=445.0,
    published={"organism": "human"},
    expected=(
        Count("fields", 305_520, "docs"),
        Count("compound", 1_669, "reference"),
        Count("cell_type", 2, "reference"),
        Count("phenotype", 3, "reference"),
    ),
    notes="VERO is a line of a monkey; the published table says human in every row.",
)
