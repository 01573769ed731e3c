"""kag_cell_cycle: nematode cells in interphase or mitosis, photographed through a FoldScope, one file a field."""

import re

from .base import Count, Field, Source
from .names import by_name


def _field(file: str, name: re.Match[str]) -> Field:
    return Field(
        key=f"{name['phase']}/{name['stem']}",
        files=[file],
        channels=["light"],
        cell_visible="nucleus",
        phenotype=name["phase"],
        site=name["photo"],
    )


SOURCE = Source(
    dir_name="kag_cell_cycle",
    name="Cell Cycle Experiments",
    database="Kaggle",
    link="https://www.kaggle.com/paultimothymooney/cell-cycle-experiments",
    licence="unverified",
    citation="Mooney, Cell Cycle Experiments, Kaggle",
    organism="nematode",
    microscopy="light",
    stains={"": "light"},
    scan=by_name(r"(?P<phase>interphase|mitosis)/(?P<stem>(?P<photo>img_\d+)[^/]*)\.jpe?g", _field),
    kind="folders",
    download=(
        "Run `kaggle datasets download -d paultimothymooney/cell-cycle-experiments`; "
        "it unpacks to nematode cells/nematode cells/<phase>/*.jpg."
    ),
    disk_gb=0.1,
    rows_differ_in="crop",
    expected=(
        Count("fields", 90, "table"),
        Count("phenotype=interphase", 57, "table"),
        Count("phenotype=mitosis", 33, "table"),
    ),
    notes="Several crops of one photograph share the photo's number, kept as site.",
)
