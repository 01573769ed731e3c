"""A source to copy: a table with a row per well, a folder per plate, in it one per well, in that an image per channel.

Copy it as `<dir_name>.py` into this folder, add the name to the list in `__init__.py`, and replace every value; or
into a folder of your own, and give that as `--sources-from`. As it stands it annotates, of a folder `skeleton`,

    plate_map.csv                       Plate,Well,Compound,Role
    images/plate1/A01/s1_dapi.tif       and s1_actin.tif, s2_dapi.tif, …
"""

import re

import pandas as pd

from builder.sources.base import Archive, Count, Source
from builder.sources.plates import View, scan_wells, well_name

# Without `folders=1` below, the pattern is that of the file name alone, and the well a part of it.
NAME = re.compile(r"(?P<well>[a-p]\d{1,2})/s(?P<site>\d+)_(?P<channel>dapi|actin)\.tiff?", re.IGNORECASE)
STAINS = {"dapi": "nucleus", "actin": "actin"}


def rows(archive: Archive) -> pd.DataFrame:
    """Labels as the table spells them: lower case, merged spellings and ids are given to all sources later."""
    table = archive.table("plate_map.csv", columns=["Plate", "Well", "Compound", "Role"])
    table = table.rename(columns={"Plate": "plate", "Well": "well", "Compound": "compound", "Role": "control"})
    return table.assign(well=table["well"].map(well_name))


SOURCE = Source(
    dir_name="skeleton",
    name="Title of the dataset",
    database="Where it is published",
    link="https://example.org/the-page-of-the-dataset",
    licence="unverified",  # or cc0, cc-by-4.0, … as its page says
    citation="Authors year, doi:10.0000/0000",
    organism="human",
    microscopy="fluorescence",
    stains=STAINS,
    # Channels of one view are merged into one image. Brightfield is a view of its own.
    scan=scan_wells(
        *(rows, NAME, View(STAINS, {"cell_type": "hela", "cell_visible": ("nucleus", "actin")})),
        folders=1,
    ),
    kind="metadata table",
    download="Fetch plates.zip and plate_map.csv and unpack to images/<plate>/<well>/, beside the table.",
    expected=(Count("fields", 384, "docs"),),  # how many, and where the number is from: table, docs, inferred
    # rows_differ_in="channel" where the channels of a field are rows of their own: a split keeps them together.
    # uncertain=("organism",) where a column lists what may be there; encoding="latin-1" where tables are not UTF-8.
)
