"""Rows of a HuggingFace dataset: a built folder (`data/*.parquet`), or `hf:NAME[:SPLIT]`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.options import Options
from cytoimagenet_hf.images.remote import is_address
from cytoimagenet_hf.images.source import Source
from cytoimagenet_hf.images.stores.dataset import PLANES, load

ID_COLUMNS = ("id", "image_id", "idx")
_PLACE = ("plate", "well", "site")


def matches(source: Source, options: Options) -> bool:
    """A name with `hf:`, or a folder that has `data/*.parquet`."""
    return (source.text.startswith("hf:") and not is_address(source.text)) or any(
        name.startswith("data/") and name.endswith(".parquet") for name in source.files
    )


def find(source: Source, options: Options) -> Findings:
    """An image per row, with plate, well, site and `Metadata_*` columns where the dataset has them.

    With `planes` as the column of images, a row is an image of several channels, named by its `stains`.

    Raises:
        InputError: no such dataset, split or column.
    """
    name, _, split = source.text.removeprefix("hf:").partition(":")
    splits = load(name, options.image_column)
    if split and split not in splits:
        raise InputError(f"{name} has no split {split!r}: it has {', '.join(splits)}")
    chosen = [split] if split else list(splits)
    planes = [plane for part in chosen for plane in _rows(name, part, splits[part], options)]
    return Findings(planes)


def _rows(name: str, split: str, rows: Any, options: Options) -> list[FoundPlane]:
    columns = rows.column_names
    ids = rows[id_column(columns, options.id_column, name)]
    image = options.image_column
    if image not in columns:
        raise InputError(f"{name} has no column {image!r}: it has {', '.join(columns)}")
    wanted = [column for column in columns if column in _PLACE or column.startswith("Metadata_")]
    known = rows.select_columns(wanted)[:] if wanted else {}
    stains = rows["stains"][:] if image == PLANES else None
    path = Path(name)
    planes = []
    for row, given in enumerate(ids):
        metadata = {column.removeprefix("Metadata_"): known[column][row] for column in wanted}
        channels = [Channel("1")] if stains is None else [Channel(stain) for stain in stains[row]]
        planes += [
            FoundPlane(
                PlaneRef(
                    path, kind="dataset", place=(split, image, row) if stains is None else (split, image, row, n)
                ),
                channel,
                str(given),
                id="" if given is None else str(given),
                row=f"{split}:{row}",
                metadata={column: value for column, value in metadata.items() if value not in (None, "")},
                problem="" if given not in (None, "") else f"row {row} of split {split} has no id",
            )
            for n, channel in enumerate(channels)
        ]
    return planes


def id_column(columns: Sequence[str], wanted: str | None, where: str) -> str:
    """The column of ids: the one asked for, or the first of `id`, `image_id` and `idx`.

    Raises:
        InputError: there is none.
    """
    for name in [wanted] if wanted else ID_COLUMNS:
        if name in columns:
            return name
    raise InputError(f"{where} has no column {wanted or ' or '.join(ID_COLUMNS)}: name the column of ids (id_column)")
