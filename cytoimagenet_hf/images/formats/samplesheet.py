"""The samplesheet of nf-core/cellpainting: a row per file, with channel, path, source, batch, plate, well and site."""

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import whole_or_none
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.expand import expand_if_stacks
from cytoimagenet_hf.images.source import Source, without_suffix
from cytoimagenet_hf.images.tables import (
    TableFiles,
    metadata_of,
    names_of,
    own_name,
    place_facts,
    place_of,
    places,
    rows_of,
    table_of,
)
from cytoimagenet_hf.options.source import SourceOptions

_NEEDED = {"channel", "path", "well"}


def matches(source: Source, options: SourceOptions) -> bool:
    """One table with the columns channel, path and well."""
    return set(names_of(source, options)) >= _NEEDED


def find(source: Source, options: SourceOptions) -> Findings:
    """A plane per row.

    Raises:
        InputError: a column is absent, or a file lies outside the root.
    """
    table = table_of(source)
    rows = rows_of(table, options)
    columns = [str(column) for column in rows.columns]
    if absent := sorted(_NEEDED - set(columns)):
        raise InputError(
            f"{table} has no column {', '.join(absent)}: a samplesheet has channel, path, plate, well, site"
        )
    placed = places([column for column in columns if column not in ("channel", "path")])
    used = {"channel", "path", *placed.values(), "field_id", "plane_id", "row", "col"}
    kept = {column: own_name(column) for column in columns if column not in used}
    files = TableFiles(options.root or table.parent, options.storage)
    planes = []
    for number, row in enumerate(rows.to_dict("records"), 2):
        place, problem = place_of(row, placed)
        name = str(row["path"])
        path, missing = files.find(name, f"line {number}") if name else (source.root, f"line {number} names no file")
        planes.append(
            FoundPlane(
                PlaneRef(path),
                Channel(str(row["channel"])),
                without_suffix(name) or f"row {number}",
                z=whole_or_none(place.get("z")),
                metadata=metadata_of(row, kept),
                problem=problem or missing,
                **place_facts(place),
            )
        )
    planes = expand_if_stacks(planes, options)
    return Findings(planes, channels=list(dict.fromkeys(plane.channel for plane in planes)))
