"""Opera Phenix and Operetta (Harmony): `PLATE__<time>-Measurement 1/Images/Index.idx.xml`, or its file names alone.

Of the index's versions, V5 names channels with every image, V6 and V7 in `Maps`. Time points count from 0 there,
everything else from 1.
"""

import re
from pathlib import Path
from xml.etree.ElementTree import Element

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.names import Naming, planes_by_name, share_named
from cytoimagenet_hf.images.source import SUFFIXES, Ignored, Source, suffix_of
from cytoimagenet_hf.images.xml import children, descendants, local, read_xml, texts, whole
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.tables.wells import well_at

INDEXES = ("index.idx.xml", "index.ref.xml", "index.xml")
_NAME = re.compile(
    r"(?P<_folder>(?:[^/]+/)*)r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)p(?P<z>\d+)-ch(?P<c>\d+)"
    r"(?:sk(?P<t>\d+))?(?:fk\d+)?(?:fl\d+)?\.tiff?",
    re.IGNORECASE,
)
_MEASUREMENT = re.compile(r"(.+?)__.*-Measurement.*", re.IGNORECASE)


def matches(source: Source, options: SourceOptions) -> bool:
    """An index, or at least half of the images named as Harmony does."""
    return bool(_indexes(source)) or share_named(source, _NAME) >= 0.5


def find(source: Source, options: SourceOptions) -> Findings:
    """Planes by the index where there is one, else by name.

    Raises:
        InputError: an index that cannot be read or is not XML.
    """
    indexes = _indexes(source)
    planes: list[FoundPlane] = []
    taken: set[str] = set()
    for folder, index in indexes.items():
        planes += _by_index(source, folder, index, taken)
    notes = [
        f"{index} names no image"
        for folder, index in indexes.items()
        if all(plane.origin != folder for plane in planes)
    ]
    loose = [name for name in source.images if name not in taken and not _below(name, indexes)]
    by_name, others = planes_by_name(source, loose, Naming(_NAME, _split, plate_of, first={"t": 0}))
    planes += by_name
    ignored = [Ignored(name, "not named as Harmony names images") for name in others]
    ignored += [
        Ignored(name, "its index does not name it")
        for name in source.images
        if name not in taken and _below(name, indexes)
    ]
    read = set(indexes.values())
    ignored += [
        Ignored(name, "no image file") for name in source.files if suffix_of(name) not in SUFFIXES and name not in read
    ]
    return Findings(planes, ignored, notes=notes)


def plate_of(folder: Path) -> str:
    """The plate that a measurement's folder names: `PLATE` of `PLATE__<time>-Measurement 1`, else its own name."""
    for part in reversed(folder.parts):
        if match := _MEASUREMENT.fullmatch(part):
            return match[1]
    return folder.parent.name if folder.name.lower() == "images" else folder.name


def _indexes(source: Source) -> dict[str, str]:
    """Folder → its index; of several in one folder, the first of `INDEXES`."""
    found: dict[str, str] = {}
    for wanted in reversed(INDEXES):
        for name in source.files:
            folder, _, base = name.rpartition("/")
            if base.lower() == wanted:
                found[folder] = name
    if not found:
        # Newer exports call it anything, below hs/<id>/.
        for name in source.with_suffix(".xml"):
            if f"/{name}".lower().count("/hs/") and _is_index(source.root / name):
                found[name.rpartition("/")[0]] = name
    return found


def _is_index(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            return b"EvaluationInputData" in handle.read(2048)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _below(name: str, indexes: dict[str, str]) -> bool:
    return any(not folder or name.startswith(f"{folder}/") for folder in indexes)


def _split(folder: str) -> tuple[str, dict[str, str]]:
    return folder, {}


def _by_index(source: Source, folder: str, index: str, taken: set[str]) -> list[FoundPlane]:
    root = read_xml(source.root / index)
    measurement = (source.root.resolve() / folder) if folder else source.root.resolve()
    plate = plate_of(measurement) if any(map(_MEASUREMENT.fullmatch, measurement.parts)) else ""
    plate = plate or _plate_named(root) or plate_of(measurement)
    labels = _labels(root)
    known = set(source.files)
    bases = _by_base(source)
    planes = []
    for image in descendants(root, "Image"):
        values = texts(image)
        if "ChannelID" not in values:
            continue  # a reference within Wells
        name = _file(values, folder)
        if name not in known:  # newer exports keep the images beside the folder of the index
            name = bases.get(name.rpartition("/")[2]) or name
        taken.add(name)
        try:
            well, problem = well_at(values.get("Row", ""), values.get("Col", "")), ""
        except InputError as error:
            well, problem = f"r{values.get('Row')}c{values.get('Col')}", str(error)
        if name not in known and not (source.root / name).is_file():
            problem = problem or f"{index} names {name.rpartition('/')[2]}, which is absent"
        key = values["ChannelID"]
        planes.append(
            FoundPlane(
                PlaneRef(source.root / name),
                Channel(key, values.get("ChannelName") or labels.get(key, "")),
                name,
                plate=plate,
                well=well,
                site=values.get("FieldID", ""),
                z=whole(values.get("PlaneID")),
                t=whole(values.get("TimepointID"), 0),
                origin=folder,
                problem=problem,
            )
        )
    return planes


def _by_base(source: Source) -> dict[str, str]:
    """Base name → relative name, for the names that occur once."""
    found: dict[str, str] = {}
    for name in source.files:
        base = name.rpartition("/")[2]
        found[base] = "" if base in found else name
    return found


def _file(values: dict[str, str], folder: str) -> str:
    """Relative name of an image: its URL below the index, the last part of an address, or the usual name."""
    url = values.get("URL", "").replace("\\", "/")
    if "://" in url or url.startswith("/") or ".." in url.split("/"):
        url = url.rpartition("/")[2]
    if not url:
        numbers = [whole(values.get(key)) or 1 for key in ("Row", "Col", "FieldID", "PlaneID", "ChannelID")]
        url = "r{:02d}c{:02d}f{:02d}p{:02d}-ch{}".format(*numbers)
        url += f"sk{whole(values.get('TimepointID'), 0) or 1}fk1fl1.tiff"
    return f"{folder}/{url}" if folder else url


def _labels(root: Element) -> dict[str, str]:
    """Channel → name, from the maps of V6 and later."""
    labels = {}
    for entry in descendants(root, "Entry"):
        name = texts(entry).get("ChannelName", "")
        if "ChannelID" in entry.attrib and name:
            labels[entry.attrib["ChannelID"]] = name
    return labels


def _plate_named(root: Element) -> str:
    for plates in descendants(root, "Plates"):
        for plate in children(plates, "Plate"):
            values = {local(child.tag): (child.text or "").strip() for child in plate}
            return values.get("Name") or values.get("PlateID", "")
    return ""
