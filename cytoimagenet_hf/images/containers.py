"""Files of several planes: stacks, by the axes that they state, and Zeiss `.czi`, Nikon `.nd2`, Leica `.lif`.

Scenes and positions of a whole acquisition are sites.
"""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import whole_or_none
from cytoimagenet_hf.imaging.stacks import StackLayout, describe_series, describe_stack
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.tables.wells import spell_well

from .base import PlaneRef
from .channels import Channel
from .collect import Findings, FoundPlane
from .remote import concurrently, is_remote, local_file
from .source import CONTAINERS, Ignored, Source, suffix_of, without_suffix
from .stores import STORES
from .stores.acquisitions import lif_axes, open_czi, open_lif, open_nd2

_SINGLE = frozenset({".png", ".bmp", ".dib", ".jpg", ".jpeg"})
"""Kinds of files that hold one plane, which need not be opened to know it."""

_WELL = re.compile(r"(?:.*[^A-Za-z0-9])?([A-Z]{1,2}\d{2})(?:[^A-Za-z0-9].*)?")
_UNPROCESSED = {
    "H": "phases or detectors, as raw Airyscan and SIM data: process it in ZEN first",
    "R": "rotations: export one of them",
    "I": "illuminations, as raw light-sheet data: fuse them in ZEN first",
    "V": "views, as raw light-sheet data: fuse them in ZEN first",
}
"""Axes of a `.czi` that have to be processed before there is an image, and what to do."""


def expand_stacks(planes: Sequence[FoundPlane], options: SourceOptions, *, named: bool) -> list[FoundPlane]:
    """The planes of every file, found by opening each; of a stack without axes, the number of stains names the pages.

    Where names of files say the channel (`named`), one of each channel is opened, and the rest where it is a stack.
    """
    if named:
        firsts: dict[tuple[str, Channel], FoundPlane] = {}
        for plane in planes:
            if not plane.problem:
                firsts.setdefault((plane.origin, plane.channel), plane)
        remote = any(is_remote(plane.ref.path) for plane in planes)
        if not any(concurrently(_is_stack, firsts.values(), remote=remote)):
            return list(planes)
        options = replace(options, stains={})
    with ThreadPoolExecutor(8) as pool:
        return [plane for inner in pool.map(lambda plane: list(_expanded(plane, options)), planes) for plane in inner]


def _is_stack(plane: FoundPlane) -> bool:
    if (suffix := suffix_of(plane.ref.path.name)) in _SINGLE | CONTAINERS:
        return suffix in CONTAINERS
    try:
        with local_file(plane.ref.path) as file:
            layout = describe_stack(file)
    except InputError:  # ambiguous: several planes; unreadable: the reason is given when it is read
        try:
            return plane.ref.path.is_file() and plane.ref.path.stat().st_size > 0
        except (OSError, InputError):
            return False
    return len(layout.axes) > 2 or layout.series_count > 1


def _expanded(plane: FoundPlane, options: SourceOptions) -> Iterator[FoundPlane]:
    if plane.problem or suffix_of(plane.ref.path.name) in _SINGLE:
        yield plane
        return
    try:
        if suffix_of(plane.ref.path.name) in CONTAINERS:
            yield from planes_of_named(plane)
            return
        layouts = _layouts(plane, options)
    except InputError as error:
        # Nothing is known of its channels, unless its name says them.
        yield replace(plane, channel=plane.channel if plane.channel.stated else Channel(""), problem=str(error))
        return
    for layout in layouts:
        yield from _planes(plane, layout)


def _layouts(plane: FoundPlane, options: SourceOptions) -> list[StackLayout]:
    with local_file(plane.ref.path) as path:
        try:
            return describe_series(path, axes=options.axes)
        except InputError:
            stains = options.stains
            if options.axes is not None or not isinstance(stains, tuple) or len(stains) < 2:
                raise
            # As many stains as pages: the caller has said that the pages are channels.
            first = describe_stack(path, axes="C")
            if first.sizes.get("C") != len(stains):
                raise
            return [first]


def _planes(plane: FoundPlane, layout: StackLayout) -> Iterator[FoundPlane]:
    outer = layout.axes.removesuffix("YX")
    field = str(layout.series + 1) if layout.series_count > 1 else ""
    name = f"{plane.name}/{field}" if field else plane.name
    site = ".".join(part for part in (plane.site, field) if part)
    if unknown := sorted(set(outer) - set("TZC")):
        reason = f"{plane.ref.path} has the axis {', '.join(unknown)}, which is neither channel, focus nor time"
        yield replace(plane, channel=Channel(""), name=name, site=site, problem=reason)
        return
    named = plane.channel.stated
    if "C" in outer and named:
        reason = (
            f"{plane.ref.path} holds {layout.sizes['C']} channels, but its name says it is channel {plane.channel.key}"
        )
        yield replace(plane, name=name, site=site, problem=reason)
        return
    for places in product(*(range(layout.sizes[letter]) for letter in outer)):
        at = dict(zip(outer, places, strict=True))
        label = layout.channel_names[at.get("C", 0)] if layout.channel_names else ""
        channel = plane.channel if named else Channel(str(at.get("C", 0) + 1), label)
        yield replace(
            plane,
            ref=PlaneRef(plane.ref.path, layout.page(**at)),
            channel=channel,
            name=name,
            site=site,
            z=at["Z"] + 1 if "Z" in at else plane.z,
            t=at["T"] + 1 if "T" in at else plane.t,
        )


