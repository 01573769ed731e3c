"""Files of images: named by a pattern that the caller gives, in a folder per channel, or without further order."""

import re
from collections import Counter

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane, not_images
from cytoimagenet_hf.images.containers import expand_stacks
from cytoimagenet_hf.images.names import Naming, compile_pattern, planes_by_name
from cytoimagenet_hf.images.source import CONTAINERS, SUFFIXES, Ignored, Source, suffix_of, without_suffix
from cytoimagenet_hf.images.suggest import suggest_pattern
from cytoimagenet_hf.images.tables import TABLES
from cytoimagenet_hf.options.source import SourceOptions

_IN_FOLDERS = re.compile(r"(?P<_folder>(?:[^/]+/)*)(?P<c>[^/]+)/(?P<image>[^/]+?)\.[^./]+")


def by_pattern(source: Source, options: SourceOptions) -> Findings:
    """Planes of the files whose names fit `{plate}_{well}_s{site}_w{c}.tif`; the rest is ignored, by name."""
    if options.pattern is None:
        raise InputError("format pattern needs the pattern: --pattern '{well}_s{site}_w{c}.tif'")
    expression = compile_pattern(options.pattern)
    planes, others = planes_by_name(source, source.files, Naming(expression))
    if not planes:
        images = [name for name in source.files if suffix_of(name) in SUFFIXES | CONTAINERS]
        raise InputError(
            f"no images in {source.text} match {options.pattern}: it has {len(images)} image files, the first "
            f"is {next(iter(images), 'none')}"
        )
    reason = f"does not match {options.pattern}"
    ignored = [
        Ignored(name, reason if suffix_of(name) in SUFFIXES | CONTAINERS else "no image file") for name in others
    ]
    return Findings(expand_stacks(planes, options, named="c" in expression.groupindex), ignored)


def by_channel_folder(source: Source, options: SourceOptions) -> Findings:
    """Planes whose channel is the name of their folder (`DAPI/A01_1.tif`, `tubulin/A01_1.tif`).

    Wells and sites are known as far as the rest of the names says them.
    """
    pattern = suggest_pattern(source.images)
    in_folders = pattern is not None and "{c}" in pattern.rpartition("/")[0]
    expression = compile_pattern(pattern) if pattern is not None and in_folders else _IN_FOLDERS
    planes, others = planes_by_name(source, source.images, Naming(expression))
    if not planes:
        raise InputError(f"{source.text} has no folders of images that could be channels")
    ignored = [Ignored(name, "in no folder of a channel") for name in others]
    notes = [f"names are read as --pattern '{pattern}'"] if in_folders else []
    return Findings(expand_stacks(planes, options, named=True), ignored + not_images(source), notes=notes)


def one_by_one(source: Source, options: SourceOptions) -> Findings:
    """An image per file, or a stack by its axes."""
    names = source.images
    # a.png beside a.tif: the suffix becomes part of the id
    stems = Counter(map(without_suffix, names))
    planes = [
        FoundPlane(
            PlaneRef(source.root / name),
            Channel("1"),
            name if stems[without_suffix(name)] > 1 else without_suffix(name),
        )
        for name in names
    ]
    notes = [
        f"{name} is a table: to read the images by it, give it as the source" for name in source.with_suffix(*TABLES)
    ]
    expanded = expand_stacks(planes, options, named=False)
    if not notes and len(names) > 1 and len(expanded) == len(names):
        pattern = suggest_pattern(names)
        notes = [
            "each file is an image of its own: where files are channels of one image, --pattern says which part of "
            "their names is what ({plate}, {well}, {site}, {c}, {z}, {t})"
            if pattern is None
            else f"each file is an image of its own: if names mean wells or channels: --pattern '{pattern}'"
        ]
    return Findings(expanded, not_images(source), notes=notes[:3])
