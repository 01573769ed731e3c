"""BBBC045: white blood cells in an imaging flow cytometer; a corner of every channel's montage is a field."""

import re

from .base import Count, Field
from .bbbc import broad, download, link
from .names import by_name

# 13 x 15 cells of 55 pixels: the part of a 1650 x 1650 montage that the published rows show.
REGION = (0, 825, 0, 715)


def _field(file: str, name: re.Match[str]) -> Field:
    return Field(
        key=name["path"],
        files=[file],
        channels=[f"channel {int(name['channel'])}"],
        cell_type="white blood cell",
        region=REGION,
        physical_field=re.sub(r"ch\d+", "", name["path"].rpartition("/")[0] + "/" + name["path"].rpartition("/")[2]),
        donor=name["donor"],
    )


SOURCE = broad(
    dir_name="bbbc045",
    name="Human White Blood Cells",
    link=link("BBBC045"),
    licence="unverified",
    citation="Nassar et al. 2019, doi:10.1002/cyto.a.23794",
    organism="human",
    microscopy="fluorescence|brightfield|darkfield",
    stains={},
    scan=by_name(
        r"stained_montages/(?P<path>(?P<donor>(?!stained_montages/)[^/]+)/(?:[^/]+/)*[^/]*ch(?P<channel>\d+)[^/]*)\.tiff?",
        _field,
    ),
    kind="folders",
    download=download(
        "BBBC045", "Stained_Montages.zip", into="Stained_Montages/<donor>/<sub folder>/<cell type>/*_Ch5.tif"
    ),
    disk_gb=2.0,
    rows_differ_in="channel",
    expected=(Count("fields", 625, "inferred"), Count("montages", 147, "reference")),
    notes="The five leukocyte folders are one label, as published. Which channel is which modality is unverified.",
)