@dataclass(frozen=True)
class Acquisitions:
    """A kind of source: files with one ending (lower case) that say all of their images themselves."""

    about: str
    suffix: str

    def matches(self, source: Source, options: SourceOptions) -> bool:
        """Any file with that ending."""
        return bool(source.with_suffix(self.suffix))

    def find(self, source: Source, options: SourceOptions) -> Findings:
        """Planes of all files with that ending; a file that cannot be read is an image with that problem."""
        names = source.with_suffix(self.suffix)
        planes: list[FoundPlane] = []
        notes: list[str] = []
        for name in names:
            path, stem = source.root / name, without_suffix(name)
            try:
                planes += planes_in(path, stem, notes)
            except InputError as error:
                planes.append(FoundPlane(PlaneRef(path), Channel(""), stem, problem=str(error)))
        ignored = [Ignored(name, f"not a {self.suffix} file") for name in source.files if name not in names]
        more = [f"the same holds for {len(notes) - 3} more files"] if len(notes) > 3 else []
        if len(names) > 1 and not any(plane.well for plane in planes):
            example = "{well}_s{site}" + self.suffix
            more.append(f"no file says its well: if the names do, say how: --pattern '{example}'")
        return Findings(planes, ignored, notes=[*notes[:3], *more])


def planes_in(path: Path, stem: str, notes: list[str]) -> list[FoundPlane]:
    """All planes of a file, by what it says of them; images are called `stem`, before the scene or position."""
    with local_file(path, large=True) as file:
        planes = list(_PLANES[suffix_of(path.name)](file, stem, notes))
    return planes if file == path else [replace(plane, ref=replace(plane.ref, path=path)) for plane in planes]


def planes_of_named(plane: FoundPlane) -> list[FoundPlane]:
    """The planes of a file whose name, or a table, says plate, well, site or channel, which goes before its own."""
    path = plane.ref.path
    inner = planes_in(path, plane.name, [])
    channels, named = {part.channel for part in inner}, plane.channel.stated
    if named and len(channels) > 1:
        raise InputError(f"{path} holds {len(channels)} channels, but its name says it is channel {plane.channel.key}")
    wells = sorted({part.well for part in inner if part.well})
    if plane.well and wells and set(map(spell_well, wells)) != {spell_well(plane.well)}:
        raise InputError(f"{path} holds images of {', '.join(wells[:3])}, but its name says {plane.well}")
    several_times, several_depths, several_sites = (
        len({getattr(part, axis) for part in inner}) > 1 for axis in ("t", "z", "site")
    )
    return [
        replace(
            plane,
            ref=part.ref,
            name=part.name,
            problem=part.problem,
            channel=plane.channel if named else part.channel,
            plate=plane.plate or part.plate,
            well=plane.well or part.well,
            site=".".join(filter(None, (plane.site, part.site))) if several_sites else plane.site or part.site,
            z=part.z if several_depths or plane.z is None else plane.z,
            t=part.t if several_times or plane.t is None else plane.t,
        )
        for part in inner
    ]


def one_plane(path: Path, *, series: int = 0, c: int = 0, z: int = 0, t: int = 0) -> PlaneRef:
    """The plane of a file at a place, as CellProfiler counts: scene or position, channel, focus and time, from 0."""
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
    with open_czi(path) as document:
        box = document.total_bounding_box
        scenes = sorted(document.scenes_bounding_rectangle) or [-1]
        metadata = document.metadata["ImageDocument"]["Metadata"]
    sizes = {axis: box[axis][1] - box[axis][0] if axis in box else 1 for axis in "CZTHRIV"}
    for axis, unprocessed in _UNPROCESSED.items():
        if sizes[axis] > 1:
            raise InputError(f"{path} holds {sizes[axis]} {unprocessed}")
    image = (metadata.get("Information") or {}).get("Image") or {}
    dimensions = image.get("Dimensions") or {}
    wells = {
        place if (index := whole_or_none(str(scene.get("@Index", place)))) is None else index: _scene_well(scene)
        for place, scene in enumerate(_elements(dimensions.get("S") or {}, "Scenes", "Scene"))
    }
    if (tiles := whole_or_none(str(image.get("SizeM", ""))) or 1) > 1:
        notes.append(f"{path.name} is a mosaic of {tiles} tiles: stitched, and black where no tile lies")
    channels = _czi_channels(metadata, dimensions, sizes["C"])
    sites: dict[str, int] = {}
    for scene in scenes:
        well = wells.get(scene, "")
        sites[well] = sites.get(well, 0) + 1  # fields of a well are scenes of one name, in order
        for c, z, t in product(*(range(sizes[axis]) for axis in "CZT")):
            yield FoundPlane(
                PlaneRef(path, kind="czi", place=(scene, c, z, t)),
                Channel(str(c + 1), channels[c] if channels else ""),
                f"{stem}/{scene + 1}" if scene >= 0 and len(scenes) > 1 else stem,
                plate=Path(stem).name if well else "",
                well=well,
                site=str(sites[well] if well else scene + 1) if scene >= 0 else "",
                z=z + 1 if sizes["Z"] > 1 else None,
                t=t + 1,
                origin=stem,
            )


