"""idr0009: siRNA screen of protein secretion in HeLa cells (Simpson et al. 2012); screen B validates screen A."""

import re

import pandas as pd

from . import idr
from .base import Archive, Count
from .plates import View, scan_wells, well_number

NAME = re.compile(
    r"[^/]*--W(?P<number>\d+)--P(?P<site>\d+)--Z\d+--T\d+--(?P<channel>(?:nucleus-)?dapi|(?:pm-)?647|(?:vsvg-)?cfp)"
    r"\.tiff?",
    re.IGNORECASE,
)
STAINS = {"nucleus-dapi": "nucleus", "pm-647": "cell membrane", "vsvg-cfp": "vsv-g"}
# Some plates were saved under the dyes alone.
DYES = {"dapi": "nucleus-dapi", "647": "pm-647", "cfp": "vsvg-cfp"}
PHENOTYPES = ("strong inhibition of secretion", "mild inhibition of secretion", "enhanced secretion")


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well of the screens whose table is there."""
    stems = {screen: [f"{screen}-annotation", f"{screen}-library"] for screen in ("screenA", "screenB")}
    tables = idr.screen_tables(archive, stems).values()
    return pd.concat([_screen(archive, table) for table in tables], ignore_index=True)


def _screen(archive: Archive, file: str) -> pd.DataFrame:
    # Some versions of the table lack two headings: phenotypes stand in a neighbouring column and are found by value,
    # and rows have a cell more than there are headings.
    columns_found = [name for name in archive.names(file) if idr.plain_column(name).startswith("phenotype")]
    columns = {
        "plate": "Plate",
        "well": "Well",
        "sirna": "siRNA Identifier",
        "gene": ("Gene Symbol (Ensembl 81)", "Gene Symbol"),
        "control": "Control Type",
    }
    table = idr.read_columns(
        archive, file, {**columns, **{name: name for name in columns_found}}, optional=["control"], long_row="cut"
    )
    phenotypes = (
        zip(*(table[name].tolist() for name in columns_found), strict=True) if columns_found else [()] * len(table)
    )
    return table[list(columns)].assign(
        phenotype=["|".join(cell for cell in dict.fromkeys(cells) if cell in PHENOTYPES) for cells in phenotypes],
    )


SOURCE = idr.study(
    dir_name="idr0009",
    name="Early Secretory Pathway",
    link=idr.LINK + "screen-803",
    licence="cc-by-4.0",
    citation="Simpson et al. 2012, doi:10.1038/ncb2510",
    organism="human",
    microscopy="fluorescence",
    stains=STAINS,
    scan=scan_wells(
        *(rows, NAME, View(STAINS, {"cell_type": "hela", "cell_visible": ("nucleus", "cell membrane")})),
        well=lambda match: well_number(int(match["number"])),
        channel=lambda name: DYES.get(name, name),
    ),
    download="Fetch idr0009-screen<A|B>-annotation.csv and 20150507-VSVG/VSVG/<plate>/data/ of both screens.",
    disk_gb=3250.0,
    expected=(
        Count("fields", 397_056, "table"),
        Count("fields of screen B", 26_880, "table"),
        Count("fields in the published table", 17_600, "reference"),
    ),
    notes="One field per well. cell_visible is inferred from the published figure; the published table kept a part.",
)
