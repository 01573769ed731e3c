"""idr0088: 1,177 compounds in fifteen reporter cell lines, each with two labelled proteins (Cox et al. 2020)."""

import re

import pandas as pd

from . import idr
from .base import Archive, Count
from .plates import View, scan_wells

NAME = re.compile(
    r"[^/]*_(?P<well>[a-z]\d{1,2})_T\d+F(?P<site>\d+)L\d+A0*(?P<channel_again>\d+)Z\d+C0*(?P<channel>\d+)\.tiff?",
    re.IGNORECASE,
)
STAINS = {"1": "nucleus", "2": "reporter 1", "3": "reporter 2"}
# What the tagged proteins show. Proteins that mark a pathway rather than a structure keep their name.
REPORTERS = {
    "actb": "actin",
    "tuba1b": "microtubules",
    "canx": "er",
    "cox4i1": "mitochondria",
    "gm130": "golgi",
    **{protein: protein for protein in ("rab5a", "clta", "tp53bp1", "sqstm1", "rela")},
}


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well, with the stains of its own reporter line."""
    table = idr.annotation(
        archive,
        {
            "plate": "Plate",
            "well": "Well",
            "cell_type": "Characteristics [Cell Line]",
            "compound": "Compound Name",
            "phenotype": "Compound MoA",
            "control": "Control Type",
            "stains": "Channels",
        },
    )
    # The published constant nucleus|actin|rab5a is right for one of the five reporter pairs only.
    stains = idr.mapped(table["stains"], _stains)
    return table.assign(
        phenotype=table["phenotype"].str.replace("_", " "),
        stains=stains,
        cell_visible=stains,
    )


def _stains(channels: str) -> tuple[str, ...]:
    # "Ch1 (blue): Nuclei/Cytoplasm, Ch2 (green): ACTB, Ch3 (red): RAB5A"
    proteins = [protein.strip().lower() for protein in re.findall(r"Ch[23][^:]*:\s*([^,]+)", channels)]
    return ("nucleus", *(REPORTERS.get(protein, protein) for protein in proteins))


SOURCE = idr.study(
    dir_name="idr0088",
    name="Phenomic Profiling",
    link=idr.LINK + "screen-2651",
    licence="cc-by-nc-4.0",
    citation="Cox et al. 2020, doi:10.1038/s41598-020-69354-8; data doi:10.17867/10000150",
    organism="human",
    microscopy="confocal",
    stains=STAINS,
    scan=scan_wells(rows, NAME, View(STAINS)),
    download="Fetch idr0088-screenA-annotation.csv.zip and raw_images_for_IDR/<Plate Location>/<Plate>/.",
    disk_gb=5400.0,
    expected=(
        Count("fields", 952_290, "inferred"),
        Count("fields in the published table", 85_000, "reference"),
        Count("wells in the table", 317_430, "table"),
        Count("plates", 1_199, "table"),
        Count("compound", 1_177, "table"),
        Count("mechanisms of action in the table", 292, "table"),
        Count("cell_type", 3, "table"),
    ),
    notes="Two or three sites per well. cell_visible follows each row's Channels (inferred), not the published rule.",
)
