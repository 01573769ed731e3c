"""BBBC051: nuclei of the human kidney cortex in 3D, the middle slice of each stack is a field."""

import re

from .base import Count, Field
from .bbbc import broad, download, link
from .names import by_name

MIDDLE = 3  # of 7 slices, counted from 0; the published reader took what came first


def _field(file: str, name: re.Match[str]) -> Field:
    return Field(
        key=f"{name['folder']}/{name['object']}",
        files=[file],
        channels=["nucleus"],
        cell_type=name["folder"],  # the vocabulary knows what the folders stand for
        cell_visible="nucleus",
        pages=[MIDDLE],
        site=name["object"],
    )


SOURCE = broad(
    dir_name="bbbc051",
    name="Human kidney cortex cells",
    link=link("BBBC051"),
    licence="unverified",
    citation="Woloshuk et al. 2021, doi:10.1002/cyto.a.24274",
    organism="human",
    microscopy="confocal",
    stains={"": "nucleus"},
    scan=by_name(
        r"(?P<folder>cd_cnt|dct|cd31(?:int|glom)|cd45\.[012]|nestin|s1s2|s2s3|tal)/all_3d/"
        r"object_(?P<object>\d+_\d+__\d+__\d+)_1\.tiff?",
        _field,
    ),
    kind="folders",
    download=download("BBBC051", "Images.zip", into="<class>/All_3D/object_*.tif"),
    disk_gb=4.0,
    expected=(Count("fields", 230_000, "reference"), Count("cell_type", 7, "table")),
    notes="Stacks of 7 slices; the middle one is read. The published table holds a sample of 800 files per cell type.",
)
