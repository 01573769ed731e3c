"""Instruments that are known by their file names alone: scanR, Leica Matrix Screener, Cellomics and others."""

from cytoimagenet_hf.images.names import naming

from .instruments import Instrument

SCANR = Instrument(
    "Olympus scanR, by name",
    "scanR",
    naming(
        r"(?:(?P<well>[A-Z]{1,2}\d{1,2})?--)?W(?P<well_number>\d+)--P(?P<site>\d+)--Z(?P<z>\d+)"
        r"--T(?P<t>\d+)--(?P<c>[^/]+?)\.tiff?",
        # Images lie in <plate>/data.
        plate_of=lambda folder: folder.parent.name if folder.name.lower() == "data" else folder.name,
        first={"z": 0, "t": 0},
    ),
)
"""scanR: `B03--W00015--P00002--Z00000--T00000--DAPI.tif`; where no well's name stands in front, its number does."""

LEICA = Instrument(
    "Leica Matrix Screener, by name",
    "Leica Matrix Screener",
    naming(
        r"(?:[^/]*chamber--[^/]+/)?(?:[^/]*field--[^/]+/)?[^/]*?--L\d+--S\d+--U(?P<column>\d+)"
        r"--V(?P<row>\d+)(?:--[A-Z]\d+)*?--X(?P<field_x>\d+)--Y(?P<field_y>\d+)(?:--T(?P<t>\d+))?(?:--Z(?P<z>\d+))?"
        r"--C(?P<c>\d+)(?:\.ome)?\.tiff?",
        first={"z": 0, "t": 0, "row": 0, "column": 0},
    ),
)
"""Leica: `…/image--L0000--S00--U00--V00--J08--E00--O00--X00--Y00--T0000--Z00--C00.tif`, U a column and V a row."""

CELLOMICS = Instrument(
    "Cellomics, by name",
    "Cellomics",
    naming(
        r"(?P<plate>[^/]+)_(?P<well>[A-Z]{1,2}\d{1,2})f(?P<site>\d+)d(?P<c>\d+)"
        r"\.(?:tiff?|dib|png)",
        first={"site": 0},
    ),
)
"""Cellomics: `AS_09125_050116030001_D03f00d2.DIB`, field f and channel d from 0."""

GEN5 = Instrument(
    "Gen5 (Cytation, Lionheart), by name",
    "Gen5",
    naming(
        r"(?P<well>[A-Z]{1,2}\d{1,2})_-?\d+_(?P<c>\d+)_(?P<site>\d+)(?:Z(?P<z>\d+))?"
        r"_(?P<label>[^/]+)_(?P<t>\d{3})\.tiff?",
        first={"z": 0},
    ),
)
"""Gen5, of Cytation and Lionheart: `B7_01_1_3_DAPI 377,447_001.tif`: well, step, channel, field, its name, time."""

CQ1 = Instrument(
    "Yokogawa CQ1 and CV1000, by name",
    "CQ1",
    naming(r"W(?P<well_number>\d+)F(?P<site>\d+)T(?P<t>\d+)Z(?P<z>\d+)C(?P<c>\d+)\.tiff?"),
    note=(
        "these names number the wells along the rows and do not say how wide the plate is: W0013 is A13 of 384 wells "
        "and B01 of 96. The column well_number holds the numbers"
    ),
)
"""Yokogawa CQ1 and CV1000: `W0013F0001T0001Z001C1.tif`, where wells are numbers."""

BD_PATHWAY = Instrument(
    "BD Pathway, by name",
    "BD Pathway",
    naming(
        r"Well (?P<well>[A-Z]{1,2}\d{1,3})/(?P<c>[^/]+?) - n(?P<site>\d+)\.tiff?",
        first={"site": 0},
    ),
)
"""BD Pathway: `Well A01/DAPI - n000000.tif`."""

FLEX = Instrument(
    "Opera .flex, by name",
    "Opera",
    naming(r"(?P<row>\d{3})(?P<column>\d{3})(?P<site>\d{3})\.flex"),
    note=(
        "the names of .flex files do not say which page is which channel or focus plane: name the pages by --axes "
        "(C, Z, CZ or ZC) and the channels by --stains, as the protocol of the measurement has them"
    ),
)
"""Opera: `001012003.flex`: row, column and field, pages within."""

INCUCYTE = Instrument(
    "IncuCyte, by name",
    "IncuCyte",
    naming(
        r"(?:(?P<c>phase|green|red|orange|nir|brightfield)|(?P<plate>[^/]+?))"
        r"_(?P<well>[A-Z]\d{1,2})_(?P<site>\d+)_(?P<time>(?:\d+y\d+m)?\d+d_?\d+h\d+m)\.(?:tiff?|png|jpe?g)"
    ),
)
"""IncuCyte: `VID7_A1_2_00d04h00m.tif`, or with the date `2026y01m31d_04h00m`; a colour in front is the channel."""
