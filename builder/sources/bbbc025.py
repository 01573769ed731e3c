"""BBBC025: Cell Painting of U2OS under RNA interference, one row per channel file."""

import re

from .base import Count, Field
from .bbbc import broad, download, link
from .names import by_name
from .plates import well_name

SHOWN = {
    "ersyto": ("er",),
    "ersytobleed": ("nucleoli", "rna"),
    "hoechst": ("nucleus",),
    "mito": ("mitochondria",),
    "phgolgi": ("actin", "golgi", "cell membrane"),
}


def _field(file: str, name: re.Match[str]) -> Field:
    channel, well = name["channel"].replace("_", ""), well_name(name["well"])
    return Field(
        key=f"{name['plate']}/{well}/{name['site']}/{channel}",
        files=[file],
        channels=["+".join(SHOWN[channel])],
        cell_type="u2os",
        cell_visible=SHOWN[channel],
        plate=name["plate"],
        well=well,
        site=name["site"],
    )


SOURCE = broad(
    dir_name="bbbc025",
    name="Human U2OS cells – RNAi Cell Painting experiment",
    link=link("BBBC025"),
    licence="unverified",
    citation="Singh et al. 2015, doi:10.1371/journal.pone.0131370",
    organism="human",
    microscopy="confocal",
    stains={channel: "+".join(shown) for channel, shown in SHOWN.items()},
    scan=by_name(
        r"(?P<plate>\d{5})[_-](?P<channel>ersytobleed|ersyto|hoechst|mito|ph_?golgi)/(?:[^/]+/)*"
        r"cellpaintingfollowup-reimage_(?P<well>[a-p]\d\d)_s(?P<site>[1-9])_w[1-5][0-9a-f-]*\.tiff?",
        _field,
    ),
    kind="folders",
    download=download(
        "BBBC025", "DatasetS8/37983_ERSyto.tar.gz (8 plates, 5 channels)", into="37983_ERSyto/*.tif and so on"
    ),
    disk_gb=320.0,
    rows_differ_in="channel",
    expected=(Count("fields", 138_240, "reference"), Count("plates", 8, "docs")),
    notes="The only Cell Painting set whose channels are not merged. Hairpins are not annotated, as published.",
)
