"""BBBC022: Cell Painting of 1,600 compounds in U2OS; five channels a field, joined by image table or library."""

import re
from collections.abc import Iterator

import pandas as pd

from .base import Archive, Count, Field, RejectedItem, keyed
from .bbbc import broad, download, link
from .names import matching
from .plates import well_name

IMAGES = "BBBC022_v1_image.csv"
LIBRARY = "idr0036-screenA-library.txt"
STAINS = {"w1": "nucleus", "w2": "er", "w3": "nucleoli", "w4": "actin+golgi", "w5": "mitochondria"}
SHOWN = ("nucleus", "er", "nucleoli", "actin", "golgi", "mitochondria")
NAME = (
    # The set's own zips, or the folders of the plates in idr0036.
    r"(?:bbbc022_v1_images_(?P<plate>\d{5})w[1-5]|(?P<idr_plate>\d{5})-(?:ersyto|ersytobleed|hoechst|mito|ph_?golgi))/"
    r"ixmtest_(?P<well>[a-p]\d\d)_s(?P<site>\d)_(?P<channel>w[1-5])[0-9a-f-]*\.tiff?"
)
FILE_COLUMNS = {"w1": "OrigHoechst", "w2": "OrigER", "w3": "OrigSyto", "w4": "OrigPh_golgi", "w5": "OrigMito"}


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """The set's own image table names every file; without it, file names are joined to IDR's library of the plates."""
    return _by_image_table(archive) if archive.find_table(IMAGES) else _by_library(archive)


def _by_image_table(archive: Archive) -> Iterator[Field | RejectedItem]:
    broken: list[list[str]] = []  # a few lines of the published table have too many cells
    table = archive.table(
        IMAGES,
        columns=[
            *(f"Image_FileName_{name}" for name in FILE_COLUMNS.values()),
            *(f"Image_Metadata_{name}" for name in ("PlateID", "CPD_WELL_POSITION", "ASSAY_WELL_ROLE")),
            "Image_Metadata_SOURCE_COMPOUND_NAME",
        ],
        long_row=lambda _, cells: broken.append(cells),
    )
    for cells in broken:
        yield RejectedItem("/".join(cells[:7]), "broken_row", f"{len(cells)} cells in a line of {IMAGES}")
    for *names, plate, well, role, compound in table.itertuples(index=False):
        site = re.search(r"_s(\d+)_w1", names[0])
        if site is None or not well or not all(names):
            yield RejectedItem("/".join((plate, well, *names)), "broken_row", f"a line of {IMAGES} lacks cells")
            continue
        files = [f"BBBC022_v1_images_{plate}{c}/{name}" for c, name in zip(STAINS, names, strict=True)]
        files = [archive.find(file, last=0) or file for file in files]  # the microscope's names are unique
        yield _field(files, plate, well, site[1], compound, role)


def _by_library(archive: Archive) -> Iterator[Field | RejectedItem]:
    library = archive.table(LIBRARY, columns=["Plate", "Well", "Compound Name", "Control Type"], separator="\t")
    treatments = _treatments(library)
    fields: dict[tuple[str, str, str], dict[str, str]] = {}
    for file, name in matching(archive, NAME):
        plate = name["plate"] or name["idr_plate"]
        fields.setdefault((plate, well_name(name["well"]), name["site"]), {})[name["channel"]] = file
    for (plate, well, site), files in fields.items():
        if (plate, well) not in treatments:
            yield RejectedItem(f"{plate}/{well}/{site}", "no_row", f"{LIBRARY} has no row for this well")
            continue
        # The name of a missing file holds an identifier nobody knows: it is recorded as a pattern.
        missing = f"BBBC022_v1_images_{plate}{{0}}/IXMtest_{well}_s{site}_{{0}}*.tif"
        yield _field([files.get(c) or missing.format(c) for c in STAINS], plate, well, site, *treatments[plate, well])


def _treatments(library: pd.DataFrame) -> dict[tuple[str, str], tuple[str, str]]:
    wells = [(plate, well_name(well)) for plate, well in zip(library["Plate"], library["Well"], strict=True)]
    return keyed(wells, zip(library["Compound Name"], library["Control Type"], strict=True), table=LIBRARY)


def _field(files: list[str], plate: str, well: str, site: str, compound: str, role: str) -> Field:
    return Field(
        key=f"{plate}/{well_name(well)}/{int(site)}",
        files=files,
        channels=tuple(STAINS.values()),
        cell_type="u2os",
        cell_visible=SHOWN,
        compound="dmso" if role == "mock" else compound,
        plate=plate,
        well=well_name(well),
        site=site,
        control=role,
    )


SOURCE = broad(
    dir_name="bbbc022",
    name="Human U2OS cells - compound cell-painting experiment",
    link=link("BBBC022"),
    licence="cc0",
    citation="Gustafsdottir et al. 2013, doi:10.1371/journal.pone.0080999",
    organism="human",
    microscopy="fluorescence",
    stains=STAINS,
    scan=scan,
    kind="metadata table",
    download=download(
        "BBBC022",
        "BBBC022_v1_images_20585w1.zip (20 plates, w1 to w5)",
        IMAGES,
        into=f"BBBC022_v1_images_20585w1/*.tif, or 20585-Hoechst/*.tif as in idr0036, beside {IMAGES} or {LIBRARY}",
    ),
    disk_gb=250.0,
    expected=(
        Count("fields", 69_120, "docs"),
        Count("plates", 20, "docs"),
        Count("compound", 1_547, "table"),
        Count("library wells", 7_680, "table"),
    ),
    notes="Mock wells are labelled dmso. The library has 1,600 names, 1,547 without regard to letter case.",
)
