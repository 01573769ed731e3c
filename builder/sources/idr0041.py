"""idr0041: dividing HeLa cells with one tagged protein each, followed over time (Cai et al. 2018)."""

from collections.abc import Iterator

import pandas as pd

from cytoimagenet_hf.core.files import inside

from . import idr
from .base import Archive, Count, Field, RejectedItem, Source
from .plates import unique_rows
from .stacks import tiff_planes

DEPTH = 31  # z planes of a file
STAINS = {"GFP": "protein", "SiR-DNA": "nucleus", "Dy-481XL": "cell outline"}


def rows(archive: Archive) -> pd.DataFrame:
    """One row per time point of a cell: original images only, neither masks nor concentration maps."""
    columns = {
        "folder": "Comment [Image File Path]",
        "image": ("Image File", "Image Name"),
        "kind": "Comment [Image File Type]",
        "gene": "Comment [Gene Symbol]",
        "assay": "Assay Name",
    }
    table = idr.annotation(archive, columns, screen="experimentA", kinds=["annotation", "assays"])
    table = table[table["kind"].str.lower() == "original images"].drop(columns="kind")
    path = table["folder"].str.strip("/") + "/" + table["image"].str.removesuffix(".tif") + ".tif"
    return table.assign(path=path).drop(columns=["folder", "image"]).reset_index(drop=True)


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """A file is a z-stack of three channels; its middle plane stands for it."""
    table = rows(archive)
    table = unique_rows(table, ["path"])
    for gene, assay, path in zip(table["gene"], table["assay"], table["path"], strict=True):
        found = archive.find(path, last=3)  # assay, cell and kind of image
        if found is None:
            yield RejectedItem(path, "no_image_file")
            continue
        planes = tiff_planes(inside(archive.root, found))
        middle = (planes // len(STAINS) if planes >= len(STAINS) else DEPTH) // 2
        yield Field(
            key=path,
            files=(found,) * len(STAINS),
            channels=tuple(STAINS.values()),
            pages=[middle * len(STAINS) + channel for channel in range(len(STAINS))],
            cell_type="hela",
            cell_visible="nucleus",
            gene=gene or None,
            plate=assay,
            site=path.split("/")[-3],  # the cell: its time points belong together
        )


SOURCE = Source(
    dir_name="idr0041",
    name="Mitotic Atlas",
    database=idr.DATABASE,
    link=idr.LINK + "project-404",
    licence="cc-by-4.0",
    citation="Cai et al. 2018, doi:10.1038/s41586-018-0518-z; data doi:10.17867/10000112",
    organism="human",
    microscopy="confocal",
    stains=STAINS,
    scan=scan,
    kind=idr.KIND,
    download="Fetch idr0041-experimentA-annotation.csv and mitotic_cell_atlas/<assay>/<cell>/rawtif/ of project 404.",
    disk_gb=250.0,
    ignore=r".*(masktif|conctif|calibration|_mask/|_conc/).*",
    expected=(
        Count("fields", 20_160, "reference"),
        Count("fields in the published table", 2_800, "reference"),
        Count("gene", 28, "reference"),
    ),
    notes=(
        "Time points of a cell share plate (assay) and site (cell). The middle of 31 z planes is taken; the order of "
        "planes, channels first, cell_visible and the disk are inferred. The protein is tagged, not perturbed."
    ),
)
