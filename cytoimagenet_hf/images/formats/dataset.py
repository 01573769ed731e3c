"""Rows of a HuggingFace dataset: a built folder (`data/*.parquet`), or
`hf:NAME[:CONFIGURATION][:SPLIT][@REVISION]`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.remote import is_address
from cytoimagenet_hf.images.source import Source
from cytoimagenet_hf.images.stores.dataset import PLANES, load, plane_counts
from cytoimagenet_hf.options.source import SourceOptions

_PLACE = ("plate", "well", "site")


def matches(source: Source, options: SourceOptions) -> bool:
    """A name with `hf:`, or a folder that has `data/*.parquet`."""
    return (source.text.startswith("hf:") and not is_address(source.text)) or any(
        name.startswith("data/") and name.endswith(".parquet") for name in source.files
    )


def find(source: Source, options: SourceOptions) -> Findings:
    """An image per row, with plate, well, site, the label and `Metadata_*` columns where the dataset has them.

    With `planes` as the column of images, a row is an image of several channels, named by its `stains`; channels of
    other rows with several images go by number. Rows of a dataset without ids are known by split and place.
    """
    # Brings the datasets library, which few sources need.
    from cytoimagenet_hf.dataset import images

    name = images.parse_name(source.text)
    rows_of_all = name.rows_of_all
    splits = load(rows_of_all, options.image_column or "image")
    if name.split and name.split not in splits:
        raise InputError(f"{name.path} has no split {name.split!r}: it has {', '.join(splits)}")
    planes: list[FoundPlane] = []
    for split in [name.split] if name.split else list(splits):
        rows = splits[split]
        if not len(rows):
            raise InputError(f"{name.path}: split {split} is empty")
        image = images.find_image_column(rows.features, options.image_column, name.path)
        label = images.find_label_column(rows.features, options.label_column, name.path, required=False)
        column = images.find_id_column(rows.column_names, options.id_column, name.path)
        ids = [images.row_id(split, row) for row in range(len(rows))] if column is None else rows[column]
        planes += _rows(rows_of_all, split, rows, ids, image, label)
    return Findings(planes)


def _rows(name: str, split: str, rows: Any, ids: Sequence[Any], image: str, label: str | None) -> list[FoundPlane]:
    wanted = [column for column in rows.column_names if column in _PLACE or column.startswith("Metadata_")]
    metadata = rows.select_columns(wanted)[:] if wanted else {}
    if label is not None and "label" not in wanted:
        wanted.append("label")
        names, codes = getattr(rows.features[label], "names", None), rows[label]
        metadata["label"] = [_class_name(code, names) for code in codes]
    stains = rows["stains"][:] if image == PLANES else None
    counts = plane_counts(rows, image) if stains is None else None
    path = Path(name)
    planes = []
    for row, given in enumerate(ids):
        of_row = {column.removeprefix("Metadata_"): metadata[column][row] for column in wanted}
        if stains is not None:
            channels = [Channel(stain) for stain in stains[row]]
        else:
            channels = [Channel(str(n + 1)) for n in range(1 if counts is None else counts[row])]
        is_list = stains is not None or counts is not None
        planes += [
            FoundPlane(
                PlaneRef(path, kind="dataset", place=(split, image, row, n) if is_list else (split, image, row)),
                channel,
                str(given),
                id="" if given is None else str(given),
                row=f"{split}:{row}",
                metadata={column: value for column, value in of_row.items() if value not in (None, "")},
                problem="" if given not in (None, "") else f"row {row} of split {split} has no id",
            )
            for n, channel in enumerate(channels)
        ]
    return planes


def _class_name(code: Any, names: Sequence[str] | None) -> str | None:
    """A class as text; None where a row has none, which some sets write as -1."""
    if code is None or names is None:
        return None if code is None else str(code)
    return names[code] if 0 <= code < len(names) else None
