"""A folder, a glob or a file of images without further order: each file is an image, or a stack by its axes."""

from collections import Counter

from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane, not_images
from cytoimagenet_hf.images.expand import expand_stacks
from cytoimagenet_hf.images.source import Source, without_suffix
from cytoimagenet_hf.images.suggest import suggest_pattern
from cytoimagenet_hf.images.tables import TABLES
from cytoimagenet_hf.options.source import SourceOptions


def matches(source: Source, options: SourceOptions) -> bool:
    """Any image file at all."""
    return bool(source.images)


def find(source: Source, options: SourceOptions) -> Findings:
    """An image per file."""
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
    expanded = expand_stacks(planes, options)
    if not notes and len(names) > 1 and len(expanded) == len(names):
        pattern = suggest_pattern(names)
        notes = [
            "each file is an image of its own: where files are channels of one image, --pattern says which part of "
            "their names is what ({plate}, {well}, {site}, {c}, {z}, {t})"
            if pattern is None
            else f"each file is an image of its own: if names mean wells or channels: --pattern '{pattern}'"
        ]
    return Findings(expanded, not_images(source), notes=notes[:3])
