"""IN Cell Analyzer: the `.xdce` that lists its images, else names such as `B - 3(fld 2 wv DAPI - DAPI).tif`, from
version 7.2 on also `B_03_f2_c1_xUV_mDAPI_z3_t2.tif`.

Archives write `_` for the spaces of a name. The `.xdce` counts fields, planes, waves and times from 0, rows and
columns from 1; names count fields from 1.
"""

from collections.abc import Iterator

from cytoimagenet_hf.core.xml import attributes, children, descendants, read_xml, whole
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.names import naming
from cytoimagenet_hf.images.source import Source

from .instruments import Entry, Instrument


def _entries(source: Source, index: str) -> Iterator[Entry]:
    plate = (source.root.resolve() / index).parent.name
    for image in descendants(read_xml(source.root / index), "Image"):
        file = image.attrib.get("filename", "").replace("\\", "/")
        values = {key: value for child in image.iter() for key, value in attributes(child).items() if "_index" in key}
        if not file or not values:
            continue
        row, column = (
            next((element.attrib.get("number", "") for element in descendants(image, place)), "")
            for place in ("Row", "Column")
        )
        dye = next((element.attrib.get("name", "") for element in children(image, "EmissionFilter")), "")
        yield Entry(
            file,
            row,
            column,
            Channel(values.get("wave_index", "0"), dye),
            plate=plate,
            site=str(whole(values.get("field_index"), 0) or ""),
            z=whole(values.get("z_index"), 0),
            t=whole(values.get("time_index"), 0),
            thumbnail=image.attrib.get("thumbnail", ""),
        )


INCELL = Instrument(
    "IN Cell Analyzer, by .xdce or by name",
    "IN Cell",
    # What stands in the brackets comes in any order.
    naming(
        r"(?:(?P<plate>[^/]+?)_)?(?P<row>[A-Z]{1,2})[ _]-[ _](?P<column>\d+)\((?=(?:[^)]*[ _])?fld[ _](?P<site>\d+))"
        r"(?:(?=[^)]*[ _(]wv[ _](?P<c>[^)]+?)(?:[ _]z[ _]\d+|[ _]time[ _]\d+|\))))?(?:(?=[^)]*[ _]z[ _](?P<z>\d+)))?"
        r"(?:(?=[^)]*[ _]time[ _](?P<t>\d+)))?[^)]*\)\.tiff?"
    ),
    # Row, column, field, channel, excitation, emission, plane, time.
    naming(
        r"(?P<row>[A-Z]{1,2})_(?P<column>\d+)_f(?P<site>\d+)_c(?P<c>\d+)_x[^/]*?_m(?P<label>[^/]*?)"
        r"_z(?P<z>\d+)_t(?P<t>\d+)\.tiff?"
    ),
    indexes=lambda source: source.with_suffix(".xdce"),
    entries=_entries,
    index_called="the .xdce",
)
