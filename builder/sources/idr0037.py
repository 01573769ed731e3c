"""idr0037: 115 induced pluripotent stem cell lines on fibronectin (Vigilante et al. 2019)."""

import re
from collections.abc import Callable

import pandas as pd

from . import idr
from .base import Archive, Count
from .plates import OPERETTA, View, operetta_well, plate_folders, scan_wells

FLUORESCENT = View(
    {"1": "nucleus", "2": "proliferation", "3": "cell membrane"}, {"cell_visible": ("nucleus", "cell membrane")}
)
BRIGHTFIELD = View(
    {"4": "brightfield"}, {"cell_visible": "cell body", "microscopy": "brightfield"}, suffix="/brightfield"
)


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well, with the measurement that names its folder."""
    columns = {
        "plate": "Plate",
        "well": "Well",
        "cell_type": "Characteristics [Cell Line]",
        "donor": "Characteristics [Donor Identifier]",
        "_operetta": "Comment [Operetta Plate Name]",
        "control": "Control Type",
    }
    return idr.annotation(archive, columns, optional=["donor", "_operetta", "control"])


def _plate_of(archive: Archive, table: pd.DataFrame) -> Callable[[str], str | None]:
    named = plate_folders(table["plate"].unique().tolist(), idr.server_folders(archive))
    # A measurement lies in `<plate name>__<time>-Measurement<n>`; characters a folder cannot hold were replaced.
    operetta = {_letters(name): plate for name, plate in zip(table["_operetta"], table["plate"], strict=True) if name}

    def plate_of(folder: str) -> str | None:
        stems = (_letters(part.partition("__")[0]) for part in folder.split("/") if "__" in part)
        return named(folder) or next((operetta[stem] for stem in stems if stem in operetta), None)

    return plate_of


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


SOURCE = idr.study(
    dir_name="idr0037",
    name="Variation in Human iPSC lines",
    link=idr.LINK + "screen-2051",
    licence="cc-by-4.0",
    citation="Vigilante et al. 2019, doi:10.1016/j.celrep.2019.01.094; data doi:10.17867/10000120",
    organism="human",
    microscopy="fluorescence",
    stains={**FLUORESCENT.channels, **BRIGHTFIELD.channels},
    # Each position gives a fluorescent field and a brightfield one, which are never merged.
    scan=scan_wells(rows, OPERETTA, FLUORESCENT, BRIGHTFIELD, plate_of=_plate_of, well=operetta_well),
    download="Fetch idr0037-screenA-annotation.csv and images/<measurement>/Images/ of screen 2051.",
    disk_gb=330.0,
    rows_differ_in="channel",
    expected=(
        Count("fields", 59_454, "inferred"),
        Count("fields in the published table", 15_000, "reference"),
        Count("wells in the table", 3_303, "table"),
        Count("positions per well", 9, "table"),
        Count("cell_type", 115, "table"),
    ),
    notes="cell_visible of the fluorescent fields is inferred. Fibronectin, on which all cells grow, is no compound.",
)