def _czi_channels(metadata: dict[str, Any], dimensions: dict[str, Any], count: int) -> tuple[str, ...]:
    """Names of the channels; where the acquisition gives none, those under which ZEN displays them."""
    for parent in (dimensions, metadata.get("DisplaySetting") or {}):
        names = tuple(str(channel.get("@Name") or "") for channel in _elements(parent, "Channels", "Channel"))
        if len(names) == count and all(names):
            return names
    return ()


def _elements(parent: dict[str, Any], plural: str, single: str) -> list[dict[str, Any]]:
    listed = (parent.get(plural) or {}).get(single) or []
    elements = listed if isinstance(listed, list) else [listed]
    return [element for element in elements if isinstance(element, dict)]


def _scene_well(scene: dict[str, Any]) -> str:
    shape = scene.get("Shape")
    return str(scene.get("ArrayName") or (shape.get("@Name") if isinstance(shape, dict) else "") or "")


def _nd2(path: Path, stem: str, notes: list[str]) -> Iterator[FoundPlane]:
    with open_nd2(path) as document:
        count = document.sizes.get("C", 1)
        frames = [dict(indices) for indices in document.loop_indices] or [{}]
        names = [str(channel.channel.name) for channel in (document.metadata.channels or [])]
        positions = [
            str(point.name or "")
            for loop in document.experiment
            if loop.type == "XYPosLoop"
            for point in loop.parameters.points
        ]
    channels = names if len(names) == count and all(names) else [""] * count
    several = len({indices.get("P", 0) for indices in frames}) > 1
    deep = any(indices.get("Z") for indices in frames)
    for frame, indices in enumerate(frames):
        position = indices.get("P", 0)
        match = _WELL.fullmatch(positions[position]) if position < len(positions) else None
        for c, channel in enumerate(channels):
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
    with open_lif(path) as document:
        images = [(str(getattr(image, "path", image.name)), dict(image.sizes)) for image in document.images]
    for number, (name, sizes) in enumerate(images):
        outer, inner = lif_axes(sizes)
        counts = {axis: sizes[axis] for axis in outer}
        reason = ""
        if len(inner) != 2 or not set(inner) <= {"X", "Y", "Z"}:  # such as lines that were scanned over time
            reason = f"the axes {', '.join(sizes) or 'of a point'}: no picture"
        elif unknown := [axis for axis, size in counts.items() if axis not in ("M", "T", "Z", "C", "Y") and size > 1]:
            swept = "a sweep of wavelengths gives no stains" if {*unknown} & {"λ", "Λ"} else "known are M, T, Z and C"
            numbers = ", ".join(f"{counts[axis]} planes along {axis}" for axis in unknown)
            reason = f"{numbers}: {swept}; export the planes that you need as TIFF"
        base = f"{stem}/{name}"
        if reason:
            yield FoundPlane(PlaneRef(path), Channel(""), base, problem=f"{path}: image {name} has {reason}")
            continue
        depth = "Y" if "Y" in counts else "Z"  # a scan in X and Z is moved along Y
        for places in product(*(range(size) for size in counts.values())):
            at = dict(zip(counts, places, strict=True))
            yield FoundPlane(
                PlaneRef(path, kind="lif", place=(number, *(part for pair in at.items() for part in pair))),
                Channel(str(at.get("C", 0) + 1)),
                f"{base}/{at['M'] + 1}" if counts.get("M", 1) > 1 else base,
                site=str(at["M"] + 1) if counts.get("M", 1) > 1 else "",
                z=at[depth] + 1 if counts.get(depth, 1) > 1 else None,
                t=at["T"] + 1 if counts.get("T", 1) > 1 else None,
                origin=stem,
            )


_PLANES = {".czi": _czi, ".nd2": _nd2, ".lif": _lif}
