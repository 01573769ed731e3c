"""BBBC012: C. elegans with an infection marker, one row per channel file (brightfield apart from fluorescence)."""

from collections.abc import Iterator

from .base import Archive, Count, Field, RejectedItem, keyed
from .bbbc import broad, download, link
from .names import matching
from .plates import well_name

PLATE_MAP = "BBBC012_platemap.csv"
STAINS = {"1": "brightfield", "2": "intestine", "3": "pharynx"}


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """File names give well and channel; a plate map (columns well, phenotype), where one is there, the phenotype."""
    phenotypes: dict[str, str] = {}
    if archive.find_table(PLATE_MAP):
        table = archive.table(PLATE_MAP, columns=["well", "phenotype"])
        phenotypes = keyed(map(well_name, table["well"]), table["phenotype"], table=PLATE_MAP)
    pattern = r"(?P<plate>101210oraneplt1)_(?P<well>[a-p]\d\d)_w(?P<channel>[123])_\[?[0-9a-f-]*\]?\.tiff?"
    for file, name in matching(archive, pattern):
        well, stain = well_name(name["well"]), STAINS[name["channel"]]
        yield Field(
            key=f"{well}/w{name['channel']}",
            files=[file],
            channels=[stain],
            cell_visible=None if stain == "brightfield" else stain,
            phenotype=phenotypes.get(well),
            microscopy="brightfield" if stain == "brightfield" else "fluorescence",
            well=well,
        )


SOURCE = broad(
    dir_name="bbbc012",
    name="C. elegans infection marker",
    link=link("BBBC012"),
    licence="unverified",
    citation="Waehlby et al. 2012, doi:10.1038/nmeth.1984",
    organism="nematode",
    microscopy=None,  # by channel
    stains={f"w{channel}": stain for channel, stain in STAINS.items()},
    scan=scan,
    kind="file names and plate map",
    download=download(
        "BBBC012", "BBBC012_v1_images.zip", into=f"*.tif; {PLATE_MAP} (well, phenotype) is yours to write"
    ),
    disk_gb=0.3,
    rows_differ_in="channel",
    expected=(
        Count("fields", 360, "reference"),
        Count("phenotype=wildtype", 216, "reference"),
        Count("phenotype=infected", 144, "reference"),
    ),
    notes="72 wells are wild type and 48 infected; which ones stands on the set's page only. No map, no phenotype.",
)
