"""kag_hpa_single: the 2021 single-cell challenge of the Human Protein Atlas, one row per colour."""

from collections.abc import Iterator

from . import hpa
from .base import Archive, Count, Field, RejectedItem

CLASSES = (
    # Fibrillar centres (3) are merged into the nucleoli (2), cytosol (16) into the cell body, as published.
    *("nucleoplasm", "nuclear membrane", "nucleoli", "nucleoli", "nuclear speckles", "nuclear bodies", "er", "golgi"),
    *("intermediate filaments", "actin", "microtubules", "mitotic spindle", "centrosome", "cell membrane"),
    *("mitochondria", "aggresome", "cell body", "vesicles", "none"),
)


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Labels are class numbers, separated by `|`; over-represented ones are dropped beside others."""
    yield from hpa.rows(archive, read_labels(archive), cell_type="u2os")


def read_labels(archive: Archive) -> dict[str, tuple[str, ...]]:
    """Id → names of its classes without the popular ones; see `hpa.read_labels`."""
    return hpa.read_labels(archive, ("ID", "Label"), _names, "0 to 18")


def _names(cell: str) -> tuple[str, ...]:
    return hpa.drop_popular([CLASSES[int(number)] for number in cell.split("|")])


SOURCE = hpa.competition(
    dir_name="kag_hpa_single",
    name="Human Protein Atlas - Single Cell Classification",
    link="https://www.kaggle.com/c/hpa-single-cell-image-classification/data",
    citation="Le et al. 2022, doi:10.1038/s41592-022-01606-z",
    scan=scan,
    download=(
        "Run `kaggle competitions download -c hpa-single-cell-image-classification`; "
        "unpack to train/<ID>_<colour>.png, test/<ID>_<colour>.png and train.csv."
    ),
    disk_gb=160.0,
    expected=(Count("fields", 89_460, "inferred"), Count("labelled ids", 21_806, "table")),
    notes="22,365 ids with the test part, four rows each. Overlaps with kag_hpa.",
)
