"""Where the images of a feature folder lie and how they were asked for, so that a report can show them again.

Features are shared, so the record says no more of the machine than it must: places are written relative to the folder
of features, or below the home folder as `~/…`. Both folders can be moved together. Of the options that reach a store
on the internet, those that may be secret are not written.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import write_json
from cytoimagenet_hf.core.settings import build, plain
from cytoimagenet_hf.images import Found, Image, find_cells, look
from cytoimagenet_hf.images.remote import is_address
from cytoimagenet_hf.options.cells import CellOptions
from cytoimagenet_hf.options.source import SourceOptions

from .store import read_json, stamp_of

SOURCE = "_source.json"
_FOLDERS = {"root", "illumination"}  # options that name a place


def write_source(
    output: Path,
    source: str,
    options: SourceOptions,
    images: Sequence[Image],
    notes: Sequence[str] = (),
    *,
    cells: CellOptions | None = None,
) -> None:
    """Note beside features where their images lie.

    Args:
        output: folder of the features.
        source: as the caller wrote it; kept as `recorded_place` writes it.
        options: how it was read.
        images: what it found: fields.
        notes: what was to know about the source, such as chunks that are absent or how masks were read.
        cells: where cells were looked for in the fields, and how they were cut out.
    """
    recorded = {name: value for name, value in plain(options).items() if name not in ("storage", "keep")}
    if options.storage.public:
        recorded["storage"] = options.storage.public
    for name in _FOLDERS:
        recorded[name] = recorded[name] and recorded_place(recorded[name], output)
    if cells is not None and cells.cells is not None:
        recorded["cells"] = plain(cells) | {"cells": recorded_place(cells.cells, output)}
    place = recorded_place(source, output)
    record = {"source": place, "options": recorded, "stamp": stamp_of(images), "notes": list(notes)}
    write_json(output / SOURCE, record)


def recorded_images(features: Path) -> tuple[list[Image], str]:
    """The fields behind features, if they are still where they were and as they were; else none, and why.

    Args:
        features: folder of an extraction, or a table, which knows nothing of images.
    """
    source, _, why = _recorded(features)
    return ([] if source is None else source.images), why


def recorded_cells(features: Path) -> tuple[list[Image], list[Image], str]:
    """The fields behind features of cells, as `recorded_images`, and the single cells in them.

    Args:
        features: folder of an extraction with `--cells`.
    """
    source, cells, why = _recorded(features)
    if source is None or not cells:
        return [] if source is None else source.images, [], why
    try:
        return source.images, find_cells(source, build(CellOptions, cells, name="cells")).images, ""
    except (InputError, TypeError, KeyError):
        return source.images, [], ""


def _recorded(features: Path) -> tuple[Found | None, dict[str, Any], str]:
    """The fields behind features, how cells were found in them, and why there are none."""
    record = read_json(features / SOURCE) if features.is_dir() else None
    if not isinstance(record, dict) or not {"source", "options", "stamp"} <= record.keys():
        return None, {}, "the features do not say where their images lie"
    try:
        options, cells = dict(record["options"]), dict(record["options"].get("cells") or {})
        options.pop("cells", None)
        source = found_place(str(record["source"]), features)
        for name in _FOLDERS & options.keys():
            options[name] = options[name] and found_place(str(options[name]), features)
        if cells:
            cells["cells"] = found_place(str(cells["cells"]), features)
        looked_at = look(source, **options)
    except (InputError, TypeError, ValueError, KeyError) as error:  # all but the first: options of another version
        return None, {}, f"the images are not found again: {error}"
    if stamp_of(looked_at.images) != record["stamp"]:
        return None, {}, f"the images in {source} have changed since the features were made"
    return looked_at, cells, ""


def _is_elsewhere(place: str) -> bool:
    return place.startswith("hf:") or is_address(place)


def recorded_place(place: str | Path, folder: Path) -> str:
    """A place as a record in `folder` names it: an address as it is.

    Relative to `folder` where the two share more than the root of the disk and the folder of all homes; else below
    `~`; else whole.
    """
    if _is_elsewhere(str(place)):
        return str(place)
    path, base = Path(os.path.abspath(place)), Path(os.path.realpath(folder))
    home = Path.home()
    if path.drive == base.drive:
        shared = Path(os.path.commonpath([path, base]))
        if shared != Path(shared.anchor) and shared not in home.parents:
            return Path(os.path.relpath(path, base)).as_posix()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else path.as_posix()


def found_place(recorded: str, folder: Path) -> str:
    """The absolute path of what `recorded_place` wrote into a record in `folder`, or the address."""
    return (
        recorded
        if _is_elsewhere(recorded)
        else os.path.normpath(os.path.join(os.path.realpath(folder), os.path.expanduser(recorded)))
    )
