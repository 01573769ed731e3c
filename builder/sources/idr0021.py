"""idr0021: pericentriolar proteins at super-resolution, centrosomes of HeLa cells (Lawo et al. 2012)."""

from collections.abc import Iterator

import pandas as pd

from cytoimagenet_hf.core.files import inside

from . import idr
from .base import Archive, Count, Field, RejectedItem
from .plates import unique_rows
from .stacks import deltavision_pages


def rows(archive: Archive) -> pd.DataFrame:
    """One row per image: its dataset, its name and how many channels it has."""
    columns = {"dataset": "Dataset Name", "image": "Image Name", "channels": "Channels"}
    file = idr.find_table(archive, ["experimentA-annotation", "experimentA-assays"])
    table = idr.read_columns(archive, file, columns)
    return table.assign(channels=table["channels"].str.count(";") + 1)


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Images lie in folders below the one of their dataset; the channels of a file are its planes."""
    table = unique_rows(rows(archive), ["dataset", "image"])
    for dataset, image, channels in zip(*(table[name].tolist() for name in table), strict=True):
        below = f"/{dataset.lower()}/"
        paths = [name for name in archive.by_name.get(image.lower(), ()) if below in "/" + name.lower()]
        if len(paths) != 1:
            reason = "ambiguous_file" if paths else "no_image_file"
            yield RejectedItem(f"{dataset}/{image}", reason, ", ".join(paths))
            continue
        pages = deltavision_pages(inside(archive.root, paths[0]), channels)
        yield Field(
            key=f"{dataset}/{image}",
            files=paths * len(pages),
            channels=("centrosome",) * len(pages),
            pages=pages,
            cell_type="hela",
            cell_visible="centrosome",
            plate=dataset,
        )


SOURCE = idr.study(
    dir_name="idr0021",
    name="Pericentriolar Material",
    link=idr.LINK + "project-51",
    licence="cc-by-4.0",
    citation="Lawo et al. 2012, doi:10.1038/ncb2591",
    organism="human",
    microscopy="super_resolution",
    stains={"442": "centrosome", "525": "centrosome", "615": "centrosome"},
    scan=scan,
    download="Fetch idr0021-experimentA-annotation.csv and Raw-files/<dataset>/ of project 51.",
    disk_gb=0.2,
    expected=(Count("fields", 414, "table"), Count("datasets", 10, "table")),
    notes="Two or three channels a file, all centrosomal. The protein is what antibodies bind: no gene label.",
)
