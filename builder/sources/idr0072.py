"""idr0072: landmark proteins of the cell, tagged, in two epithelial lines (Schormann et al. 2020).

Opera files hold several fields of two channels each. Folders on the server and plates of the tables are spelled
differently, so both are reduced to their letters; `idr0072-screen<A|B>-plates.tsv` settles the rest.
"""

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.tables.wells import well_at

from . import idr
from .base import Archive, Count, Field, RejectedItem
from .plates import plate_folders, well_name
from .stacks import tiff_planes

# Row, column and image of an Opera file; converted files keep the first six digits.
_OPERA = re.compile(r"(\d{3})(\d{3})(\d*)")
_NAMED = re.compile(r"(vamp1?_deg.*?)__(.*?)__([a-p]\d{1,2})(?:__.*|$)", re.IGNORECASE)
# Planes of nucleus and protein in a pair, from idr0072-screen<A|B>-render.yml: A has DRAQ5 first, B has EGFP first.
PLANES = {"screenA": (0, 1), "screenB": (1, 0)}
# Folders and tables that differ by more than signs, from idr0072-screenB-plates.tsv; letters of the one, of the other.
SPELLED = {
    "20151030plate116meas02": "20151030plate116meas01",
    "20151030plate117meas01": "20151020plate117meas01",
    "vampdegbin1pl7320150527meas01": "vampdegbin1pl7320140527meas01",
    "vampdegbin1pl7420140603meas01": "vampdegbinpl7420140603meas01",
    "vampdegpl67bin120140415meas01": "vampdegpl6720140415meas01",
    "vampdegpl68bin120140415meas01": "vampdegpl6820140415meas01",
}
Labels = dict[str, Any]


def rows(archive: Archive) -> pd.DataFrame:
    """One row per well of both screens."""
    tables = idr.screen_tables(archive, {screen: [f"{screen}-annotation"] for screen in PLANES})
    columns = {
        "plate": "Plate",
        "well": "Well",
        "organism": "Characteristics [Organism]",
        "cell_type": "Characteristics [Cell Line]",
        "gene": "Comment [Gene Symbol]",
        "protein": "Comment [Protein Name Abbreviation]",
    }
    screens = [idr.read_columns(archive, name, columns).assign(screen=screen) for screen, name in tables.items()]
    table = pd.concat(screens, ignore_index=True)
    human = table["organism"].str.lower() == "homo sapiens"
    return table.assign(organism=human.map({True: "human", False: "mouse"}))


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Files are joined by plate folder and the well in their name; each field of a file is one of ours."""
    wells: dict[tuple[str, str], list[Labels]] = {}
    for row in rows(archive).drop_duplicates().to_dict("records"):
        wells.setdefault((row["plate"], row["well"]), []).append({str(name): cell for name, cell in row.items()})
    plates = {_letters(plate): plate for plate, _ in wells}
    server = {path: plate for screen in PLANES for path, plate in idr.server_folders(archive, screen=screen).items()}
    documented = plate_folders((), {path: plates.get(_letters(plate), plate) for path, plate in server.items()})
    folders: dict[str, str | None] = {}
    seen = set()
    for path in archive.images:
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            folders[folder] = documented(folder) or _plate_of(folder, plates)
        plate, well, number = _place(folders[folder], name, plates)
        if plate is None or well is None:
            continue
        labels = wells.get((plate, well), [])
        seen.add((plate, well))
        if len(labels) == 1:
            yield from _fields(archive, path, labels[0], number)
        else:
            reason = "conflicting_rows" if labels else "no_row"
            yield RejectedItem(path, reason, f"{len(labels)} rows of the table for plate {plate}, well {well}")
    for plate, well in sorted(wells.keys() - seen):
        yield RejectedItem(f"{plate}/{well}", "no_image_file")


def _place(plate: str | None, name: str, plates: dict[str, str]) -> tuple[str | None, str | None, str]:
    """Plate, well and number of a file, from its folder and its name."""
    stem = name.partition(".")[0]
    if named := _NAMED.match(stem):
        by_name = plates.get(_letters(named[1] + named[2]))
        return by_name or plate, well_name(named[3]), stem
    opera = _OPERA.match(stem)
    if opera is None or not int(opera[1]) or not int(opera[2]):
        return plate, None, ""
    return plate, well_at(int(opera[1]), int(opera[2])), stem


def _fields(archive: Archive, path: str, row: Labels, number: str) -> Iterator[Field]:
    protein = row["protein"].lower()
    stains = ("nucleus", protein or "protein")
    planes = tiff_planes(inside(archive.root, path))  # a converted file of one plane shows both
    nucleus, tagged = PLANES[row["screen"]]
    for site in range(max(planes // 2, 1)):
        pages = (2 * site + nucleus, 2 * site + tagged) if planes > 1 else (0,)
        yield Field(
            key=f"{row['plate']}/{row['well']}/{number}/{site + 1}",
            files=(path,) * len(pages),
            channels=stains if planes > 1 else ("+".join(stains),),
            pages=pages,
            organism=row["organism"],
            cell_type=row["cell_type"],
            cell_visible=("nucleus", protein) if protein else "nucleus",
            gene=row["gene"] or None,
            plate=row["plate"],
            well=row["well"],
            site=str(site + 1),
        )


def _plate_of(folder: str, plates: dict[str, str]) -> str | None:
    parts = folder.split("/")
    # A measurement is a folder of its own (`<plate>/Meas_01`) or a part of the name (`<plate>_Meas_01`).
    for end in range(len(parts), 0, -1):
        for first in (end - 1, end - 2):
            letters = _letters("".join(parts[max(first, 0) : end]))
            if first >= 0 and (plate := plates.get(SPELLED.get(letters, letters))):
                return plate
    # Some folders leave the measurement out: they hold the plate's only one.
    measured = re.compile(r"meas[ _]?\d+", re.IGNORECASE)
    if any(measured.search(part) for part in parts):
        return None
    only: dict[str, str | None] = {}
    for letters, plate in plates.items():
        stem = re.sub(r"meas\d+$", "", letters)
        only[stem] = None if stem in only else plate
    return next((plate for part in reversed(parts) if (plate := only.get(_letters(part)))), None)


def _letters(plate: str) -> str:
    # The server says "landmarks" or "landmark-library" where the tables say "Landmark".
    letters = re.sub(r"[^a-z0-9]", "", plate.lower())
    return letters.replace("landmarklibrary", "landmark").replace("landmarks", "landmark")


SOURCE = idr.study(
    dir_name="idr0072",
    name="Subcellular Localization",
    link=idr.LINK + "screen-2952",
    licence="cc-by-4.0",
    citation="Schormann et al. 2020, doi:10.1083/jcb.201904090; data doi:10.17867/10000160",
    organism=None,
    microscopy="fluorescence",
    stains={"EGFP": "protein", "DRAQ5": "nucleus"},
    scan=scan,
    download=(
        "Fetch idr0072-screen<A|B>-annotation.csv, idr0072-screen<A|B>-plates.tsv and the folders "
        "<plate>/Meas_<nn>/*.flex of both screens."
    ),
    disk_gb=140.0,
    expected=(
        Count("fields", 45_000, "reference"),
        Count("wells in the tables", 6_142, "table"),
        Count("cell_type", 2, "table"),
    ),
    notes=(
        "From the laboratory and cell lines of COOS-7. The order of planes differs between the screens, as their "
        "rendering settings say. As published, organisms other than human are mouse, and the gene, which is tagged "
        "and not perturbed, is a label."
    ),
)
