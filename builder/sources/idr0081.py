"""idr0081: adenovirus infection of A549 cells under 1,278 drugs (Georgi et al. 2020).

Five screens share their plates: A (pilot), B and C (controls), D and E (drugs). A, B and D were imaged in Zurich,
C and E in Lausanne; the microscopes name their files differently, which tells the screens apart.
"""

import re
from collections.abc import Callable, Iterator

import pandas as pd

from . import idr
from .base import Archive, Count, Field, RejectedItem
from .plates import INCELL, View, group_wells, incell_well, join_wells

ZURICH = re.compile(r"(?:[^/]*_)?(?P<well>[a-p]\d\d?)_w(?P<channel>[12])\.tiff?", re.IGNORECASE)
LABORATORIES = {"screenA": "uzh", "screenB": "uzh", "screenD": "uzh", "screenC": "epfl", "screenE": "epfl"}


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well of the screens whose table is there, with the laboratory that imaged it."""
    columns = {
        "plate": "Plate",
        "well": "Well",
        "cell_type": "Characteristics [Cell Line]",
        "compound": "Compound Name",
        "control": "Control Type",
        "quality": "Quality Control",
    }
    tables = idr.screen_tables(archive, {screen: [f"{screen}-annotation"] for screen in LABORATORIES})
    screens = [
        idr.read_columns(archive, file, columns, optional=["control"]).assign(laboratory=LABORATORIES[screen])
        for screen, file in tables.items()
    ]
    table = pd.concat(screens, ignore_index=True)
    # The published table keeps wells that passed: neither toxic drugs nor the positive control, which have no "pass".
    passed = table["quality"].str.lower() == "pass"
    return table.assign(left_out=passed.map({True: "", False: "quality_control"}))


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Wells are joined by plate folder and well, each laboratory's files to its own screens."""
    table = rows(archive)
    for laboratory, wells in table.drop(columns="quality").groupby("laboratory"):
        if laboratory == "uzh":
            view = View({"1": "nucleus", "2": "infection"}, {"cell_visible": "nucleus"})
            images = group_wells(archive, ZURICH, _plate_of(wells))
        else:
            view = View({"DAPI": "nucleus", "FITC": "infection"}, {"cell_visible": "nucleus"})
            images = group_wells(archive, INCELL, _plate_of(wells), well=incell_well)
        yield from join_wells(wells.drop(columns="laboratory"), images, [view], prefix=f"{laboratory}/")


def _plate_of(table: pd.DataFrame) -> Callable[[str], str | None]:
    # BSF018292-1A of the tables is the folder BSF018292_1A in Lausanne.
    plates = {plate.lower().replace("_", "-"): plate for plate in table["plate"].unique()}

    def plate_of(folder: str) -> str | None:
        parts = reversed(folder.lower().replace("_", "-").split("/"))
        return next((plates[part] for part in parts if part in plates), None)

    return plate_of


SOURCE = idr.study(
    dir_name="idr0081",
    name="Adenovirus",
    link=idr.LINK + "screen-2406",
    licence="cc-by-4.0",
    citation="Georgi et al. 2020, doi:10.1038/s41597-020-00604-0; data doi:10.17867/10000136",
    organism="human",
    microscopy="fluorescence",
    stains={"w1": "nucleus", "w2": "infection", "DAPI": "nucleus", "FITC": "infection"},
    scan=scan,
    download=("Fetch idr0081-screen<A-E>-annotation.csv and 1-prePlates/, 2-ZPlates/ and 3-Screen/ of all screens."),
    disk_gb=240.0,
    rows_differ_in="laboratory",
    expected=(
        Count("fields", 11_776, "table"),
        Count("wells in the tables", 14_592, "table"),
        Count("fields in the published table", 3_500, "reference"),
        Count("compound", 1_153, "reference"),
    ),
    notes="One field per well; the published table kept a part. cell_visible is inferred.",
)
