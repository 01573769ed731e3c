"""BBBC014: NFkB p65 moving between cytoplasm and nucleus, 96 wells of two cell lines, one row per channel file."""

import re

from .base import Count, Field, RejectedItem
from .bbbc import LJOSA, broad, download, link
from .names import by_name
from .plates import well_name, well_number

# The published table calls both channels nucleus; only the second shows it.
SHOWN = {"1": ("nfkb p65", "cell body"), "2": ("nucleus", "nucleus")}


def _field(file: str, name: re.Match[str]) -> Field | RejectedItem:
    well = well_name(name["row"] + name["column"])
    if well != well_number(int(name["number"]), columns=12):
        return RejectedItem(file, "contradictory_name", f"well {int(name['number'])} of 96 is not {well}")
    stain, shown = SHOWN[name["channel"]]
    return Field(
        key=f"{well}/channel{name['channel']}",
        files=[file],
        channels=[stain],
        cell_type="mcf7" if well[0] in "ABCD" else "a549",
        cell_visible=shown,
        well=well,
    )


SOURCE = broad(
    dir_name="bbbc014",
    name="Human U2OS cells cytoplasm–nucleus translocation (2)",
    link=link("BBBC014"),
    licence="cc-by-3.0",
    citation=f"Images provided by Ilya Ravkin; {LJOSA}",
    organism="human",
    microscopy="fluorescence",
    stains={"Channel 1": "nfkb p65", "Channel 2": "nucleus"},
    scan=by_name(
        r"channel (?P<channel>[12])-(?P<number>\d\d)-(?P<row>[a-h])-(?P<column>\d\d)-00\.(?:bmp|tiff?)", _field
    ),
    kind="file names",
    download=download("BBBC014", "BBBC014_v1_images.zip", into="BBBC014_v1_images/*.Bmp"),
    disk_gb=0.3,
    rows_differ_in="channel",
    published={"cell_type": "mcf7|a549"},
    expected=(Count("fields", 192, "table"), Count("wells", 96, "table")),
    notes="The name says U2OS; rows A to D are MCF7, rows E to H A549. The published table has the pair in every row.",
)
