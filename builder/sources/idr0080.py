"""idr0080: CRISPR knock-outs in three cancer lines, Cell Painting (Way et al. 2021)."""

import re
from collections.abc import Iterator
from functools import cache

import pandas as pd

from . import idr
from .base import Archive, Count, Field, RejectedItem
from .plates import OPERETTA, View, group_wells, join_wells, operetta_well

CORRECTED = "_illum_corrected"
VISIBLE = ("nucleus", "er", "nucleoli", "rna", "actin", "golgi", "cell membrane", "mitochondria")
_PLATE = re.compile(r"(?P<plate>sq\d{8})(?![0-9])(?P<measured>__)?", re.IGNORECASE)


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well. Every plate is in the table twice, original and corrected for illumination: once here."""
    columns = {
        "plate": "Plate",
        "well": "Well",
        "cell_type": "Characteristics [Cell Line]",
        "gene": "Gene Symbol",
        "control": "Control Type",
    }
    table = idr.annotation(archive, columns, optional=["control"])
    corrected = table["plate"].str.lower().str.endswith(CORRECTED)
    plate = table["plate"].str[: -len(CORRECTED)].where(corrected, table["plate"])
    table = table.assign(plate=plate, corrected=corrected)
    originals = set(table.loc[~corrected, "plate"])
    return table[~corrected | ~plate.isin(originals)].drop(columns="corrected").reset_index(drop=True)


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Wells are joined by plate folder and the row and column in the name; nine positions each."""
    # Of each plate the originals, or the corrected copies where they are all there is of it.
    versions: dict[str, set[str]] = {}
    for folder in sorted({name.rpartition("/")[0] for name in archive.images}):
        if version := _version(folder):
            versions.setdefault(version[0], set()).add(version[1])
    used = {plate: max(kinds) for plate, kinds in versions.items()}  # "original" sorts behind "corrected"

    def plate_of(folder: str) -> str | None:
        version = _version(folder)
        return version[0] if version and used[version[0]] == version[1] else None

    images = group_wells(archive, OPERETTA, plate_of, well=operetta_well)
    yield from join_wells(rows(archive), images, [View(SOURCE.stains, {"cell_visible": VISIBLE})])
    for image in archive.images:
        version = _version(image.rpartition("/")[0])
        if version and used[version[0]] != version[1]:
            yield RejectedItem(image, "other_version", f"the {used[version[0]]} images of plate {version[0]} are used")


@cache
def _version(folder: str) -> tuple[str, str] | None:
    """Plate and version of a folder: measurements carry their time, corrected copies the plate's name alone."""
    match = _PLATE.search(folder)
    if match is None:
        return None
    original = match["measured"] and "illum" not in folder.lower()
    return match["plate"].upper(), "original" if original else "corrected"


SOURCE = idr.study(
    dir_name="idr0080",
    name="Perturbation",
    link=idr.LINK + "screen-2701",
    licence="cc0",
    citation="Way et al. 2021, doi:10.1091/mbc.E20-12-0784; data doi:10.17867/10000153",
    organism="human",
    microscopy="fluorescence",
    stains={"1": "nucleus", "2": "er", "3": "nucleoli+rna", "4": "actin+golgi+cell membrane", "5": "mitochondria"},
    scan=scan,
    download="Fetch idr0080-screenA-annotation.csv and the folders SQ000146<10-18>__<time>-Measurement<n>/Images/.",
    disk_gb=2000.0,
    expected=(
        Count("fields", 31_104, "inferred"),
        Count("wells", 3_456, "table"),
        Count("cell_type", 3, "table"),
        Count("gene", 58, "table"),
    ),
    notes="Of a plate's originals and illumination-corrected copies the originals are used. cell_visible is inferred.",
)
