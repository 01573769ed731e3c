"""idr0041: dividing HeLa cells with one tagged protein each, followed over time (Cai et al. 2018)."""

from collections.abc import Iterator

import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import inside

from . import idr
from .base import Archive, Count, Field, RejectedItem
from .names import matching
from .plates import unique_rows
from .stacks import tiff_planes

DEPTH = 31  # z planes of a file
STAINS = {"GFP": "protein", "SiR-DNA": "nucleus", "Dy-481XL": "cell outline"}
_ORIGINAL = r"(?P<assay>[^/]+)/(?P<cell>[^/]+)/rawtif/[^/]*_(?P<time>t\d+)\.tiff?"
# Corrections of version 1.0.1 lie in `201807…-ftp/<assay>_raw/`, all images of a cell or none.
_CORRECTED = r"(?P<assay>[^/]+)_raw/(?P<cell>[^/]+)_(?P<time>t\d+)\.tiff?"
Cell = tuple[str, str]


def rows(archive: Archive) -> pd.DataFrame:
    """One row per time point of a cell (`assay`, `cell`, `time`, `gene`): originals, not masks or concentration maps.

    The authors' table (`idr0041-assays.txt`) names files; the archive's own names each image by dataset and name,
    `140411_KIF11_MitoSys1_raw` and `cell0003_R0028_T0001`.
    """
    columns = {
        "dataset": "Dataset Name",
        "name": "Image Name",
        "folder": "Comment [Image File Path]",
        "file": "Image File",
        "kind": "Comment [Image File Type]",
        "gene": "Comment [Gene Symbol]",
    }
    file = idr.find_table(archive, ["experimentA-annotation", "experimentA-assays", "assays"])
    table = idr.read_columns(archive, file, columns, optional=["dataset", "name", "folder", "file"])
    table = table[table["kind"].str.lower() == "original images"].reset_index(drop=True)
    by_file = table["folder"].str.strip("/").str.extract(r"(?P<assay>[^/]+)/(?P<cell>[^/]+)/[^/]+$")
    by_name = table["name"].str.extract(r"^(?P<cell>.+)_T\d+$")
    assay = by_file["assay"].fillna(table["dataset"].str.removesuffix("_raw"))
    cell = by_file["cell"].fillna(by_name["cell"])
    time = table["file"].where(table["file"] != "", table["name"]).str.extract(r"_(T\d+)(?:\.tiff?)?$")[0]
    if len(open_rows := table[cell.isna() | time.isna() | (assay == "")]):
        raise InputError(
            f"idr0041: {file} has {len(open_rows)} images without assay, cell or time point, such as "
            f"{'/'.join(open_rows.iloc[0])}: either {columns['folder']} and {columns['file']} or {columns['dataset']} "
            f"and {columns['name']} tell them"
        )
    return pd.DataFrame({"assay": assay, "cell": cell, "time": time, "gene": table["gene"]})


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """A file is a z-stack of three channels; its middle plane stands for it."""
    files, replaced = _files(archive)
    for assay, cell, time, gene in unique_rows(rows(archive), ["assay", "cell", "time"]).itertuples(index=False):
        key = f"{assay}/{cell}/{time}"
        path = files.get((assay.lower(), cell.lower()), {}).get(time.lower())
        if path is None:
            yield RejectedItem(key, "no_image_file", f"mitotic_cell_atlas/{assay}/{cell}/rawtif/*_{time}.tif")
            continue
        planes = tiff_planes(inside(archive.root, path))
        middle = (planes // len(STAINS) if planes >= len(STAINS) else DEPTH) // 2
        yield Field(
            key=key,
            files=(path,) * len(STAINS),
            channels=tuple(STAINS.values()),
            pages=[middle * len(STAINS) + channel for channel in range(len(STAINS))],
            cell_type="hela",
            cell_visible="nucleus",
            gene=gene or None,
            plate=assay,
            site=cell,  # its time points belong together
        )
    yield from replaced


def _files(archive: Archive) -> tuple[dict[Cell, dict[str, str]], list[RejectedItem]]:
    """Files by cell and time point, and those that are not used: of corrected cells the originals.

    Corrections that are not as many as the originals of their cell are incomplete, and left out instead.
    """
    originals, corrected = (_by_cell(archive, pattern) for pattern in (_ORIGINAL, _CORRECTED))
    replaced = []
    for cell, files in corrected.items():
        original = originals.get(cell, files)
        unused, version = (original, "corrected") if len(files) == len(original) else (files, "original")
        if version == "corrected":
            originals[cell] = files
        if original is not files:
            detail = f"the {version} images of this cell are used"
            replaced += [RejectedItem(file, "other_version", detail) for file in unused.values()]
    return originals, replaced


def _by_cell(archive: Archive, pattern: str) -> dict[Cell, dict[str, str]]:
    cells: dict[Cell, dict[str, str]] = {}
    for file, name in matching(archive, pattern):
        cells.setdefault((name["assay"], name["cell"]), {}).setdefault(name["time"], file)
    return cells


SOURCE = idr.study(
    dir_name="idr0041",
    name="Mitotic Atlas",
    link=idr.LINK + "project-404",
    licence="cc-by-4.0",
    citation="Cai et al. 2018, doi:10.1038/s41586-018-0518-z; data doi:10.17867/10000112",
    organism="human",
    microscopy="confocal",
    stains=STAINS,
    scan=scan,
    download=(
        "Fetch idr0041-experimentA-annotation.csv (or idr0041-assays.txt) and "
        "mitotic_cell_atlas/<assay>/<cell>/rawtif/ of project 404."
    ),
    disk_gb=250.0,
    ignore=r".*(masktif|conctif|calibration|_mask/|_conc/).*",
    rows_differ_in="time point",
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
