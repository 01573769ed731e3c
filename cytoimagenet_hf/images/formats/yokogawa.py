"""Yokogawa (CV7000, CV8000, CQ1, CV1000): `MeasurementData.mlf` where there is one, else file names.

`PLATE_B03_T0001F002L01A03Z01C04.tif`: the channel is C, never the action A, which one channel may change. Of 1536
wells, `A01.b2` is a quarter of a well of 384.
"""

import re
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import plain_number
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.names import Naming, planes_by_name, share_named
from cytoimagenet_hf.images.source import SUFFIXES, Ignored, Source, suffix_of
from cytoimagenet_hf.images.xml import attributes, descendants, read_xml, whole
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.tables.wells import well_at

_NAME = re.compile(
    r"(?P<_folder>(?:[^/]+/)*)(?P<plate>[^/]+)_(?P<well>[A-Z]{1,2}\d{2}(?:\.[ab][12])?)_T(?P<t>\d+)F(?P<site>\d+)L\d+A\d+"
    r"Z(?P<z>\d+)C(?P<c>\d+)\.tiff?",
    re.IGNORECASE,
)
_RECORDS = "measurementdata.mlf"


def matches(source: Source, options: SourceOptions) -> bool:
    """A MeasurementData.mlf, or at least half of the images named so."""
    return bool(_tables(source)) or share_named(source, _NAME) >= 0.5


def find(source: Source, options: SourceOptions) -> Findings:
    """Planes by the records where there are any, else by name.

    Raises:
        InputError: records, settings (.mes) or a plate (.wpi) that are not XML.
    """
    planes: list[FoundPlane] = []
    ignored: list[Ignored] = []
    taken: set[str] = set()
    tables = _tables(source)
    for name in tables:
        _add_records(source, name, planes, ignored, taken)
    folders = [name.rpartition("/")[0] for name in tables]
    loose = [name for name in source.images if name not in taken]
    recorded = [name for name in loose if any(not folder or name.startswith(f"{folder}/") for folder in folders)]
    by_name, others = planes_by_name(source, [name for name in loose if name not in set(recorded)], Naming(_NAME))
    ignored += [Ignored(name, "MeasurementData.mlf does not name it") for name in recorded]
    ignored += [Ignored(name, "not named as Yokogawa names images") for name in others]
    ignored += [
        Ignored(name, "no image file")
        for name in source.files
        if suffix_of(name) not in SUFFIXES and name not in tables
    ]
    return Findings([*planes, *by_name], ignored)


def _tables(source: Source) -> list[str]:
    return [name for name in source.files if name.rpartition("/")[2].lower() == _RECORDS]


def _add_records(
    source: Source, table: str, planes: list[FoundPlane], ignored: list[Ignored], taken: set[str]
) -> None:
    folder = table.rpartition("/")[0]
    labels = _labels(source, folder)
    plate = _plate(source, folder)
    known = set(source.files)
    records = [
        (attributes(record), (record.text or "").strip().replace("\\", "/"))
        for record in descendants(read_xml(source.root / table), "MeasurementRecord")
    ]
    raw = any(not values.get("ZImageProcessing") for values, _ in records)
    for values, base in records:
        name = f"{folder}/{base}" if folder else base
        if name not in known:
            base = base.rpartition("/")[2]
            name = f"{folder}/{base}" if folder else base
        if values.get("Type") == "ERR" or not base:
            ignored.append(Ignored(base or table, "the microscope recorded an error here"))
            taken.add(name)
            continue
        taken.add(name)
        if raw and values.get("ZImageProcessing"):
            ignored.append(Ignored(name, f"a projection ({values['ZImageProcessing']}) of planes that are there"))
            continue
        problem = "" if name in known else f"{table} names {base}, which is absent"
        try:
            well = well_at(values.get("Row", ""), values.get("Column", ""))
        except InputError as error:
            well, problem = f"r{values.get('Row')}c{values.get('Column')}", str(error)
        match = _NAME.fullmatch(name)
        key = plain_number(values.get("Ch", ""))
        planes.append(
            FoundPlane(
                PlaneRef(source.root / name),
                Channel(key, labels.get(key, "")),
                name,
                plate=plate or (match["plate"] if match else "") or (source.root.resolve() / folder).name,
                well=well,
                site=plain_number(values.get("FieldIndex", "")),
                z=whole(values.get("ZIndex")),
                t=whole(values.get("TimePoint")),
                origin=folder,
                problem=problem,
            )
        )


def _labels(source: Source, folder: str) -> dict[str, str]:
    """Channel → fluorophore, from the settings (.mes) beside the records."""
    labels: dict[str, str] = {}
    for name in source.with_suffix(".mes"):
        if name.rpartition("/")[0] != folder:
            continue
        for channel in _elements(source.root / name, "Channel"):
            label = channel.get("Fluorophore") or channel.get("Target") or ""
            if label and "Ch" in channel:
                labels[plain_number(channel["Ch"])] = label
    return labels


def _plate(source: Source, folder: str) -> str:
    """Name of the plate, from the .wpi beside the records."""
    for name in source.with_suffix(".wpi"):
        if name.rpartition("/")[0] == folder:
            for element in _elements(source.root / name, "WellPlate"):
                if element.get("Name"):
                    return element["Name"]
    return ""


def _elements(path: Path, name: str) -> list[dict[str, str]]:
    """Attributes of the elements of a file beside the records.

    Raises:
        InputError: it is there and cannot be read: channels or the plate would go by other names.
    """
    try:
        return [attributes(element) for element in descendants(read_xml(path), name)]
    except InputError as error:
        raise InputError(f"{error}: copy it again, or remove it to do without its names") from error
