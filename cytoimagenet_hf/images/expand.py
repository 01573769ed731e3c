"""Files of several planes: each becomes its channels, z planes, times and fields, by the axes that it states."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging.stacks import StackLayout, describe_series, describe_stack
from cytoimagenet_hf.options.source import SourceOptions

from .base import PlaneRef
from .channels import Channel
from .collect import FoundPlane
from .containers import planes_of_named
from .remote import concurrently, is_remote, local_file
from .source import CONTAINERS, suffix_of

_SINGLE = frozenset({".png", ".bmp", ".dib", ".jpg", ".jpeg"})
"""Kinds of files that hold one plane, which need not be opened to know it."""


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
