"""RxRx2: HUVEC under 434 soluble factors of the immune system (Cuccarese et al. 2020)."""

import pandas as pd

from . import rxrx
from .base import Archive, Count


def rows(archive: Archive) -> pd.DataFrame:
    """One row per site; a treatment's concentrations share its label, as published."""
    return rxrx.metadata(archive, "rxrx2/metadata.csv", {"cell_type": "cell_type", "compound": "treatment"})


SOURCE = rxrx.release(
    dir_name="rec_rxrx2",
    name="RxRx2",
    link="https://www.rxrx.ai/rxrx2",
    licence="cc-by-nc-sa-4.0",
    citation="Cuccarese et al. 2020, doi:10.1101/2020.08.02.233064",
    stains=rxrx.STAINS,
    scan=rxrx.scan_sites(rows),
    download="Fetch metadata.csv and the images from https://rxrx.ai/rxrx2#Download; they unpack to rxrx2/.",
    disk_gb=185.0,
    expected=(
        Count("fields", 131_953, "reference"),
        Count("compound", 433, "reference"),
        Count("compound=balf", 287, "reference"),
    ),
    notes="Stains of the channels are those of rec_rxrx1 (inferred). Labels keep their underscores and hyphens.",
)
