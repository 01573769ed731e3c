"""The samplesheet of nf-core/cellpainting: a row per file, with channel, path, source, batch, plate, well and site."""

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import whole_or_none
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.expand import expand_stacks
from cytoimagenet_hf.images.source import Source, without_suffix
from cytoimagenet_hf.images.tables import ImageTable, names_of, own_name, places
from cytoimagenet_hf.options.source import SourceOptions

_NEEDED = {"channel", "path", "well"}


def matches(source: Source, options: SourceOptions) -> bool:
    """One table with the columns channel, path and well."""
    return set(names_of(source, options)) >= _NEEDED


def find(source: Source, options: SourceOptions) -> Findings:
    """A plane per row."""
    table = ImageTable(source, options)
    if absent := sorted(_NEEDED - set(table.columns)):
        raise InputError(
            f"{table.path} has no column {', '.join(absent)}: a samplesheet has channel, path, plate, well, site"
        )
    placed = places([column for column in table.columns if column not in ("channel", "path")])
    used = {"channel", "path", *placed.values(), "field_id", "plane_id", "row", "col"}
    kept = {column: own_name(column) for column in table.columns if column not in used}
    planes = []
    for line, row, place, facts in table.rows(placed, kept):
        name = str(row["path"])
        path, missing = table.find(name, f"line {line}") if name else (source.root, f"line {line} names no file")
        planes.append(
            FoundPlane(
                PlaneRef(path),
                Channel(str(row["channel"])),
                without_suffix(name) or f"row {line}",
                z=whole_or_none(place.get("z")),
                **facts | {"problem": facts["problem"] or missing},
            )
        )
    planes = expand_stacks(planes, options, named=True)
    return Findings(planes, channels=list(dict.fromkeys(plane.channel for plane in planes)))
