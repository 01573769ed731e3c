"""kag_hpa: the 2018 image challenge of the Human Protein Atlas, one row per colour."""

from collections.abc import Iterator

from . import hpa
from .base import Archive, Count, Field, RejectedItem

CLASSES = (
    *("nucleoplasm", "nuclear membrane", "nucleoli", "nucleoli fibrillary center", "nuclear speckles"),
    *("nuclear bodies", "endoplasmic reticulum", "golgi apparatus", "peroxisomes", "endosomes", "lysosomes"),
    *("intermediate filaments", "actin filaments", "focal adhesion sites", "microtubules", "microtubule ends"),
    *("cytokinetic bridge", "mitotic spindle", "microtubule organizing center", "centrosome", "lipid droplets"),
    *("plasma membrane", "cell junctions", "mitochondria", "aggresome", "cytosol", "cytoplasmic bodies"),
    "rods & rings",
)


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Targets are class numbers, separated by blanks. All of them are kept."""
    yield from hpa.rows(archive, read_labels(archive), cell_type=None)


def read_labels(archive: Archive) -> dict[str, tuple[str, ...]]:
    """Id → names of its classes; see `hpa.read_labels`."""
    return hpa.read_labels(
        archive, ("Id", "Target"), lambda cell: tuple(CLASSES[int(number)] for number in cell.split()), "0 to 27"
    )


SOURCE = hpa.competition(
    dir_name="kag_hpa",
    name="Human Protein Atlas Image Classification",
    link="https://www.kaggle.com/c/human-protein-atlas-image-classification/data",
    citation="Ouyang et al. 2019, doi:10.1038/s41592-019-0658-6",
    scan=scan,
    download=(
        "Run `kaggle competitions download -c human-protein-atlas-image-classification`; "
        "unpack to train/<Id>_<colour>.png, test/<Id>_<colour>.png and train.csv."
    ),
    disk_gb=32.0,
    expected=(Count("fields", 171_096, "reference"), Count("labelled ids", 31_072, "table")),
    notes="The table does not give the cell line: cell_type is unknown. Images of the atlas are CC BY-SA (inferred).",
)
