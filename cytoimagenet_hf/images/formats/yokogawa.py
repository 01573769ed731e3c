"""Yokogawa (CV7000, CV8000, CQ1, CV1000): `MeasurementData.mlf` where there is one, else file names.

`PLATE_B03_T0001F002L01A03Z01C04.tif`: the channel is C, never the action A, which one channel may change. Of 1536
wells, `A01.b2` is a quarter of a well of 384.
"""

from collections.abc import Iterator

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import plain_number
from cytoimagenet_hf.core.xml import attributes, descendants, read_xml, whole
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.names import naming
from cytoimagenet_hf.images.source import Source

from .instruments import Entry, Instrument

_NAMES = naming(
    r"(?P<plate>[^/]+)_(?P<well>[A-Z]{1,2}\d{2}(?:\.[ab][12])?)_T(?P<t>\d+)F(?P<site>\d+)L\d+A\d+Z(?P<z>\d+)C(?P<c>\d+)\.tiff?"
)


def _indexes(source: Source) -> list[str]:
    return [name for name in source.files if name.rpartition("/")[2].lower() == "measurementdata.mlf"]


def _entries(source: Source, index: str) -> Iterator[Entry]:
    # The settings (.mes) and the plate (.wpi) lie beside the records.
    names = {
        plain_number(channel["Ch"]): name
        for channel in _elements_beside(source, index, ".mes", "Channel")
        if "Ch" in channel and (name := channel.get("Fluorophore") or channel.get("Target"))
    }
    plates = (element.get("Name", "") for element in _elements_beside(source, index, ".wpi", "WellPlate"))
    plate_named = next(filter(None, plates), "")
    records = [
        (attributes(record), (record.text or "").strip().replace("\\", "/"))
        for record in descendants(read_xml(source.root / index), "MeasurementRecord")
    ]
    has_planes = any(not values.get("ZImageProcessing") for values, _ in records)
    for values, file in records:
        unused, projection = "", values.get("ZImageProcessing")
        if values.get("Type") == "ERR" or not file:
            unused = "the microscope recorded an error here"
        elif has_planes and projection:
            unused = f"a projection ({projection}) of planes that are there"
        match, key = _NAMES.expression.fullmatch(file), plain_number(values.get("Ch", ""))
        folder_name = (source.root.resolve() / index).parent.name
        yield Entry(
            file,
            values.get("Row", ""),
            values.get("Column", ""),
            Channel(key, names.get(key, "")),
            plate=plate_named or (match["plate"] if match else "") or folder_name,
            site=plain_number(values.get("FieldIndex", "")),
            z=whole(values.get("ZIndex")),
            t=whole(values.get("TimePoint")),
            unused=unused,
        )


def _elements_beside(source: Source, index: str, suffix: str, element: str) -> Iterator[dict[str, str]]:
    """Attributes of the elements of the files with an ending in the folder of an index.

    One that cannot be read is refused: channels or the plate would go by other names.
    """
    for name in source.with_suffix(suffix):
        if name.rpartition("/")[0] == index.rpartition("/")[0]:
            try:
                yield from map(attributes, descendants(read_xml(source.root / name), element))
            except InputError as error:
                raise InputError(f"{error}: copy it again, or remove it to do without its names") from error


YOKOGAWA = Instrument(
    "Yokogawa, by MeasurementData.mlf or by name",
    "Yokogawa",
    _NAMES,
    indexes=_indexes,
    entries=_entries,
    index_called="MeasurementData.mlf",
)
