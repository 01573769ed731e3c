"""BBBC005: simulated U2OS cells at growing blur, one row per channel file."""

import re

from .base import Count, Field
from .bbbc import LJOSA, broad, download, link
from .names import by_name
from .plates import well_name

SHOWN = {"1": "cell body", "2": "nucleus"}


def _field(file: str, name: re.Match[str]) -> Field:
    return Field(
        key=name["stem"],
        files=[file],
        channels=[SHOWN[name["channel"]]],
        cell_type="u2os",
        cell_visible=SHOWN[name["channel"]],
        well=well_name(name["well"]),
        site=name["sample"],
        # Blur was simulated by filters on an image: one of a count and a number may be the same cells at every blur.
        physical_field=f"c{int(name['cells'])}/s{int(name['sample'])}",
    )


SOURCE = broad(
    dir_name="bbbc005",
    name="Synthetic cells",
    link=link("BBBC005"),
    licence="unverified",
    citation=f"{LJOSA}; simulator SIMCEP: Lehmussola et al. 2007, doi:10.1109/TMI.2007.896925",
    organism="human",
    microscopy="fluorescence",
    stains={"w1": "cell body", "w2": "nucleus"},
    scan=by_name(
        r"(?P<stem>simcepimages_(?P<well>[a-p]\d\d)_c(?P<cells>\d+)_f\d+_s(?P<sample>\d+)_w(?P<channel>[12]))\.tiff?",
        _field,
    ),
    kind="file names",
    download=download("BBBC005", "BBBC005_v1_images.zip", into="BBBC005_v1_images/*.TIF"),
    disk_gb=7.0,
    ignore=r"(^|/)[^/]*ground_truth[^/]*/",
    rows_differ_in="channel and blur",
    expected=(
        Count("fields", 19_200, "docs"),
        Count("cell_visible=nucleus", 9_600, "docs"),
        Count("cell_visible=cell body", 9_600, "docs"),
    ),
    notes=(
        "Ground truth is left out; an early published table listed nothing else. Images of one number of cells and "
        "one sample count as one field at any blur (inferred)."
    ),
)
