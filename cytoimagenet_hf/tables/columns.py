"""What the columns of a feature table are called: here, on disk, and in tables of other tools.

On disk `plate`, `well` and `site` are `Metadata_Plate`, `Metadata_Well` and `Metadata_Site`, every other fact is
`Metadata_<name>`, and a feature is `Image_<stain>_<model>_<place>`: pycytominer, copairs and CytoTable infer both.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from .vocabulary import columns_of, key_of, plain_name, read_header

ID_COLUMNS = ("id", "image_id", "idx")
"""Columns of a table or dataset that are taken for ids of images, the first that is there."""

_KNOWN = {"plate": "Metadata_Plate", "well": "Metadata_Well", "site": "Metadata_Site"}
# In tables without prefixes these may be features: a count of cells, a measurement called z or t.
_MAYBE_FEATURES = ("z", "timepoint", "time", "count")
_LOWER = ("compound", "concentration", "moa", "batch", "treatment")
_BOOKKEEPING = ("tablenumber", "imagenumber", "objectnumber", "replicate", "index")
_FILES = ("unnamed", "image_filename", "image_pathname", "filename_", "pathname_", "url_", "image_url")


def column_of(name: str) -> str:
    """The column of a fact on disk.

    Example:
        >>> column_of("well"), column_of("compound")
        ('Metadata_Well', 'Metadata_compound')
    """
    return _KNOWN.get(name, f"Metadata_{name}")


def fact_of(column: str) -> str | None:
    """What a column that is no feature tells; None for a feature.

    Example:
        >>> fact_of("Image_Metadata_Plate_DAPI"), fact_of("Metadata_Compound"), fact_of("Dose [µM]")
        ('plate', 'Compound', 'Dose [µM]')
        >>> fact_of("Cells_Texture") is None
        True
    """
    plain, lower = plain_name(column), column.lower()
    if plain != column:
        # BBBC021 repeats the plate and the well with the channel they were read from.
        place = plain.lower().removesuffix("_dapi")
        return place if place in _KNOWN else plain
    if lower in _KNOWN or lower in _LOWER or lower == "id" or lower in _BOOKKEEPING or lower.startswith(_FILES):
        return lower
    term = read_header(column).term
    return column.strip() if term and term not in _MAYBE_FEATURES and len(key_of(column)) > 1 else None


def facts_of(columns: Iterable[str]) -> dict[str, str]:
    """What the columns of a table tell that are not features: column → fact.

    The plate, the well and the site are called so whatever the table calls them, the likeliest name first; where that
    name occurs twice, both columns get it.

    Example:
        >>> facts_of(["Metadata_Assay_Plate_Barcode", "Metadata_well_position", "Metadata_MOA", "Cells_Area"])
        {'Metadata_Assay_Plate_Barcode': 'plate', 'Metadata_well_position': 'well', 'Metadata_MOA': 'MOA'}
    """
    facts = {column: fact for column in columns if (fact := fact_of(column)) is not None}
    for term, header in columns_of(facts, tuple(_KNOWN)).items():
        if term not in facts.values():
            facts[header.text] = term
    return facts


def feature_names(blocks: Sequence[str], width: int, *, model: str) -> tuple[str, ...]:
    """A name per feature of `width` in all, of vectors that hold one block of equal length per stain.

    The last part of the model's name, short and plain, becomes part of the names.

    Example:
        >>> feature_names(["DNA", "ER"], 4, model="runs/b0/model")
        ('Image_dna_b0-model_0000', 'Image_dna_b0-model_0001', 'Image_er_b0-model_0000', 'Image_er_b0-model_0001')
    """
    each = width // len(blocks)
    short = _plain(short_name(model))
    return tuple(f"Image_{_plain(block)}_{short}_{place:04d}" for block in blocks for place in range(each))


def short_name(model: str) -> str:
    """What a model is called in tables: the last part of its path or name, with the folder before `model` or `best`.

    Example:
        >>> short_name("runs/b0/model"), short_name("timm/resnet18"), short_name("nets/efficientnet.h5")
        ('b0/model', 'resnet18', 'efficientnet')
    """
    folder, _, last = model.rstrip("/").replace("\\", "/").rpartition("/")
    if last in ("model", "best", "last") and folder:
        return f"{folder.rpartition('/')[2]}/{last}"  # runs/b0/model says more than model
    return re.sub(r"\.(h5|hdf5|keras)$", "", last)


def pack_names(names: Sequence[str]) -> list[list[str | int]]:
    """Names as runs that count up, `[prefix, length]`, so that 5,120 of them are five; others as runs of length 0.

    Example:
        >>> pack_names(["Image_dna_b0_0000", "Image_dna_b0_0001", "Area"])
        [['Image_dna_b0', 2], ['Area', 0]]
    """
    packed: list[list[str | int]] = []
    for prefix, run in groupby(names, key=lambda name: name.rpartition("_")[0]):
        members = list(run)
        counted = prefix and members == _counted(prefix, len(members))
        packed += [[prefix, len(members)]] if counted else [[name, 0] for name in members]
    return packed


def unpack_names(packed: Iterable[Sequence[str | int]]) -> tuple[str, ...]:
    """The names of `pack_names`.

    Example:
        >>> unpack_names([["Image_dna_b0", 2], ["Area", 0]])
        ('Image_dna_b0_0000', 'Image_dna_b0_0001', 'Area')
    """
    return tuple(
        name for text, length in packed for name in (_counted(str(text), int(length)) if int(length) else [str(text)])
    )


def _counted(prefix: str, length: int) -> list[str]:
    return [f"{prefix}_{place:04d}" for place in range(length)]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
