"""CellProfiler LoadData, also as JUMP and the Cell Painting Gallery write it: a row per image, columns per channel.

Files are `FileName_X` with `PathName_X`, or `URL_X`, each also with `Image_` in front; `Series_X`, `Frame_X`, `C_X`,
`Z_X` and `T_X` choose planes of stacks, counted from 0. `FileName_IllumX` are correction functions, no pictures.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlparse

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.numbers import whole_number
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.containers import one_plane
from cytoimagenet_hf.images.remote import is_address, local_file
from cytoimagenet_hf.images.source import CONTAINERS, Source, suffix_of, without_suffix
from cytoimagenet_hf.images.tables import ImageTable, id_column, is_metadata, names_of, own_name, places
from cytoimagenet_hf.imaging.stacks import describe_stack
from cytoimagenet_hf.options.source import SourceOptions

_FILE = re.compile(r"(?:Image_)?(FileName|URL)_(.+)")
_PLANE = re.compile(
    r"(?:Image_)?(?:FileName|PathName|URL|Series|Frame|C|Z|T|ObjectsFileName|ObjectsPathName|MD5Digest)_.+"
)


def matches(source: Source, options: SourceOptions) -> bool:
    """One table with a column `FileName_X` or `URL_X`."""
    return bool(_stains(names_of(source, options)))


def find(source: Source, options: SourceOptions) -> Findings:
    """An image per row."""
    table = ImageTable(source, options)
    stains = _stains(table.columns)
    if not stains:
        columns = ", ".join(table.columns)
        raise InputError(f"{table.path} has no column FileName_<channel> or URL_<channel>: it has {columns}")
    metadata = [column for column in table.columns if is_metadata(column)]
    others = [
        column
        for column in table.columns
        if column not in metadata and not _PLANE.fullmatch(column) and not column.startswith("Unnamed")
    ]
    named = "" if options.id_column is None else id_column(table.columns, options.id_column, str(table.path))
    placed = places([column for column in (*metadata, *others) if column != named], stains)
    # Without a prefix, a column is metadata only where it says a place or names what was done to the well.
    used = {named, *placed.values()}
    kept = {column: own_name(column) for column in metadata if column not in used}
    numbers = {"TableNumber", "ImageNumber", "Group_Number", "Group_Index"}
    kept |= {
        column: column.removeprefix("Image_")
        for column in others
        if column not in used and column.removeprefix("Image_") not in numbers
    }
    of_stain = {stain: _columns_of(stain, table.columns) for stain in stains}
    planes: list[FoundPlane] = []
    for line, row, _, facts in table.rows(placed, kept):
        given = str(row[named]) if named else ""
        if named and not given:
            raise InputError(f"{table.path}, line {line}: no {named}")
        name = ""
        for stain, columns_of_stain in of_stain.items():
            cells = {fact: str(row[column]) for fact, column in columns_of_stain.items()}
            ref, missing = _plane(table, cells, stain, line)
            # A row is an image, and called after the file of its first channel where no well names it.
            name = name or (without_suffix(ref.path.name) if ref.path.name else "")
            planes.append(
                FoundPlane(
                    ref,
                    Channel(stain),
                    name or f"row {line}",
                    row=str(line),
                    id=given,
                    **facts | {"problem": facts["problem"] or missing},
                )
            )
    notes = [
        f"{column} names correction functions, not pictures" for column in table.columns if _is_illumination(column)
    ]
    return Findings(planes, channels=[Channel(stain) for stain in stains], notes=notes)


def _stains(columns: list[str]) -> list[str]:
    """Channels of the pictures, in the order of their columns."""
    names = (match[2] for column in columns if not _is_illumination(column) and (match := _FILE.fullmatch(column)))
    return list(dict.fromkeys(names))


def _is_illumination(column: str) -> bool:
    match = _FILE.fullmatch(column)
    return bool(match and match[2].lower().startswith("illum"))


def _columns_of(stain: str, columns: list[str]) -> dict[str, str]:
    """What a channel's columns say (`FileName`, `C`, …) → the column."""
    names = ("FileName", "PathName", "URL", "Series", "Frame", "C", "Z", "T")
    spellings = ((name, f"{prefix}{name}_{stain}") for name in names for prefix in ("", "Image_"))
    return {name: column for name, column in spellings if column in columns}


def _plane(table: ImageTable, cells: Mapping[str, str], stain: str, line: int) -> tuple[PlaneRef, str]:
    """The plane that the cells of one channel name, and why it cannot be used."""
    name, problem = _file_name(cells)
    if problem or not name:
        return PlaneRef(Path()), problem or f"line {line} names no file for {stain}"
    path, problem = table.find(name, f"line {line}")
    if problem:
        return PlaneRef(path), problem
    try:
        return _chosen(path, cells), ""
    except InputError as error:
        return PlaneRef(path), f"line {line}: {error}"


def _chosen(path: Path, cells: Mapping[str, str]) -> PlaneRef:
    """The plane that a row chooses: its frame, else its place along the axes of the stack."""
    numbers = {axis: whole_number(cells[axis], axis) for axis in ("Frame", "Series", "C", "Z", "T") if cells.get(axis)}
    if suffix_of(path.name) in CONTAINERS:
        if numbers.pop("Frame", 0):
            raise InputError(f"{path} has no frames: choose its planes by Series, C, Z and T")
        return one_plane(path, **{axis.lower(): number for axis, number in numbers.items()})
    if "Frame" in numbers:
        return PlaneRef(path, page=numbers["Frame"])
    if not any(numbers.values()):
        return PlaneRef(path)
    with local_file(path) as file:
        layout = describe_stack(file, series=numbers.pop("Series", 0))
    page = layout.page(**{axis: number for axis, number in numbers.items() if number})
    return PlaneRef(path, page=page)


def _file_name(cells: Mapping[str, str]) -> tuple[str, str]:
    """A file's name as its table gives it, `/` between folders: the URL wins over path and name."""
    url = cells.get("URL", "")
    if url:
        try:
            parts = urlparse(url)
        except ValueError as error:
            return "", f"{one_line(repr(url), longest=100)} is not an address: {error}"
        if is_address(url):
            return url, ""
        return (unquote(parts.path), "") if parts.scheme == "file" else (url, "")
    folder = cells.get("PathName", "").replace("\\", "/")
    base = cells.get("FileName", "").replace("\\", "/")
    return (f"{folder.rstrip('/')}/{base}" if folder and base else base), ""
