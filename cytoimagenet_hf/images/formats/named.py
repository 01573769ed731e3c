"""Instruments that are known by their file names alone: scanR, Leica Matrix Screener, Cellomics ArrayScan."""

import re
from collections.abc import Callable

from cytoimagenet_hf.images.collect import Findings
from cytoimagenet_hf.images.expand import expand_if_stacks
from cytoimagenet_hf.images.names import Naming, planes_by_name, share_named
from cytoimagenet_hf.images.options import Options
from cytoimagenet_hf.images.source import SUFFIXES, Ignored, Source, suffix_of

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
        r"(?P<_folder>(?:[^/]+/)*)(?P<plate>[^/]+)_(?P<well>[A-Z]{1,2}\d{2})f(?P<site>\d+)d(?P<c>\d+)\.tiff?",
        re.IGNORECASE,
    ),
    first={"site": 0},
)
"""Cellomics: `AS_09125_050116030001_D03f00d2.tif`, field f and channel d from 0."""


def matcher(naming: Naming) -> Callable[[Source, Options], bool]:
    """Whether at least half of the images are named so."""
    return lambda source, options: share_named(source, naming.expression) >= 0.5


def finder(naming: Naming) -> Callable[[Source, Options], Findings]:
    """Planes by name; the rest is ignored."""

    def find(source: Source, options: Options) -> Findings:
        planes, others = planes_by_name(source, source.images, naming)
        ignored = [Ignored(name, "its name has not this instrument's form") for name in others]
        ignored += [Ignored(name, "no image file") for name in source.files if suffix_of(name) not in SUFFIXES]
        return Findings(expand_if_stacks(planes, options), ignored)

    return find
