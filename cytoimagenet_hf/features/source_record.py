"""Where the images of a feature folder lie and how they were asked for, so that a report can show them again.

Features are shared, so the record says no more of the machine than it must: places are written relative to the folder
of features, or below the home folder as `~/…`. Both folders can be moved together. Of the options that reach a store
on the internet, those that may be secret are not written.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import write_json
from cytoimagenet_hf.images import Image, find_illumination, look
from cytoimagenet_hf.images.objects import Storage
from cytoimagenet_hf.images.remote import is_address

from .store import read_json, stamp_of

SOURCE = "_source.json"
_FOLDERS = {"root", "illumination"}  # options that name a place


def write_source(
    output: Path, source: str, options: Mapping[str, Any], images: Sequence[Image], notes: Sequence[str] = ()
) -> None:
    """Note beside features where their images lie.

    Args:
        output: folder of the features.
        source: as the caller wrote it; kept as `recorded_place` writes it.
        options: of `find_images`.
        images: what it found.
        notes: what was to know about the source, such as chunks that are absent or how masks were read.
    """
    place = source if _is_elsewhere(source) else recorded_place(source, output)
    given = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    if isinstance(storage := given.pop("storage", None), Storage) and storage.public:
        given["storage"] = storage.public
    for name in _FOLDERS & given.keys():
        if given[name] and not _is_elsewhere(given[name]):
            given[name] = recorded_place(given[name], output)
    record = {"source": place, "options": given, "stamp": stamp_of(images), "notes": list(notes)}
    write_json(output / SOURCE, record)


def recorded_images(features: Path) -> tuple[list[Image], str]:
    """The images behind features, if they are still where they were and as they were; else none, and why.

    Args:
        features: folder of an extraction, or a table, which knows nothing of images.
    """
    record = read_json(features / SOURCE) if features.is_dir() else None
    if not isinstance(record, dict) or not {"source", "options", "stamp"} <= record.keys():
        return [], "the features do not say where their images lie"
    try:
        source, options = str(record["source"]), dict(record["options"])
        source = source if _is_elsewhere(source) else found_place(source, features)
        for name in _FOLDERS & options.keys():
            if options[name] and not _is_elsewhere(str(options[name])):
                options[name] = found_place(str(options[name]), features)
        illumination = options.pop("illumination", None)
        listing = look(source, **options)
        images = (listing if illumination is None else find_illumination(listing, illumination)).images
    except (InputError, TypeError, ValueError) as error:  # TypeError, ValueError: options of another version
        return [], f"the images are not found again: {error}"
    if stamp_of(images) != record["stamp"]:
        return [], f"the images in {source} have changed since the features were made"
    return images, ""


def _is_elsewhere(place: str) -> bool:
    return place.startswith("hf:") or is_address(place)


def recorded_place(place: str | Path, folder: Path) -> str:
    """A place as a record in `folder` names it.

    Relative to `folder` where the two share more than the root of the disk and the folder of all homes; else below
    `~`; else whole.

    Example:
        >>> recorded_place("/data/screens/p1", Path("/data/features/p1"))
        '../../screens/p1'
    """
    path, base = Path(os.path.abspath(place)), Path(os.path.realpath(folder))
    home = Path.home()
    if path.drive == base.drive:
        shared = Path(os.path.commonpath([path, base]))
        if shared != Path(shared.anchor) and shared not in home.parents:
            return Path(os.path.relpath(path, base)).as_posix()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else path.as_posix()


def found_place(recorded: str, folder: Path) -> str:
    """The absolute path of what `recorded_place` wrote into a record in `folder`."""
    return os.path.normpath(os.path.join(os.path.realpath(folder), os.path.expanduser(recorded)))
