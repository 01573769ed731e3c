"""Which illumination function divides each plane: by plate and channel, from a folder or a table of CellProfiler."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import inside

from .base import Image, PlaneRef
from .collect import Found, as_found
from .masks import field_key, images_by_place
from .remote import RemoteFiles, is_address, is_remote, place_at
from .source import open_source
from .tables import TABLES, place_of, places, rows_of

_FUNCTION = re.compile(r"(?:(?P<plate>.+)_)?Illum(?:ination)?_?(?P<channel>[^_/]+)", re.IGNORECASE)
_COLUMN = re.compile(r"(?:Image_)?FileName_Illum(.+)")
_ENDINGS = (".npy", ".tif", ".tiff")


def find_illumination(found: Found | Iterable[Image], place: str | Path) -> Found:
    """The same images, each plane to be divided by the illumination function of its plate and channel.

    Args:
        found: what `look` found, or images.
        place: a folder of `<plate>_Illum<channel>.npy`, as CellProfiler's pipelines write them, in folders of their
            plates or not; `Illum<channel>.npy` is of every plate of its folder. Or a table with `FileName_Illum…`
            beside plate, well and site, such as `load_data_with_illum.csv`: files lie where it says (`URL_Illum…`, or
            `PathName_Illum…`), or beside it. Either may be at an address.

    Returns:
        Images with `illumination`; which channels are corrected stands in the notes.

    Raises:
        InputError: nothing there, a plate or channel without its function, or two functions of one channel.

    Example:
        >>> import tempfile, numpy as np, tifffile
        >>> from cytoimagenet_hf.images import look
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tifffile.imwrite(f"{folder}/p1_B02_s1_DNA.tif", np.full((2, 2), 100, np.uint16))
        ...     np.save(f"{folder}/p1_IllumDNA.npy", np.array([[1.0, 2.0], [1.0, 0.5]]))
        ...     images = look(f"{folder}/*.tif", pattern="{plate}_{well}_s{site}_{c}.tif")
        ...     (image,) = find_illumination(images, folder).images
        ...     image.read()[0].tolist()
        [[100, 50], [100, 200]]
    """
    found = as_found(found)
    path = place_at(place, found.storage)
    in_table = path.name.lower().endswith(TABLES)
    functions = _in_table(path, found) if in_table else _in_folder(path, found.images)
    names = _names(found)
    images = []
    for image in found.images:
        of_plate = functions.get(image.id, {})
        lacking = [stain for stain in image.channels if not names[stain] & of_plate.keys()]
        if lacking:
            raise InputError(
                f"{path} has no illumination function for channel {lacking[0]} of {image.id}: it has "
                f"{', '.join(sorted(of_plate)) or 'none for its plate'}; choose channels that have one (--channels)"
            )
        refs = tuple(of_plate[next(iter(names[stain] & of_plate.keys()))] for stain in image.channels)
        images.append(replace(image, illumination=refs))
    channels = sorted({stain for image in images for stain in image.channels})
    note = f"divided by the illumination functions of {path}: {', '.join(channels)}"
    return replace(found, images=images, notes=(*found.notes, note))


def _names(found: Found) -> dict[str, set[str]]:
    """Stain → what its function may be called: the stain, and its channel in the source without `Orig`."""
    names = {stain: {_plain(stain)} for image in found.images for stain in image.channels}
    for channel, stain in found.stains.items():
        spellings = {_plain(text) for text in (channel.key, channel.label) if text}
        names.setdefault(stain, set()).update(spellings | {name.removeprefix("orig") for name in spellings})
    return names


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _in_folder(folder: Path, images: Iterable[Image]) -> dict[str, dict[str, PlaneRef]]:
    source = open_source(folder)
    by_plate: dict[str, dict[str, PlaneRef]] = {}
    for name in source.with_suffix(*_ENDINGS):
        parent, _, base = name.rpartition("/")
        match = _FUNCTION.fullmatch(base.rpartition(".")[0])
        if match is None:
            continue
        plate, channel = match["plate"] or parent.rpartition("/")[2], _plain(match["channel"])
        of_plate = by_plate.setdefault(plate, {})
        if channel in of_plate:
            raise InputError(
                f"{of_plate[channel].path} and {source.root / name} are both of channel {match['channel']}"
            )
        of_plate[channel] = PlaneRef(source.root / name)
    if not by_plate:
        raise InputError(f"{folder} holds no illumination functions: they are called <plate>_Illum<channel>.npy")
    shared = by_plate.get("", {})
    return {image.id: shared | by_plate.get(str(image.metadata.get("plate", "")), {}) for image in images}


def _in_table(path: Path, found: Found) -> dict[str, dict[str, PlaneRef]]:
    rows = rows_of(path)
    columns = {str(column): match[1] for column in rows.columns if (match := _COLUMN.fullmatch(str(column)))}
    if not columns:
        raise InputError(f"{path} names no illumination functions: it has no column FileName_Illum<channel>")
    placed = places([str(column) for column in rows.columns])
    by_place = images_by_place(found.images)
    functions: dict[str, dict[str, PlaneRef]] = {}
    remote = RemoteFiles(found.storage)
    for line, row in enumerate(rows.to_dict("records"), 2):
        facts, _ = place_of(row, placed)
        ids = by_place.get(field_key(facts), [])
        of_row = {}
        for column, channel in columns.items():
            folder = str(row.get(column.replace("FileName", "PathName", 1), ""))
            address = str(row.get(column.replace("FileName", "URL", 1), ""))
            if not address and is_address(folder):
                address = f"{folder.rstrip('/')}/{row[column]}"
            file = remote.path(address) if address else _file(path, folder, str(row[column]))
            if file is None:
                raise InputError(
                    f"{path}, line {line}: {row[column]} lies neither in {folder or 'the folder of the table'} nor "
                    f"beside the table: give the folder of the functions (--illumination FOLDER)"
                )
            of_row[_plain(channel)] = PlaneRef(file)
        for name in ids:
            if functions.setdefault(name, of_row) != of_row:
                raise InputError(f"{path} names two sets of illumination functions for {name}")
    return functions


def _file(table: Path, folder: str, name: str) -> Path | None:
    """The file that a row names: in its folder, which may be of another machine, or beside the table."""
    plain = PureWindowsPath(name).name
    for parent in (folder, PureWindowsPath(folder).name, ""):
        name = f"{parent}/{plain}" if parent else plain
        try:
            file = table.parent / name if is_remote(table) else inside(table.parent, name)
        except InputError:
            continue
        if file.is_file():
            return file
    return None
