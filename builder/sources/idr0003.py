"""idr0003: yeast strains, one tagged protein each, in normal medium and under three stresses (Breker et al. 2013)."""

import re
from collections.abc import Callable

import pandas as pd

from . import idr
from .base import Archive, Count
from .plates import View, padded_well, plate_folders, scan_wells, well_number

# The exact form of the stems is not documented: a well (A01), a running number (W00001) or both, as ScanR microscopes
# write them (A1--W00001--P00002--Z00000--T00000--GFP), then perhaps a position.
NAME = re.compile(
    r"(?:[^/]*?(?<![a-z0-9])(?:(?P<well>[a-p]\d{1,2})(?:--W\d+)?|W(?P<number>\d+))(?!\d))(?:\D*?(?P<site>\d+))?[^/]*?"
    r"--(?P<channel>GFP|Cherry|Transmit)\.tiff?",
    re.IGNORECASE,
)
FLUORESCENT = View({"GFP": "protein", "Cherry": "cytosol"}, {"cell_visible": "cell body", "cell_type": "y6545"})
BRIGHTFIELD = View(
    {"Transmit": "brightfield"},
    {"cell_visible": "cell body", "cell_type": "y6545", "microscopy": "brightfield"},
    suffix="/brightfield",
)


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well of the library; plates are called `DTT p1`, which is also `DTT/p1`."""
    file = idr.find_table(archive, ["screenA-library", "screenA-annotation"])
    columns = {
        "plate": "Plate",
        "well": "Well",
        "phenotype": "Experimental Condition [environmental stress]",
        "gene": "Gene Symbol",
        "control": "Control Type",
    }
    # The tab-separated library holds stray quotation marks.
    return idr.read_columns(archive, file, columns, optional=["control"], quoted=".csv" in file.lower())


def _plate_of(archive: Archive, table: pd.DataFrame) -> Callable[[str], str | None]:
    plates = table["plate"].unique().tolist()
    return plate_folders([], {plate.replace(" ", "/"): plate for plate in plates} | {p: p for p in plates})


def _well(match: re.Match[str]) -> str:
    return well_number(int(match["number"])) if match["number"] else padded_well(match)


SOURCE = idr.study(
    dir_name="idr0003",
    name="Plasticity",
    link=idr.LINK + "screen-51",
    licence="cc-by-nc-sa-3.0",
    citation="Breker et al. 2013, doi:10.1083/jcb.201301120",
    organism="yeast",
    microscopy="fluorescence",
    stains={**FLUORESCENT.channels, **BRIGHTFIELD.channels},
    # Each position gives a fluorescent field and a brightfield one, which are never merged.
    scan=scan_wells(rows, NAME, FLUORESCENT, BRIGHTFIELD, plate_of=_plate_of, well=_well),
    download="Fetch idr0003-screenA-library.txt and 201301120/Images/<condition>/p<1-17>/ of screen 51.",
    disk_gb=200.0,
    rows_differ_in="channel",
    expected=(
        Count("fields", 195_840, "inferred"),
        Count("fields in the published table", 3_500, "reference"),
        Count("wells in the library", 32_640, "table"),
        Count("positions per well", 3, "table"),
        Count("phenotype", 4, "table"),
    ),
    notes="The form of the file stems and the cell_visible of the fluorescent fields are inferred; y6545 is a strain.",
)
