"""BBBC015: Transfluor assay, arrestin-GFP and a cell marker in U2OS, one row per channel file."""

import re

from .base import Count, Field
from .bbbc import LJOSA, broad, download, link
from .names import by_name
from .plates import well_number


def _field(file: str, name: re.Match[str]) -> Field:
    return Field(
        key=name["stem"],
        files=[file],
        channels=["nucleus+cell membrane"],
        cell_type="u2os",
        cell_visible=("nucleus", "cell membrane"),
        well=well_number(int(name["well"]), columns=12),
        site=name["site"],
    )


SOURCE = broad(
    dir_name="bbbc015",
    name="Human U2OS cells transfluor",
    link=link("BBBC015"),
    licence="unverified",
    citation=f"Images provided by Ilya Ravkin; {LJOSA}",
    organism="human",
    microscopy="fluorescence",
    stains={"0": "nucleus+cell membrane", "1": "nucleus+cell membrane"},
    scan=by_name(r"(?P<stem>(?P<well>\d{2})_(?P<site>[1-4])_(?P<channel>[01]))\.jpe?g", _field),
    kind="file names",
    download=download("BBBC015", "BBBC015_v1_images.zip", into="BBBC015_v1_images/*.JPG"),
    disk_gb=0.1,
    rows_differ_in="channel",
    uncertain=("cell_visible",),
    expected=(Count("fields", 288, "table"), Count("wells", 36, "table")),
    notes="Which channel number is the receptor and which the cell marker is unverified: both rows name both.",
)
