"""Tables of one's own, a row per image with an id and columns of files, and nf-core's samplesheet, a row per file."""

from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import whole_or_none
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.containers import expand_stacks
from cytoimagenet_hf.images.source import Source, without_suffix
from cytoimagenet_hf.images.tables import ImageTable, id_column, is_metadata, is_table, names_of, own_name, places
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.tables.columns import ID_COLUMNS
from cytoimagenet_hf.tables.vocabulary import read_header

_NEEDED = {"channel", "path", "well"}


def matches(source: Source, options: SourceOptions) -> bool:
    """One file with the ending of a table."""
    return is_table(source)


def find(source: Source, options: SourceOptions) -> Findings:
    """Files by columns (`--channels dna,actin`), or by `path`, several files of one image joined by `|`."""
    table = ImageTable(source, options)
    columns, wanted = table.columns, options.channels or ("path",)
    for column in wanted:
        if column not in columns:
            raise InputError(f"{table.path} has no column {column!r}: it has {', '.join(columns)}")
    placed = places([column for column in columns if column not in wanted])
    named = ""
    if options.id_column or "well" not in placed or any(name in columns for name in ID_COLUMNS):
        named = id_column(columns, options.id_column, str(table.path))
    others = [column for column in columns if column not in {*wanted, named, *placed.values()}]
    kept = {column: own_name(column) for column in others if is_metadata(column) or read_header(column).term}
    planes: list[FoundPlane] = []
    for line, row, _, facts in table.rows(placed, kept):
        given = str(row[named]) if named else ""
        if named and not given:
            raise InputError(f"{table.path}: row {line} has no {named}")
        for channel, name in _files([str(row[column]) for column in wanted], wanted):
            path, missing = Path(), f"row {line} names no file for {channel.name}"
            if name:
                path, missing = table.find(name, f"row {line}")
            planes.append(
                FoundPlane(
                    PlaneRef(path),
                    channel,
                    given or without_suffix(name),
                    row=str(line),
                    id=given,
                    **facts | {"problem": facts["problem"] or missing},
                )
            )
    several = len({plane.channel for plane in planes}) > 1
    planes = expand_stacks(planes, options, named=several)
    unread = [column for column in others if column not in kept]
    notes = [f"columns that were not used: {', '.join(unread)}; Metadata_ in front keeps one"] if unread else []
    channels = list(dict.fromkeys(plane.channel for plane in planes if plane.channel.key))
    return Findings(planes, channels=channels, notes=notes)


def _files(cells: list[str], columns: tuple[str, ...]) -> list[tuple[Channel, str]]:
    """Channels and files of one row: a column is a channel, or numbered where its cells hold several files."""
    if len(columns) > 1:
        return [(Channel(column), cell) for column, cell in zip(columns, cells, strict=True)]
    return [(Channel(str(number)), name) for number, name in enumerate(cells[0].split("|"), 1)]


def is_samplesheet(source: Source, options: SourceOptions) -> bool:
    """One table with the columns channel, path and well."""
    return set(names_of(source, options)) >= _NEEDED


def read_samplesheet(source: Source, options: SourceOptions) -> Findings:
    """The samplesheet of nf-core/cellpainting: a plane per row, with channel, path, batch, plate, well and site."""
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
