"""cil_kinome: the Kinome Atlas, tagged human kinases in HeLa cells, one file a field."""

from collections.abc import Iterator

from .base import Archive, Count, Field, RejectedItem, Source
from .stacks import tiff_planes

MAPPING = "cil_kinome_mapping.csv"


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """The mapping names a zip per image, which holds a tif of the same number."""
    table = archive.table(MAPPING, columns=["file_name", "kinase"])
    for file_name, family in table.itertuples(index=False):
        number = file_name.rpartition(".")[0]
        file = archive.find(f"{number}.tif")
        planes = tiff_planes(archive.root / file) if file else 1
        yield Field(
            key=number,
            files=[f"{number}.tif"] * planes,
            # The layout is undocumented: all planes are read, and two of them can only be nucleus and kinase.
            channels=["nucleus", "protein"] if planes == 2 else ["nucleus+protein"] * planes,
            pages=range(planes) if planes > 1 else None,
            cell_type="hela",
            cell_visible=f"{family} kinase",  # the vocabulary merges the families into one label
            site=number,
        )


SOURCE = Source(
    dir_name="cil_kinome",
    name="Kinome Atlas",
    database="Cell Image Library",
    link="http://cellimagelibrary.org/pages/kinome_atlas",
    licence="unverified",
    citation="Zhang et al. 2021, doi:10.7554/eLife.64943",
    organism="human",
    microscopy="confocal",
    stains={"": "nucleus+protein"},
    scan=scan,
    kind="metadata table",
    download=f"Fetch <id>.zip (53366 to 54562) and unpack each to <id>.tif, beside {MAPPING} (file_name, kinase).",
    disk_gb=4.0,
    expected=(Count("fields", 908, "table"), Count("cell_visible=kinase", 908, "table")),
    notes="How nucleus and kinase are laid out inside a file is undocumented; all its planes are merged.",
)
