"""BBBC026: human hepatocytes and murine fibroblasts in co-culture, nuclei, one file a field."""

import re

from .base import Count, Field
from .bbbc import broad, download, link
from .names import by_name
from .plates import well_name


def _field(file: str, name: re.Match[str]) -> Field:
    well = well_name(name["well"])
    return Field(
        key=f"{name['plate']}/{well}/{name['site']}",
        files=[file],
        channels=["nucleus"],
        organism=("human", "mouse"),
        cell_type=("hepatocyte", "fibroblast"),
        cell_visible="nucleus",
        plate=name["plate"].upper(),
        well=well,
        site=name["site"],
    )


SOURCE = broad(
    dir_name="bbbc026",
    name="Human Hepatocyte and Murine Fibroblast cells – Co-culture experiment",
    link=link("BBBC026"),
    licence="unverified",
    citation="Logan et al. 2016, doi:10.1016/j.ymeth.2015.12.002",
    organism="human|mouse",
    microscopy="fluorescence",
    stains={"w1": "nucleus"},
    scan=by_name(
        r"(?P<plate>adsass\d+-[a-z0-9]+-d\d+)-20x_(?P<well>[a-p]\d\d)_s(?P<site>[1-9])_w1[0-9a-f-]*\.png", _field
    ),
    kind="file names",
    download=download("BBBC026", "BBBC026_v1_images.zip", into="*.png"),
    disk_gb=1.0,
    ignore=r"bbbc026_gt_images|ground_?truth",
    expected=(Count("fields", 864, "table"), Count("wells", 96, "table")),
    notes="Columns 1 and 23 are controls; which of them are positive is not stated, so none is marked.",
)
