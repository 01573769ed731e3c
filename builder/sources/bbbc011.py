"""BBBC011: C. elegans stained with oil red O, wild type or fat, one RGB file a field."""

import re

from .base import Count, Field, RejectedItem
from .bbbc import broad, download, link
from .names import by_name

# daf-2 is the insulin receptor whose silencing makes the worms fat.
PHENOTYPES = {"wt": "wildtype", "wildtype": "wildtype", "fat": "fat", "daf": "fat", "daf2": "fat"}


def _field(file: str, name: re.Match[str]) -> Field | RejectedItem:
    phenotypes = {PHENOTYPES[token] for token in re.split(r"[^a-z0-9]+", name["path"]) if token in PHENOTYPES}
    if len(phenotypes) != 1:
        return RejectedItem(file, "unknown_phenotype", "the name has neither wt nor fat nor daf, or several of them")
    return Field(key=name["path"], files=[file], channels=["brightfield"], phenotype=phenotypes.pop())


SOURCE = broad(
    dir_name="bbbc011",
    name="C. elegans metabolism assay",
    link=link("BBBC011"),
    licence="unverified",
    citation="Waehlby et al. 2012, doi:10.1038/nmeth.1984",
    organism="nematode",
    microscopy="brightfield",
    stains={"": "brightfield"},
    scan=by_name(r"(?P<path>(?:(?:wt|wildtype|fat|daf)[^/]*/)?[^/]+)\.(?:png|tiff?)", _field),
    kind="file names",
    download=download("BBBC011", "BBBC011_v1_images.zip", into="*.png"),
    disk_gb=0.1,
    ignore=r"foreground|ground_?truth",
    expected=(
        Count("fields", 50, "reference"),
        Count("phenotype=wildtype", 25, "inferred"),
        Count("phenotype=fat", 25, "inferred"),
    ),
    notes="Only two file names are documented (WT_orig.png, fat_orig.png); other names are recorded as rejected.",
)
