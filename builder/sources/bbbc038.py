"""BBBC038: nuclei of the 2018 Data Science Bowl, many organisms and stains, one file a field."""

import re

from .base import Count, Field
from .bbbc import broad, download, link
from .names import by_name


def _field(file: str, name: re.Match[str]) -> Field:
    return Field(
        key=name["id"],
        files=[file],
        channels=["nucleus"],
        organism=("human", "mouse", "fly"),
        cell_visible="nucleus",
    )


SOURCE = broad(
    dir_name="bbbc038",
    name="Kaggle 2018 Data Science Bowl",
    link=link("BBBC038"),
    licence="cc0",
    citation="Caicedo et al. 2019, doi:10.1038/s41592-019-0612-7",
    organism="human|mouse|fly",
    microscopy="brightfield/fluorescence",  # either, unknown per image
    stains={"": "nucleus"},
    scan=by_name(r"(?P<id>[0-9a-f]{32,})/images/(?P=id)\.png", _field),
    kind="folders",
    download=download(
        "BBBC038",
        *("stage1_train.zip", "stage1_test.zip", "stage2_test_final.zip"),
        into="stage1_train/<ImageId>/images/<ImageId>.png and so on",
    ),
    disk_gb=1.5,
    ignore=r"(^|/)masks/",
    uncertain=("organism",),
    expected=(Count("fields", 3_754, "reference"),),
    notes=(
        "Which organism an image shows is not stated. Masks are left out; the published rows held 29,461 of them. "
        "Decoys of stage 2 are kept, as published."
    ),
)
