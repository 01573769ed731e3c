"""BBBC020: bone-marrow macrophages, nuclei and cell surface, one row per channel file."""

import re

from .base import Count, Field
from .bbbc import LJOSA, broad, download, link
from .names import by_name

SHOWN = {"1": "cell surface", "5": "nucleus"}


def _field(file: str, name: re.Match[str]) -> Field:
    shown = SHOWN[name["channel"]]
    return Field(
        key=f"{name['sample']}/c{name['channel']}",
        files=[file],
        channels=[shown],
        cell_type="macrophage",
        cell_visible=shown,
        site=name["sample"],
    )


SOURCE = broad(
    dir_name="bbbc020",
    name="Murine bone-marrow derived macrophages",
    link=link("BBBC020"),
    licence="unverified",
    citation=f"Wenus et al. 2009; {LJOSA}",
    organism="mouse",
    microscopy="fluorescence",
    stains={"c1": "cell surface", "c5": "nucleus"},
    scan=by_name(r"(?P<sample>jw-[^/]+?)_c(?P<channel>[15])\.tiff?", _field),
    kind="file names",
    download=download("BBBC020", "BBBC020_v1_images.zip", into="BBBC020_v1_images/<sample>/<sample>_c1.TIF"),
    disk_gb=0.3,
    ignore=r"outlines|\(c1\+c5\)",
    rows_differ_in="channel",
    expected=(
        Count("fields", 50, "reference"),
        Count("cell_visible=nucleus", 25, "reference"),
        Count("cell_visible=cell membrane", 25, "inferred"),
    ),
    notes="Public repositories disagree on the licence (CC BY 3.0, CC0). The merged image is left out.",
)
