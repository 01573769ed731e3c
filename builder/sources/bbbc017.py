"""BBBC017: shRNA screen of HT29 cells; three channels a field, the gene from the clone library by plate and well."""

import re
from collections.abc import Iterator

from cytoimagenet_hf.core.numbers import plain_number

from .base import Archive, Count, Field, RejectedItem, keyed
from .bbbc import broad, download, link
from .names import matching
from .plates import well_name

LIBRARY = "bbbc_colon_metadata.xls"
STAINS = {"d0": "nucleus", "d1": "mitosis", "d2": "actin"}
NAME = (
    r"(?P<folder>nirhta[+-](?P<plate>\d{3}))/"
    r"(?P<stem>as_09125_\d{12}_(?P<well>[a-p]\d\d)f(?P<site>\d\d))d[012]\.(?:dib|bmp|tiff?)"
)
# Hairpins against genes that human cells do not have.
NEGATIVE = {"shluc", "pgk-gfp", "lacz"}


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Files of a field are those that differ in the channel digit; the folder's last three digits are the plate."""
    genes, odd = _genes(archive)
    yield from odd
    fields: dict[tuple[str, str], tuple[str, re.Match[str]]] = {}
    for file, name in matching(archive, NAME):
        fields.setdefault((name["folder"], name["stem"]), (file, name))
    for (folder, stem), (file, name) in fields.items():
        before, after = file[: name.end("stem")], file[name.end("stem") + 2 :]
        well = well_name(name["well"])
        gene = genes.get((plain_number(name["plate"]), well))
        letter = file[name.end("stem")]
        yield Field(
            key=f"{folder}/{stem}",
            files=[before + letter + channel[1] + after for channel in STAINS],
            channels=tuple(STAINS.values()),
            cell_type="ht29",
            cell_visible=("nucleus", "actin"),
            gene=gene,
            plate=f"NIRHTa{folder[6:]}",
            well=well,
            site=name["site"],
            control="negative" if gene and gene.lower() in NEGATIVE else None,
        )


def _genes(archive: Archive) -> tuple[dict[tuple[str, str], str], list[RejectedItem]]:
    """Plate and well → gene, and the rows whose plate is not a number."""
    table = archive.table(LIBRARY, columns=["384-Plate#", "384-well", "gene name"])
    numbered = table["384-Plate#"].str.isdecimal()
    odd = [
        RejectedItem("/".join(cells), "plate_is_no_number", LIBRARY) for cells in table[~numbered].to_numpy().tolist()
    ]
    table = table[numbered]
    plates, wells = map(plain_number, table["384-Plate#"]), map(well_name, table["384-well"])
    return keyed(zip(plates, wells, strict=True), table["gene name"], table=LIBRARY), odd


SOURCE = broad(
    dir_name="bbbc017",
    name="Human HT29 colon-cancer cells shRNAi screen",
    link=link("BBBC017"),
    licence="unverified",
    citation="Moffat et al. 2006, A lentiviral RNAi library for human and mouse genes, Cell 124",
    organism="human",
    microscopy="fluorescence",
    stains=STAINS,
    scan=scan,
    kind="metadata table",
    download=download(
        "BBBC017", "BBBC017_v1_images_NIRHTa+001.zip (… +014, -001 … -014)", into=f"NIRHTa+001/*.DIB, beside {LIBRARY}"
    ),
    disk_gb=102.0,
    expected=(Count("fields", 64_512, "reference"), Count("library wells", 5_760, "table")),
    notes="Order of phospho-histone H3 (mitosis) and actin among d1 and d2 is inferred. No phenotype, as published.",
)
