"""idr0016: 30,000 compounds in U2OS cells, Cell Painting (Wawer et al. 2014, Bray et al. 2017)."""

import re

import pandas as pd

from . import idr
from .base import Archive, Count
from .plates import View, scan_wells

NAME = re.compile(r"[^/]*_(?P<well>[a-p]\d\d)_s(?P<site>\d+)_w(?P<channel>[1-5])[0-9a-f-]*\.tiff?", re.IGNORECASE)
_FOLDER = re.compile(r"(?:.*/)?(\d+)-(?:ersyto|ersytobleed|hoechst|mito|ph_golgi)(?:/.*)?", re.IGNORECASE)
STAINS = {"1": "nucleus", "2": "er", "3": "nucleoli+rna", "4": "actin+golgi+cell membrane", "5": "mitochondria"}
VISIBLE = ("er", "nucleoli", "nucleus", "mitochondria", "golgi", "cell membrane")


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well. `Plate Identifier` is the plate's number where `Plate` names its map."""
    columns = {
        "plate": ("Plate Identifier", "Plate"),
        "well": "Well",
        "compound": "Compound Name",
        "control": "Control Type",
    }
    return idr.annotation(archive, columns, optional=["control"])


def plate_of(folder: str) -> str | None:
    """The plate's number in front of the channel: the channels of a site lie in folders `<plate>-Hoechst` and so on.

    Example:
        >>> plate_of("2016-02-19-screens-cellimagelibrary/24277-ERSyto")
        '24277'
    """
    match = _FOLDER.fullmatch(folder)
    return match[1] if match else None


SOURCE = idr.study(
    dir_name="idr0016",
    name="Compound Profiling",
    link=idr.LINK + "screen-1251",
    licence="cc0",
    citation="Wawer et al. 2014, doi:10.1073/pnas.1410933111; Bray et al. 2017, doi:10.1093/gigascience/giw014",
    organism="human",
    microscopy="fluorescence",
    stains=STAINS,
    scan=scan_wells(
        *(rows, NAME, View(STAINS, {"cell_type": "u2os", "cell_visible": VISIBLE})),
        plate_of=lambda archive, table: plate_of,
    ),
    download="Fetch idr0016-screenA-annotation.csv and the folders <plate>-<channel>/ of screen 1251.",
    disk_gb=3400.0,
    expected=(
        Count("fields", 937_344, "docs"),
        Count("plates", 413, "docs"),
        Count("wells in the table", 158_592, "reference"),
    ),
    notes="cell_visible leaves actin out, as published. Disk is inferred from 937,344 fields of five 16-bit channels.",
)
