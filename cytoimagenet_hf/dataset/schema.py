"""Columns of the annotation table and of the dataset: names, types, categories and subsets (paper §2, README).

Text is lower case; values that hold together are joined by `|`, values of which one holds by `/`; unknown is null,
never "none" or "nan".
"""

from collections.abc import Sequence

import pyarrow as pa
from datasets import ClassLabel, Features, Image, Value

CATEGORIES = ("organism", "cell_type", "cell_visible", "phenotype", "compound", "gene", "sirna")
"""The seven label columns: a weak label is one value of one of them."""

ANNOTATION_SCHEMA = pa.schema(
    [
        ("idx", pa.string()),  # <dir_name>-<hash of the natural key>
        ("database", pa.string()),
        ("name", pa.string()),
        ("dir_name", pa.string()),
        ("path", pa.string()),  # folder of the first channel file, relative to --raw
        ("filename", pa.string()),  # name of the first channel file
        *[(category, pa.string()) for category in CATEGORIES],
        ("microscopy", pa.string()),
        ("channels", pa.list_(pa.string())),  # one stain per channel file, in stain order
        ("channel_files", pa.list_(pa.string())),  # relative to --raw, same order
        ("channel_pages", pa.list_(pa.int32())),  # page (or z plane) of each file; null: a single-plane file
        ("region", pa.list_(pa.int32())),  # x_min, x_max, y_min, y_max of a box in the file; null: all of it
        ("plate", pa.string()),
        ("well", pa.string()),  # letter(s) and two digits: B02
        ("site", pa.string()),
        ("field", pa.string()),  # the physical field: rows that show the same cells share it
        ("donor", pa.string()),
        ("control", pa.string()),  # "negative", "positive", "untreated" or null
        ("licence", pa.string()),
        ("uncertain", pa.string()),  # label columns whose cell lists what may be there, joined by "|"
        ("published", pa.string()),  # label columns that the published table filled otherwise: name=value, by "; "
    ]
)
"""One row per field of view; written by `annotate`, key `idx`."""

SELECTION_SCHEMA = pa.schema([("idx", pa.string()), ("label", pa.string()), ("category", pa.string())])
"""One row per field chosen for a label; written by `select`, key `idx`."""

REJECTION_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("idx", "image_id", "dir_name", "stage", "reason", "detail")]
)
"""One row per field or image left out, at any stage."""

_TEXT = (
    *("database", "name", "dir_name", "path", "filename", "idx"),
    *("organism", "cell_type", "cell_visible", "phenotype", "compound", "sirna", "gene", "microscopy"),
)
_OWN_TEXT = ("channels", "channels_missing", "licence", "plate", "well", "site", "field", "sha256")


def dataset_features(labels: Sequence[str]) -> Features:
    """Features of the published dataset, in column order.

    Args:
        labels: class names in the order of their codes.

    Example:
        >>> dataset_features(["actin", "yeast"])["label"].names
        ['actin', 'yeast']
    """
    columns: dict[str, object] = {
        "image": Image(mode="L"),
        "label": ClassLabel(names=list(labels)),
        "category": Value("string"),
    }
    columns |= {name: Value("string") for name in _TEXT}
    columns |= {"crop": Value("bool"), "scaling": Value("float32")}
    columns |= {name: Value("int32") for name in ("x_min", "x_max", "y_min", "y_max")}
    columns |= {"image_id": Value("string")}
    columns |= {name: Value("string") for name in _OWN_TEXT}
    columns |= {name: Value("int32") for name in ("width", "height")}
    return Features(columns)


SUBSETS: dict[str, tuple[str, ...]] = {
    name: tuple(label.strip() for label in labels.split("|"))
    for name, labels in {
        "toy_20": """
            actin | cell body | cell membrane | dmso | human | kinase | microtubules | mitochondria | nucleus |
            rho associated kinase inhibitor | rna | rna synthesis inhibitor | s35651 | tamoxifen |
            tankyrase inhibitor | trophozoite | u2os | uv inactivated sars-cov-2 | vamp5 targeted | yeast
        """,
        "toy_50": """
            104-001 | actin | actin inhibitor | active sars-cov-2 | activin-a | alpha-adrenergic receptor agonist |
            angiopoietin-1 | atp-sensitive potassium channel blocker | balf | bmp-2 | calr-kdel | cell body |
            cell membrane | cell junctions | centrosome | chr2 targeted | clarithromycin | coco |
            cyclooxygenase inhibitor | dmso | dna synthesis inhibitor | dydrogesterone | erbb family inhibitor |
            estrogen receptor antagonist | ezh2 targeted | fluorometholone | glycosylase inhibitor |
            heat shock protein inhibitor | human | ifn-gamma | kinase | microtubules | mitochondria | mitotic spindle |
            nachr antagonist | nucleus | pcna | rho associated kinase inhibitor | rna | rna synthesis inhibitor |
            s35651 | siglec-1 | tamoxifen | tankyrase inhibitor | topoisomerase inhibitor | trophozoite | u2os |
            vamp5 targeted | voltage-gated potassium channel blocker | yeast
        """,
    }.items()
}
"""Subsets of labels the author worked with (project README)."""

FOLDERS = ("data", "channels", *SUBSETS)
"""The folders of a dataset that may hold Parquet files: gray images, planes, and subsets with their own classes."""
