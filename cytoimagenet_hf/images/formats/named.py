"""Instruments that are known by their file names alone: scanR, Leica Matrix Screener, Cellomics and others."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.expand import expand_if_stacks, expand_stacks
from cytoimagenet_hf.images.names import Naming, planes_by_name, share_named
from cytoimagenet_hf.images.source import SUFFIXES, Ignored, Source, natural, suffix_of
from cytoimagenet_hf.options.source import SourceOptions

SCANR = Naming(
    re.compile(
        r"(?P<_folder>(?:[^/]+/)*)(?:(?P<well>[A-Z]{1,2}\d{1,2})?--)?W(?P<well_number>\d+)--P(?P<site>\d+)--Z(?P<z>\d+)"
        r"--T(?P<t>\d+)--(?P<c>[^/]+?)\.tiff?",
        re.IGNORECASE,
    ),
    # Images lie in <plate>/data.
    plate_of=lambda folder: folder.parent.name if folder.name.lower() == "data" else folder.name,
    first={"z": 0, "t": 0},
)
"""scanR: `B03--W00015--P00002--Z00000--T00000--DAPI.tif`; where no well's name stands in front, its number does."""

LEICA = Naming(
    re.compile(
        r"(?P<_folder>(?:[^/]+/)*?)(?:[^/]*chamber--[^/]+/)?(?:[^/]*field--[^/]+/)?[^/]*?--L\d+--S\d+--U(?P<column>\d+)"
        r"--V(?P<row>\d+)(?:--[A-Z]\d+)*?--X(?P<field_x>\d+)--Y(?P<field_y>\d+)(?:--T(?P<t>\d+))?(?:--Z(?P<z>\d+))?"
        r"--C(?P<c>\d+)(?:\.ome)?\.tiff?",
        re.IGNORECASE,
    ),
    first={"z": 0, "t": 0, "row": 0, "column": 0},
)
"""Leica: `…/image--L0000--S00--U00--V00--J08--E00--O00--X00--Y00--T0000--Z00--C00.tif`, U a column and V a row."""

CELLOMICS = Naming(
    re.compile(
        r"(?P<_folder>(?:[^/]+/)*)(?P<plate>[^/]+)_(?P<well>[A-Z]{1,2}\d{1,2})f(?P<site>\d+)d(?P<c>\d+)"
        r"\.(?:tiff?|dib|png)",
        re.IGNORECASE,
    ),
    first={"site": 0},
)
"""Cellomics: `AS_09125_050116030001_D03f00d2.DIB`, field f and channel d from 0."""

GEN5 = Naming(
    re.compile(
        r"(?P<_folder>(?:[^/]+/)*)(?P<well>[A-Z]{1,2}\d{1,2})_-?\d+_(?P<c>\d+)_(?P<site>\d+)(?:Z(?P<z>\d+))?"
        r"_(?P<label>[^/]+)_(?P<t>\d{3})\.tiff?",
        re.IGNORECASE,
    ),
    first={"z": 0},
)
"""Gen5, of Cytation and Lionheart: `B7_01_1_3_DAPI 377,447_001.tif`: well, step, channel, field, its name, time."""

CQ1 = Naming(
    re.compile(
        r"(?P<_folder>(?:[^/]+/)*)W(?P<well_number>\d+)F(?P<site>\d+)T(?P<t>\d+)Z(?P<z>\d+)C(?P<c>\d+)\.tiff?",
        re.IGNORECASE,
    ),
)
"""Yokogawa CQ1 and CV1000: `W0013F0001T0001Z001C1.tif`, where wells are numbers."""

BD_PATHWAY = Naming(
    re.compile(
        r"(?P<_folder>(?:[^/]+/)*)Well (?P<well>[A-Z]{1,2}\d{1,3})/(?P<c>[^/]+?) - n(?P<site>\d+)\.tiff?",
        re.IGNORECASE,
    ),
    first={"site": 0},
)
"""BD Pathway: `Well A01/DAPI - n000000.tif`."""

FLEX = Naming(
    re.compile(r"(?P<_folder>(?:[^/]+/)*)(?P<row>\d{3})(?P<column>\d{3})(?P<site>\d{3})\.flex", re.IGNORECASE)
)
"""Opera: `001012003.flex`: row, column and field, pages within."""

INCUCYTE = Naming(
    re.compile(
        r"(?P<_folder>(?:[^/]+/)*)(?:(?P<c>phase|green|red|orange|nir|brightfield)|(?P<plate>[^/]+?))"
        r"_(?P<well>[A-Z]\d{1,2})_(?P<site>\d+)_(?P<time>(?:\d+y\d+m)?\d+d_?\d+h\d+m)\.(?:tiff?|png|jpe?g)",
        re.IGNORECASE,
    )
)
"""IncuCyte: `VID7_A1_2_00d04h00m.tif`, or with the date `2026y01m31d_04h00m`; a colour in front is the channel."""

CQ1_NOTE = (
    "these names number the wells along the rows and do not say how wide the plate is: W0013 is A13 of 384 wells and "
    "B01 of 96. The column well_number holds the numbers"
)
FLEX_NOTE = (
    "the names of .flex files do not say which page is which channel or focus plane: name the pages by --axes (C, Z, "
    "CZ or ZC) and the channels by --stains, as the protocol of the measurement has them"
)


def matcher(naming: Naming) -> Callable[[Source, SourceOptions], bool]:
    """Whether at least half of the images are named so."""
    return lambda source, options: share_named(source, naming.expression) >= 0.5


def finder(naming: Naming, *, note: str = "") -> Callable[[Source, SourceOptions], Findings]:
    """Planes by name; the rest is ignored.

    Args:
        naming: the instrument's.
        note: what these names leave open.
    """

    def find(source: Source, options: SourceOptions) -> Findings:
        planes, others = planes_by_name(source, source.images, naming)
        if "time" in naming.expression.groupindex:
            planes = _times_in_order(planes)
        ignored = [Ignored(name, "its name has not this instrument's form") for name in others]
        ignored += [Ignored(name, "no image file") for name in source.files if suffix_of(name) not in SUFFIXES]
        expand = expand_if_stacks if "c" in naming.expression.groupindex else expand_stacks
        return Findings(expand(planes, options), ignored, notes=[note] if note else [])

    return find


def _times_in_order(planes: Sequence[FoundPlane]) -> list[FoundPlane]:
    """Planes with the number of their time point: the written times, in order."""
    written = sorted({str(plane.metadata["time"]) for plane in planes}, key=natural)
    numbers = {time: number for number, time in enumerate(written, 1)}
    return [replace(plane, t=numbers[str(plane.metadata["time"])]) for plane in planes]
