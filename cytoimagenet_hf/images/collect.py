"""Planes of any source become images: grouped by plate, well, site and time, z planes together, channels named.

Every format ends here, so that ids, wells, missing channels and doubles are treated one way.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import whole_or_none
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.options.storage import Storage
from cytoimagenet_hf.tables.cells import spelled
from cytoimagenet_hf.tables.wells import normalise_well

from .base import Image, PlaneRef, Rejection
from .channels import Channel, in_order, name_channels
from .source import SUFFIXES, Ignored, Source, natural, suffix_of


@dataclass(frozen=True)
class FoundPlane:
    """One plane as a format found it, in the words of its source.

    Its channel has no key where a problem keeps it unknown. Planes of two origins never make one image.
    """

    ref: PlaneRef
    channel: Channel
    name: str  # of its image, where plate and well do not tell: relative path without suffix
    plate: str = ""
    well: str = ""  # as written
    site: str = ""  # field of view within the well
    z: int | None = None  # number of the plane in its stack, from 1
    t: int | None = None  # number of the time point, from 1
    origin: str = ""  # folder of the measurement it belongs to
    row: str = ""  # of a table in which each row is an image
    id: str = ""  # given by the source
    metadata: Mapping[str, Any] = field(default_factory=dict)  # further columns of its source
    problem: str = ""  # why its image cannot be used


@dataclass(frozen=True)
class Findings:
    """What a format found in a source."""

    planes: Sequence[FoundPlane]
    ignored: Sequence[Ignored] = ()  # what gave none, and why
    channels: Sequence[Channel] = ()  # in the source's own order; by default by number or name
    notes: Sequence[str] = ()  # what a reader of the listing should know


def not_images(source: Source, *read: str) -> list[Ignored]:
    """The files of a source whose ending is not that of an image, except those that were read."""
    return [
        Ignored(name, "no image file") for name in source.files if suffix_of(name) not in SUFFIXES and name not in read
    ]


@dataclass(frozen=True)
class Found:
    """What a source holds.

    Attributes:
        source: as the caller wrote it.
        format: key of `FORMATS`.
        images: all images, those that cannot be used among them, by id.
        stains: each channel of the source and the stain it became.
        ignored: files that gave no image, and why.
        notes: what else to know before anything is computed.
        storage: how its addresses are reached, also for what is joined later: masks, illumination functions.
    """

    source: str
    format: str
    images: list[Image]
    stains: Mapping[Channel, str]
    ignored: tuple[Ignored, ...]
    notes: tuple[str, ...]
    storage: Storage = field(default_factory=Storage)

    @property
    def rejected(self) -> list[Rejection]:
        """The images that cannot be used, as far as this is known without opening them."""
        reasons = ((image.id, image.reason_against()) for image in self.images)
        return [Rejection(name, reason) for name, reason in reasons if reason]


def as_found(images: Found | Iterable[Image]) -> Found:
    """What `look` found; images alone, such as those of `find_images`, as if it had found them."""
    if isinstance(images, Found):
        return images
    listed = [] if isinstance(images, str | Path) else list(images)
    if not listed or not all(isinstance(image, Image) for image in listed):
        raise InputError("give what `look` found, or the images of `find_images`, such as look('plate/')")
    return Found("these images", "images", listed, {}, (), ())


_Key = tuple[Any, ...]


def assemble(source: Source, kind: str, findings: Findings, options: SourceOptions) -> Found:
    """Images from planes; channels that cannot be named as asked are an `InputError`, see `channels.name_channels`."""
    if not any(plane.channel.key for plane in findings.planes):
        raise InputError(findings.planes[0].problem)
    all_planes = findings.planes if findings.channels else _known_by_label(findings.planes)
    # A Mac writes ü of a file's name as u and a mark: the plate is still one.
    all_planes = [p if p.plate.isascii() else replace(p, plate=spelled(p.plate)) for p in all_planes]
    channels = list(findings.channels) or in_order(plane.channel for plane in all_planes if plane.channel.key)
    form = _Form(all_planes, channels, options)
    groups: dict[_Key, list[FoundPlane]] = {}
    for plane in all_planes:
        place = (plane.plate, form.wells[plane.well][0], plane.site) if plane.well else (plane.name,)
        groups.setdefault((plane.origin, plane.row, plane.t, *place), []).append(plane)
    drafts = [form.image(planes) for planes in groups.values()]
    images, notes = _with_ids(drafts)
    notes += _lacking(drafts)
    return Found(
        source.text,
        kind,
        sorted(images, key=lambda image: natural(image.id)),
        form.stains,
        (*source.ignored, *findings.ignored),
        (*findings.notes, *notes),
        options.storage,
    )


def _known_by_label(planes: Sequence[FoundPlane]) -> Sequence[FoundPlane]:
    """Planes whose channels have one key per label, as a dye keeps its name where files count it differently.

    A label that two channels of one measurement share (three bright-field planes) keeps its keys.
    """
    keys: dict[str, dict[str, set[str]]] = {}  # label → measurement → keys
    for channel, origin in dict.fromkeys((plane.channel, plane.origin) for plane in planes):
        if channel.label:
            keys.setdefault(channel.label, {}).setdefault(origin, set()).add(channel.key)
    key_of: dict[str, str] = {}
    for label, places in keys.items():
        every = set().union(*places.values())
        if len(every) > 1 and all(len(of_place) == 1 for of_place in places.values()):
            key_of[label] = min(every, key=natural)
    if not key_of:
        return planes
    return [
        replace(plane, channel=Channel(key_of[plane.channel.label], plane.channel.label))
        if plane.channel.label in key_of
        else plane
        for plane in planes
    ]


@dataclass(frozen=True)
class _Draft:
    image: Image
    place: tuple[str, ...]  # plate, well, site, t: what an id is made of; empty without a well
    name: str
    origin: str
    given: str


class _Form:
    """What all images of a source share."""

    def __init__(self, planes: Sequence[FoundPlane], channels: Sequence[Channel], options: SourceOptions) -> None:
        self.stains, self.order = name_channels(channels, stains=options.stains, wanted=options.channels)
        self.options = options
        self.wells = _wells(planes)
        self.whole_sites = all(whole_or_none(plane.site) is not None for plane in planes if plane.site)
        self.several_times = len({plane.t for plane in planes}) > 1
        self.chosen = options.projection if isinstance(options.projection, int) else None  # of the z planes
        self.depths = _depths(planes) if self.chosen is None else {}

    def image(self, planes: list[FoundPlane]) -> _Draft:
        first = planes[0]
        well, no_well = self.wells.get(first.well, ("", ""))
        metadata = self._metadata(planes, well)
        problems = [problem for problem in (*(plane.problem for plane in planes), no_well) if problem]
        by_stain: dict[str, dict[int | None, FoundPlane]] = {stain: {} for stain in self.order}
        for plane in planes:
            if plane.channel not in self.stains or (self.chosen and plane.z not in (None, self.chosen)):
                continue
            stack = by_stain[self.stains[plane.channel]]
            if plane.z in stack:
                problems.append(_double(self.stains[plane.channel], stack[plane.z], plane))
            stack[plane.z] = plane
        problems += self._gaps(first, by_stain)
        image = Image(
            "",
            self.order,
            tuple(tuple(stack[z].ref for z in sorted(stack, key=lambda z: z or 0)) for stack in by_stain.values()),
            metadata,
            "mean" if self.options.projection == "mean" else "max",
            problems[0] if problems else "",
            max_pixels=self.options.max_pixels,
        )
        place = (first.plate, well, first.site, str(metadata.get("t", ""))) if first.well else ()
        name = f"{first.name}/{metadata['t']}" if "t" in metadata else first.name
        return _Draft(image, place, name, first.origin, first.id)

    def _metadata(self, planes: list[FoundPlane], well: str) -> dict[str, Any]:
        first = planes[0]
        site = whole_or_none(first.site) if self.whole_sites and first.site else first.site
        facts: dict[str, Any] = {"plate": first.plate, "well": well, "site": site}
        facts = {name: fact for name, fact in facts.items() if fact != ""}
        if self.chosen and any(plane.z is not None for plane in planes):
            facts["z"] = self.chosen
        if self.several_times and first.t is not None:
            facts["t"] = first.t
        for plane in planes:
            facts |= {column: value for column, value in plane.metadata.items() if column not in facts}
        return facts

    def _gaps(self, first: FoundPlane, by_stain: Mapping[str, Mapping[int | None, FoundPlane]]) -> list[str]:
        """Stacks that lack files which others of the plate have: projected, they would differ silently."""
        gaps = []
        for stain, stack in by_stain.items():
            if not stack:
                continue
            key = next(iter(stack.values())).channel.key
            expected = self.depths.get((first.origin, first.plate, key), 0)
            if len(stack) < expected:
                gaps.append(f"channel {stain} has {len(stack)} z planes where other images have {expected}")
        return gaps


def _lacking(drafts: Sequence[_Draft]) -> list[str]:
    """What to do where whole plates or files lack channels that others of the source have."""
    present: dict[str, set[str]] = {}
    for draft in drafts:
        if draft.image.problem:
            continue
        stains_there = present.setdefault(str(draft.image.metadata.get("plate", "")) or draft.origin, set())
        stains_there |= {
            stain for stain, planes in zip(draft.image.channels, draft.image.planes, strict=True) if planes
        }
    every = {stain for stains in present.values() for stain in stains}
    lacking = {place: sorted(every - stains, key=natural) for place, stains in present.items() if stains != every}
    if not lacking:
        return []
    place, stains = next(iter(lacking.items()))
    examples = ", ".join(stains[:3]) + (f" and {len(stains) - 3} more" if len(stains) > 3 else "")
    more = f" ({len(lacking)} plates or files lack channels)" if len(lacking) > 1 else ""
    return [
        f"{place or 'the source'} has no channel {examples}{more}: choose channels that all have (--channels), or "
        "extract them one by one"
    ]


def _depths(planes: Iterable[FoundPlane]) -> dict[tuple[str, str, str], int]:
    """Number of z planes per measurement, plate and channel, where each plane is a file of its own."""
    counts: Counter[_Key] = Counter()
    for plane in planes:
        if plane.well and plane.z is not None and plane.ref.kind == "file" and plane.ref.page is None:
            counts[plane.origin, plane.plate, plane.channel.key, plane.row, plane.well, plane.site, plane.t] += 1
    depths: dict[tuple[str, str, str], int] = {}
    for (origin, plate, channel, *_), count in counts.items():
        depths[origin, plate, channel] = max(count, depths.get((origin, plate, channel), 0))
    return depths


def _wells(planes: Iterable[FoundPlane]) -> dict[str, tuple[str, str]]:
    """Well as written → `A01`; a name that is not a well stays as it is, with the reason."""
    wells = {}
    for written in {plane.well for plane in planes if plane.well}:
        try:
            wells[written] = normalise_well(written), ""
        except InputError as error:
            wells[written] = written, str(error)
    return wells


def _double(stain: str, first: FoundPlane, second: FoundPlane) -> str:
    wells = f"; wells {first.well} and {second.well} are one" if first.well != second.well else ""
    return f"two planes of channel {stain}: {_where(first.ref)} and {_where(second.ref)}{wells}"


def _where(ref: PlaneRef) -> str:
    return f"{ref.path.name}{list(ref.address) if ref.address else ''}"


def _with_ids(drafts: Sequence[_Draft]) -> tuple[list[Image], list[str]]:
    """Ids that are unique: place on the plate, else name; doubles keep apart by name and origin, and are named."""
    places = Counter(draft.place for draft in drafts if draft.place)
    origins: dict[tuple[str, ...], set[str]] = {}
    for draft in drafts:
        if draft.place and places[draft.place] > 1:
            origins.setdefault(draft.place, set()).add(draft.origin)
    ids: list[str] = []
    problems: list[str] = []
    notes: dict[str, None] = {}
    for draft in drafts:
        problem = draft.image.problem
        name = draft.given or ("/".join(part for part in draft.place if part) or draft.name)
        if draft.place and places[draft.place] > 1 and not draft.given:
            plate, well, site, _ = draft.place
            if len(origins[draft.place]) > 1:
                name = f"{draft.origin}/{name}"
                folders = ", ".join(sorted(origin or "." for origin in origins[draft.place]))
                problem = problem or f"plate {plate!r} lies in several folders ({folders}): extract them one by one"
                notes[f"plate {plate!r} lies in several folders ({folders}); images they share are refused"] = None
            else:
                name = f"{name}/{draft.name}"
                if site:
                    problem = problem or f"plate {plate!r}, well {well}, site {site} is there more than once"
        ids.append(name)
        problems.append(problem)
    repeated = Counter(ids)
    for number, (name, draft) in enumerate(zip(ids, drafts, strict=True)):
        if repeated[name] > 1 and draft.given:
            raise InputError(f"id {name!r} occurs twice: ids must be unique")
        if repeated[name] > 1:  # refused, so that the number never stands in a table of features
            ids[number] = f"{name}#{number + 1}"
            problems[number] = problems[number] or f"{name} is there more than once"
    images = [
        replace(image, id=name, problem=problem)
        for name, image, problem in zip(ids, (draft.image for draft in drafts), problems, strict=True)
    ]
    return images, list(notes)
