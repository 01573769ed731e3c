"""BBBC010: C. elegans, alive or dead, one row per channel file (brightfield apart from GFP)."""

import re

from .base import Count, Field
from .bbbc import broad, download, link
from .names import by_name
from .plates import well_name

CHANNELS = {"1": "intestine", "2": "brightfield"}


def _field(file: str, name: re.Match[str]) -> Field:
    well, channel = well_name(name["well"]), name["channel"]
    treated = int(name["column"]) <= 12  # ampicillin in columns 1 to 12: the worms live
    return Field(
        key=f"{well}/w{channel}",
        files=[file],
        channels=[CHANNELS[channel]],
        cell_visible="intestine" if channel == "1" else None,
        phenotype="wildtype" if treated else "dead",
        microscopy="fluorescence" if channel == "1" else "brightfield",
        plate=name["plate"],
        well=well,
        control=None if treated else "untreated",
    )


SOURCE = broad(
    dir_name="bbbc010",
    name="C. elegans live/dead assay",
    link=link("BBBC010"),
    licence="unverified",
    citation="Waehlby et al. 2012, doi:10.1038/nmeth.1984",
    organism="nematode",
    microscopy=None,  # by channel
    stains={"w1": "intestine", "w2": "brightfield"},
    scan=by_name(
        r"(?P<plate>1649_1109_\d+)_amp5-1_b_\d+_(?P<well>[a-p](?P<column>\d\d))_w(?P<channel>[12])_[0-9a-f-]+\.tiff?",
        _field,
    ),
    kind="file names",
    download=download("BBBC010", "BBBC010_v2_images.zip", into="BBBC010_v2_images/*.tif"),
    disk_gb=0.2,
    ignore=r"foreground",
    rows_differ_in="channel",
    expected=(
        Count("fields", 200, "reference"),
        Count("phenotype=wildtype", 100, "reference"),
        Count("phenotype=dead", 100, "reference"),
    ),
    notes="Public repositories disagree on the licence (CC0, CC BY 3.0) and on which half of the plate is alive.",
)
