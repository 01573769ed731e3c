"""BBBC006: U2OS in 34 focal planes; the plane in focus, one row per channel file."""

import re

from .base import Count, Field, RejectedItem
from .bbbc import broad, download, link
from .names import by_name
from .plates import well_name

IN_FOCUS = "16"
# The published table calls both channels nucleus; the second is phalloidin.
SHOWN = {"1": "nucleus", "2": "actin"}


def _field(file: str, name: re.Match[str]) -> Field | RejectedItem:
    if name["plane"] != IN_FOCUS:
        return RejectedItem(file, "out_of_focus", f"plane {name['plane']}; {IN_FOCUS} is in focus")
    well = well_name(name["well"])
    return Field(
        key=f"z{name['plane']}/{well}/s{name['site']}/w{name['channel']}",
        files=[file],
        channels=[SHOWN[name["channel"]]],
        cell_type="u2os",
        cell_visible=SHOWN[name["channel"]],
        well=well,
        site=name["site"],
    )


SOURCE = broad(
    dir_name="bbbc006",
    name="Human U2OS cells (out of focus)",
    link=link("BBBC006"),
    licence="unverified",
    citation="Bray et al. 2012, doi:10.1177/1087057111420292",
    organism="human",
    microscopy="confocal",
    stains={"w1": "nucleus", "w2": "actin"},
    scan=by_name(
        r"bbbc006_v1_images_z_(?P<plane>\d\d)/"
        r"mcf-z-stacks-03212011_(?P<well>[a-p]\d\d)_s(?P<site>[12])_w(?P<channel>[12])[0-9a-f-]*\.tiff?",
        _field,
    ),
    kind="file names",
    download=download("BBBC006", "BBBC006_v1_images_z_16.zip", into="BBBC006_v1_images_z_16/*.tif"),
    disk_gb=1.2,
    ignore=r"bbbc006_v1_labels",
    rows_differ_in="channel",
    expected=(Count("fields", 1_536, "table"), Count("wells", 384, "table")),
    notes="Modality as published; the instrument was probably a wide-field microscope.",
)
