"""IN Cell Analyzer: the `.xdce` that lists its images, else names such as `B - 3(fld 2 wv DAPI - DAPI).tif`, from
version 7.2 on also `B_03_f2_c1_xUV_mDAPI_z3_t2.tif`.

Archives write `_` for the spaces of a name.

The `.xdce` counts fields, planes, waves and times from 0, rows and columns from 1; names count fields from 1.
"""

import re

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.names import Naming, planes_by_name, share_named
from cytoimagenet_hf.images.source import SUFFIXES, Ignored, Source, suffix_of
from cytoimagenet_hf.images.xml import attributes, children, descendants, read_xml, whole
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.tables.wells import well_at

# What stands in the brackets comes in any order.
_NAME = re.compile(
    r"(?P<_folder>(?:[^/]+/)*)(?:(?P<plate>[^/]+?)_)?(?P<row>[A-Z]{1,2})[ _]-[ _](?P<column>\d+)"
    r"\((?=(?:[^)]*[ _])?fld[ _](?P<site>\d+))"
    r"(?:(?=[^)]*[ _(]wv[ _](?P<c>[^)]+?)(?:[ _]z[ _]\d+|[ _]time[ _]\d+|\))))?(?:(?=[^)]*[ _]z[ _](?P<z>\d+)))?"
    r"(?:(?=[^)]*[ _]time[ _](?P<t>\d+)))?[^)]*\)\.tiff?",
    re.IGNORECASE,
)
# What version 7.2 writes: row, column, field, channel, excitation, emission, plane, time.
_NAME_72 = re.compile(
    r"(?P<_folder>(?:[^/]+/)*)(?P<row>[A-Z]{1,2})_(?P<column>\d+)_f(?P<site>\d+)_c(?P<c>\d+)_x[^/]*?_m(?P<label>[^/]*?)"
    r"_z(?P<z>\d+)_t(?P<t>\d+)\.tiff?",
    re.IGNORECASE,
)


def matches(source: Source, options: SourceOptions) -> bool:
    """An .xdce, or at least half of the images named so."""
    return bool(source.with_suffix(".xdce")) or share_named(source, _NAME) + share_named(source, _NAME_72) >= 0.5


def find(source: Source, options: SourceOptions) -> Findings:
    """Planes by the .xdce where there is one, else by name.

    Raises:
        InputError: an .xdce that is not XML.
    """
    planes: list[FoundPlane] = []
    taken: set[str] = set()
    ignored: list[Ignored] = []
    lists = source.with_suffix(".xdce")
    for name in lists:
        _add_listed(source, name, planes, taken)
    folders = [name.rpartition("/")[0] for name in lists]
    loose = [name for name in source.images if name not in taken]
    unlisted = {name for name in loose if any(not folder or name.startswith(f"{folder}/") for folder in folders)}
    by_name, others = planes_by_name(source, [name for name in loose if name not in unlisted], Naming(_NAME))
    by_new_name, others = planes_by_name(source, others, Naming(_NAME_72))
    by_name += by_new_name
    ignored += [Ignored(name, "the .xdce does not name it") for name in sorted(unlisted)]
    ignored += [Ignored(name, "not named as IN Cell names images") for name in others]
    ignored += [
        Ignored(name, "no image file")
        for name in source.files
        if suffix_of(name) not in SUFFIXES and name not in lists
    ]
    return Findings([*planes, *by_name], ignored)


def _add_listed(source: Source, listing: str, planes: list[FoundPlane], taken: set[str]) -> None:
    folder = listing.rpartition("/")[0]
    known = set(source.files)
    plate = (source.root.resolve() / folder).name
    for image in descendants(read_xml(source.root / listing), "Image"):
        base = image.attrib.get("filename", "").replace("\\", "/")
        values = {key: value for child in image.iter() for key, value in attributes(child).items() if "_index" in key}
        if not base or not values:
            continue
        name = f"{folder}/{base}" if folder else base
        if name not in known:  # a place on the microscope's own disk
            base = base.rpartition("/")[2]
            name = f"{folder}/{base}" if folder else base
        taken.add(name)
        taken.add(name.rpartition("/")[0] + "/" + image.attrib.get("thumbnail", ""))
        problem = "" if name in known else f"{listing} names {base}, which is absent"
        rows, columns = (
            [child.attrib.get("number", "") for child in descendants(image, tag)] for tag in ("Row", "Column")
        )
        try:
            well = well_at(rows[0] if rows else "", columns[0] if columns else "")
        except InputError as error:
            well, problem = f"r{rows}c{columns}", str(error)
        filters = [child.attrib.get("name", "") for child in children(image, "EmissionFilter")]
        planes.append(
            FoundPlane(
                PlaneRef(source.root / name),
                Channel(values.get("wave_index", "0"), filters[0] if filters else ""),
                name,
                plate=plate,
                well=well,
                site=str(whole(values.get("field_index"), 0) or ""),
                z=whole(values.get("z_index"), 0),
                t=whole(values.get("time_index"), 0),
                origin=folder,
                problem=problem,
            )
        )
