"""Files of a whole acquisition: Zeiss `.czi`, Nikon `.nd2`, Leica `.lif`; their scenes and positions are sites."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.wells import spell_well

from .base import PlaneRef
from .channels import Channel
from .collect import FoundPlane
from .remote import local_file
from .source import suffix_of
from .stores import STORES, czi, lif, nd2

_WELL = re.compile(r"(?:.*[^A-Za-z0-9])?([A-Z]{1,2}\d{2})(?:[^A-Za-z0-9].*)?")


def planes_in(path: Path, stem: str, notes: list[str]) -> list[FoundPlane]:
    """All planes of a file, by what it says of them.

    Args:
        path: a file with one of the endings in `CONTAINERS`.
        stem: what its images are called, before the scene or position.
        notes: receives what a reader of the listing should know.

    Raises:
        InputError: its package is not installed or cannot read it.
    """
    with local_file(path, large=True) as file:
        planes = list(_PLANES[suffix_of(path.name)](file, stem, notes))
    return planes if file == path else [replace(plane, ref=replace(plane.ref, path=path)) for plane in planes]


def planes_of_named(plane: FoundPlane) -> list[FoundPlane]:
    """The planes of a file whose name, or a table, says plate, well, site or channel: that holds, the rest is its own.

    Raises:
        InputError: the file cannot be read, or says something else than its name.
    """
    path = plane.ref.path
    inner = planes_in(path, plane.name, [])
    channels = {one.channel for one in inner}
    named = plane.channel.key not in ("", "1") or bool(plane.channel.label)
    if named and len(channels) > 1:
        raise InputError(f"{path} holds {len(channels)} channels, but its name says it is channel {plane.channel.key}")
    wells = sorted({one.well for one in inner if one.well})
    if plane.well and wells and set(map(spell_well, wells)) != {spell_well(plane.well)}:
        raise InputError(f"{path} holds images of {', '.join(wells[:3])}, but its name says {plane.well}")
    several_times, several_depths, several_sites = (
        len({getattr(one, axis) for one in inner}) > 1 for axis in ("t", "z", "site")
    )
    return [
        replace(
            one,
            channel=plane.channel if named else one.channel,
            plate=plane.plate or one.plate,
            well=plane.well or one.well,
            site=".".join(part for part in (plane.site, one.site) if part)
            if several_sites
            else plane.site or one.site,
            z=one.z if several_depths or plane.z is None else plane.z,
            t=one.t if several_times or plane.t is None else plane.t,
            origin=plane.origin,
            row=plane.row,
            id=plane.id,
            metadata={**one.metadata, **plane.metadata},
        )
        for one in inner
    ]


def one_plane(path: Path, *, series: int = 0, c: int = 0, z: int = 0, t: int = 0) -> PlaneRef:
    """The plane of a file at a place, as CellProfiler counts: scene or position, channel, focus and time, from 0.

    Raises:
        InputError: there is no such plane, or the file cannot be read.
    """
    inner = planes_in(path, path.stem, [])
    scenes = list(dict.fromkeys(plane.name for plane in inner))
    wanted = (series, str(c + 1), z + 1, t + 1)
    for plane in inner:
        if (scenes.index(plane.name), plane.channel.key, plane.z or 1, plane.t or 1) == wanted:
            return plane.ref
    raise InputError(f"{path} has no plane of series {series}, channel {c}, z {z}, time {t}, each counted from 0")


def read_nth_plane(path: Path, page: int | None, *, max_pixels: int) -> npt.NDArray[Any]:
    """The plane of that number, counted from 0 in the order of `planes_in`; None where the file has one alone.

    Raises:
        InputError: there is no such plane, several where none is chosen, or the file cannot be read.
    """
    inner = planes_in(path, path.stem, [])
    if page is None and len(inner) > 1:
        raise InputError(f"{path} holds {len(inner)} planes: say which, by its page, counted from 0")
    if not 0 <= (page or 0) < len(inner):
        raise InputError(f"{path} has no page {page}: it has {len(inner)}, counted from 0")
    plane = inner[page or 0]
    if plane.problem:
        raise InputError(plane.problem)
    ref = plane.ref
    return STORES[ref.kind].read(ref.path, [ref.address], max_pixels)[0]


def _czi(path: Path, stem: str, notes: list[str]) -> Iterator[FoundPlane]:
    layout = czi.describe(path)
    if layout.tiles > 1:
        notes.append(f"{path.name} is a mosaic of {layout.tiles} tiles: stitched, and black where no tile lies")
    sites: dict[str, int] = {}
    for scene in layout.scenes:
        well = layout.wells.get(scene, "")
        sites[well] = sites.get(well, 0) + 1  # fields of a well are scenes of one name, in order
        for c in range(layout.sizes["C"]):
            for z in range(layout.sizes["Z"]):
                for t in range(layout.sizes["T"]):
                    yield FoundPlane(
                        PlaneRef(path, kind="czi", place=(scene, c, z, t)),
                        Channel(str(c + 1), layout.channels[c] if layout.channels else ""),
                        f"{stem}/{scene + 1}" if scene >= 0 and len(layout.scenes) > 1 else stem,
                        plate=Path(stem).name if well else "",
                        well=well,
                        site=str(sites[well] if well else scene + 1) if scene >= 0 else "",
                        z=z + 1 if layout.sizes["Z"] > 1 else None,
                        t=t + 1,
                        origin=stem,
                    )


def _nd2(path: Path, stem: str, notes: list[str]) -> Iterator[FoundPlane]:
    layout = nd2.describe(path)
    several = len({indices.get("P", 0) for indices in layout.frames}) > 1
    deep = any(indices.get("Z") for indices in layout.frames)
    for frame, indices in enumerate(layout.frames):
        position = indices.get("P", 0)
        label = layout.positions[position] if position < len(layout.positions) else ""
        match = _WELL.fullmatch(label)
        for c, channel in enumerate(layout.channels):
            yield FoundPlane(
                PlaneRef(path, kind="nd2", place=(frame, c)),
                Channel(str(c + 1), "" if channel.isdecimal() else channel),
                f"{stem}/{position + 1}" if several else stem,
                plate=Path(stem).name if match else "",
                well=match[1] if match else "",
                site=str(position + 1) if several else "",
                z=indices.get("Z", 0) + 1 if deep else None,
                t=indices["T"] + 1 if "T" in indices else None,
                origin=stem,
            )


def _lif(path: Path, stem: str, notes: list[str]) -> Iterator[FoundPlane]:
    for number, image in enumerate(lif.describe(path)):
        base = f"{stem}/{image.name}"
        outer = image.outer
        if not image.is_picture:
            reason = f"{path}: image {image.name} has the axes {', '.join(image.sizes) or 'of a point'}: no picture"
            yield FoundPlane(PlaneRef(path), Channel(""), base, problem=reason)
            continue
        if unknown := [axis for axis, size in outer.items() if axis not in ("M", "T", "Z", "C", "Y") and size > 1]:
            swept = "a sweep of wavelengths gives no stains" if {*unknown} & {"λ", "Λ"} else "known are M, T, Z and C"
            counts = ", ".join(f"{outer[axis]} planes along {axis}" for axis in unknown)
            reason = f"{path}: image {image.name} has {counts}: {swept}; export the planes that you need as TIFF"
            yield FoundPlane(PlaneRef(path), Channel(""), base, problem=reason)
            continue
        depth = "Y" if "Y" in outer else "Z"  # a scan in X and Z is moved along Y
        for places in product(*(range(size) for size in outer.values())):
            at = dict(zip(outer, places, strict=True))
            yield FoundPlane(
                PlaneRef(path, kind="lif", place=(number, *(part for pair in at.items() for part in pair))),
                Channel(str(at.get("C", 0) + 1)),
                f"{base}/{at['M'] + 1}" if outer.get("M", 1) > 1 else base,
                site=str(at["M"] + 1) if outer.get("M", 1) > 1 else "",
                z=at[depth] + 1 if outer.get(depth, 1) > 1 else None,
                t=at["T"] + 1 if outer.get("T", 1) > 1 else None,
                origin=stem,
            )


_PLANES = {".czi": _czi, ".nd2": _nd2, ".lif": _lif}
