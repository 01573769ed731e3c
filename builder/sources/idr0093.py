"""idr0093: genome-wide siRNA screen of cell size and RNA production in HeLa cells (Müller, Pelkmans and Berry)."""

import re

import pandas as pd

from . import idr
from .base import Archive, Count
from .plates import View, plate_folders, scan_wells

NAME = re.compile(
    r"[^/]*_(?P<well>[a-p]\d{1,2})_T\d+F(?P<site>\d+)L\d+A\d+Z\d+C0*(?P<channel>[1-5])\.(?:tiff?|png)", re.IGNORECASE
)
STAINS = {"1": "nucleus", "2": "pcna", "3": "rna", "4": "protein", "5": "channel 5"}


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well; of up to three siRNAs of a pool the first names it, as published."""
    columns = {
        "plate": "Plate",
        "well": "Well",
        "sirna": "siRNA Pool Identifier 1",
        "gene": ("Gene Symbol", "HGNC Gene Symbol"),
        "control": "Control Type",
    }
    table = idr.annotation(archive, columns, optional=["control"])
    return table.assign(plate=table["plate"].str.zfill(3))


SOURCE = idr.study(
    dir_name="idr0093",
    name="siRNA screen for cell size and RNA production",
    link=idr.LINK + "screen-2751",
    licence="cc-by-4.0",
    citation="Müller M, Pelkmans L, Berry S; data doi:10.17867/10000157",
    organism="human",
    microscopy="confocal",
    stains=STAINS,
    scan=scan_wells(
        *(rows, NAME, View(STAINS, {"cell_type": "hela", "cell_visible": ("nucleus", "pcna", "rna", "cell body")})),
        plate_of=lambda archive, table: plate_folders(table["plate"].unique().tolist(), idr.server_folders(archive)),
    ),
    download="Fetch idr0093-screenA-annotation.csv, idr0093-screenA-plates.tsv and the plate folders of screen 2751.",
    disk_gb=12_000.0,
    expected=(
        Count("fields", 233_505, "inferred"),
        Count("fields in the published table", 29_000, "reference"),
        Count("wells in the table", 25_945, "reference"),
        Count("sirna", 21_587, "reference"),
        Count("plates", 83, "table"),
    ),
    notes="Stains are those of the study's rendering settings, four of five. cell_visible and disk are inferred.",
)
