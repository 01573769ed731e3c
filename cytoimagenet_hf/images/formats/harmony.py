"""Opera Phenix and Operetta (Harmony): `PLATE__<time>-Measurement 1/Images/Index.idx.xml`, or its file names alone.

Of the index's versions, V5 names channels with every image, V6 and V7 in `Maps`. Time points count from 0 there and
from 1 in names (`sk1`), everything else from 1.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.xml import children, descendants, read_xml, texts, whole
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.names import naming
from cytoimagenet_hf.images.source import Source

from .instruments import Entry, Instrument

_INDEXES = ("index.idx.xml", "index.ref.xml", "index.xml")
_MEASUREMENT = re.compile(r"(.+?)__.*-Measurement.*", re.IGNORECASE)


def _indexes(source: Source) -> list[str]:
    """The index of each folder; of several in one folder, the first of `_INDEXES`."""
    indexes: dict[str, str] = {}
    for wanted in reversed(_INDEXES):
        for name in source.files:
            folder, _, base = name.rpartition("/")
            if base.lower() == wanted:
                indexes[folder] = name
    if not indexes:
        # Newer exports call it anything, below hs/<id>/.
        for name in source.with_suffix(".xml"):
            if f"/{name}".lower().count("/hs/") and _is_index(source.root / name):
                indexes[name.rpartition("/")[0]] = name
    return list(indexes.values())


def _is_index(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            return b"EvaluationInputData" in handle.read(2048)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _entries(source: Source, index: str) -> Iterator[Entry]:
    root = read_xml(source.root / index)
    measurement = source.root.resolve() / index.rpartition("/")[0]
    plate = "" if any(map(_MEASUREMENT.fullmatch, measurement.parts)) else _plate_named(root)
    plate = plate or _plate_of(measurement)
    # V6 and later name channels in their maps.
    names = {
        entry.get("ChannelID", ""): name
        for entry in descendants(root, "Entry")
        if (name := texts(entry).get("ChannelName"))
    }
    for image in descendants(root, "Image"):
        values = texts(image)
        if "ChannelID" not in values:
            continue  # a reference within Wells
        key, t = values["ChannelID"], whole(values.get("TimepointID"), 0)
        file = values.get("URL", "").replace("\\", "/")
        if not file:
            numbers = [whole(values.get(name)) or 1 for name in ("Row", "Col", "FieldID", "PlaneID", "ChannelID")]
            file = "r{:02d}c{:02d}f{:02d}p{:02d}-ch{}".format(*numbers) + f"sk{t or 1}fk1fl1.tiff"
        yield Entry(
            file,
            values.get("Row", ""),
            values.get("Col", ""),
            Channel(key, values.get("ChannelName") or names.get(key, "")),
            plate=plate,
            site=values.get("FieldID", ""),
            z=whole(values.get("PlaneID")),
            t=t,
        )


def _plate_of(folder: Path) -> str:
    """The plate that a measurement's folder names: `PLATE` of `PLATE__<time>-Measurement 1`, else its own name."""
    for part in reversed(folder.parts):
        if match := _MEASUREMENT.fullmatch(part):
            return match[1]
    return folder.parent.name if folder.name.lower() == "images" else folder.name


def _plate_named(root: Element) -> str:
    for plates in descendants(root, "Plates"):
        for plate in children(plates, "Plate"):
            values = texts(plate)
            return values.get("Name") or values.get("PlateID", "")
    return ""


PHENIX = Instrument(
    "Opera Phenix or Operetta, by Index.idx.xml or by name",
    "Harmony",
    naming(
        r"r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)p(?P<z>\d+)-ch(?P<c>\d+)(?:sk(?P<t>\d+))?(?:fk\d+)?(?:fl\d+)?\.tiff?",
        plate_of=_plate_of,
    ),
    indexes=_indexes,
    entries=_entries,
    index_called="its index",
    elsewhere=True,  # newer exports keep the images beside the folder of the index
)
