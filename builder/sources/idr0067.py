"""idr0067: budding yeast in meiosis, live, fixed and brightfield (King et al. 2019)."""

import re
from collections.abc import Iterator

import pandas as pd

from cytoimagenet_hf.core.files import inside

from . import idr
from .base import Archive, Count, Field, RejectedItem
from .plates import unique_rows
from .stacks import deltavision_pages, tiff_planes

# What processing adds to the name of a field: raw, deconvolved, projected and reference images share the rest.
# Five projections are spelled `…D3Dzproj` or `…zporj`.
_VERSION = re.compile(r"MAX_|_?zp(?:ro|or)j|_R3D|_D3D|_REF|\.(dv|tiff?)$", re.IGNORECASE)


def rows(archive: Archive) -> pd.DataFrame:
    """One row per image, those of electron microscopy marked in `left_out`."""
    columns = {
        "dataset": "Dataset Name",
        "image": "Image Name",
        "folder": "Comment [Image File Path]",
        "file_type": "Comment [Image File Type]",
        "imaging": "Experimental Condition [Imaging Type]",
        "cell_type": "Characteristics [Strain]",
        "protein": "Comment [Protein] 1",
        "channels": "Channels",
    }
    table = idr.annotation(archive, columns, screen="experimentA", kinds=["annotation"])
    # Electron micrographs have no channels.
    electron = (table["channels"] == "") | table["imaging"].str.lower().str.contains("electron")
    return table.assign(left_out=electron.map({True: "electron_microscopy", False: ""}))


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Images are joined by dataset and name; reference images are brightfield rows of their own."""
    for row in unique_rows(rows(archive), ["dataset", "image"]).to_dict("records"):
        key = f"{row['dataset']}/{row['image']}"
        file = _find(archive, row["folder"], row["image"])
        if row["left_out"] or file is None:
            yield RejectedItem(file or key, row["left_out"] or "no_image_file", key if file else "")
            continue
        brightfield = row["file_type"].lower() == "reference" or row["channels"].lower().startswith("bright")
        stains = ("brightfield",) if brightfield else _stains(row["channels"])
        path = inside(archive.root, file)
        if path.suffix.lower() == ".dv":
            pages = deltavision_pages(path, len(stains))
        else:
            pages = tuple(range(min(len(stains), tiff_planes(path))))
        yield Field(
            key=key,
            files=(file,) * len(pages),
            channels=stains[: len(pages)],
            pages=pages,
            cell_type=row["cell_type"],
            cell_visible="cell body" if brightfield else row["protein"] or None,
            microscopy="brightfield" if brightfield else "fluorescence",
            plate=row["dataset"],
            site=_VERSION.sub("", row["image"]),
        )


def _find(archive: Archive, folder: str, image: str) -> str | None:
    if path := archive.find(f"{folder.strip('/')}/{image}".lstrip("/"), last=1):
        return path
    same_name = archive.by_name.get(image.lower(), [])
    return same_name[0] if len(same_name) == 1 else None


def _stains(channels: str) -> tuple[str, ...]:
    """Tagged proteins of `FITC = Hsp104-eGFP, mCherry = Htb1-mCherry, DAPI`, in that order; DAPI is the nucleus."""
    tags = [(part.partition("=")[2] or part).strip().lower() for part in channels.split(",")]
    return tuple("nucleus" if tag == "dapi" else tag for tag in tags)


SOURCE = idr.study(
    dir_name="idr0067",
    name="Yeast Meiosis",
    link=idr.LINK + "project-904",
    licence="cc-by-4.0",
    citation="King et al. 2019, doi:10.7554/eLife.47156; data doi:10.17867/10000130",
    organism="yeast",
    microscopy="fluorescence",
    stains={"FITC": "protein", "mCherry": "nucleus", "POL": "brightfield"},
    scan=scan,
    download="Fetch idr0067-experimentA-annotation.csv and the folders <Figure n>/<Figure nX>/ of project 904.",
    disk_gb=30.0,
    rows_differ_in="processing",
    expected=(
        Count("fields", 336, "table"),
        Count("rows of the table", 419, "table"),
        Count("cell_visible=cell body", 84, "table"),
    ),
    notes=(
        "84 fields of four images each: raw, deconvolved, projected and reference share plate and site. Of a stack "
        "the middle plane of the first time point is taken (inferred). Stains are the tagged proteins."
    ),
)
