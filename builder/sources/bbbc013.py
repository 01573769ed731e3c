"""BBBC013: FKHR-EGFP moving between cytoplasm and nucleus, 96 wells, one row per channel file."""

from collections.abc import Iterator

from .base import Archive, Count, Field, RejectedItem, keyed
from .bbbc import LJOSA, broad, download, link
from .names import matching
from .plates import well_name, well_number

PLATE_MAP = "BBBC013_platemap_long_nM.csv"
# The published table calls both channels nucleus; only the second shows it.
SHOWN = {"1": ("fkhr", "cell body"), "2": ("nucleus", "nucleus")}


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """File names give channel and well; the plate map, where it is there, the compound."""
    treatments = _plate_map(archive) if archive.find_table(PLATE_MAP) else {}
    pattern = r"channel(?P<channel>[12])-(?P<number>\d\d)-(?P<row>[a-h])-(?P<column>\d\d)\.(?:bmp|tiff?)"
    for file, name in matching(archive, pattern):
        well = well_name(name["row"] + name["column"])
        if well != well_number(int(name["number"]), columns=12):
            yield RejectedItem(file, "contradictory_name", f"well {int(name['number'])} of 96 is not {well}")
            continue
        stain, shown = SHOWN[name["channel"]]
        compound, control = treatments.get(well, (None, None))
        yield Field(
            key=f"{well}/channel{name['channel']}",
            files=[file],
            channels=[stain],
            cell_type="u2os",
            cell_visible=shown,
            compound=compound,
            well=well,
            control=control,
        )


def _plate_map(archive: Archive) -> dict[str, tuple[str, str]]:
    table = archive.table(PLATE_MAP, columns=["row_name", "column_name", "compound", "role"])
    wells = (well_name(row + column) for row, column in zip(table["row_name"], table["column_name"], strict=True))
    return keyed(wells, zip(table["compound"], table["role"], strict=True), table=PLATE_MAP)


SOURCE = broad(
    dir_name="bbbc013",
    name="Human U2OS cells cytoplasm–nucleus translocation",
    link=link("BBBC013"),
    licence="cc-by-3.0",
    citation=f"Images provided by Ilya Ravkin; {LJOSA}",
    organism="human",
    microscopy="fluorescence",
    stains={"Channel1": "fkhr", "Channel2": "nucleus"},
    scan=scan,
    kind="file names and plate map",
    download=download(
        "BBBC013", "BBBC013_v1_images_bmp.zip", into=f"BBBC013_v1_images_bmp/*.BMP (optional: {PLATE_MAP})"
    ),
    disk_gb=0.1,
    rows_differ_in="channel",
    expected=(Count("fields", 192, "table"), Count("wells", 96, "table")),
    notes="The published rows have no compound; the plate map adds wortmannin and LY294002 where it is there.",
)
