"""A folder per channel, with files of the same names in each: `DAPI/A01_1.tif`, `tubulin/A01_1.tif`.

Folders of classes look the same, so that this kind is read only when it is asked for.
"""

import re

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.collect import Findings, not_images
from cytoimagenet_hf.images.expand import expand_if_stacks
from cytoimagenet_hf.images.names import Naming, compile_pattern, planes_by_name
from cytoimagenet_hf.images.source import Ignored, Source
from cytoimagenet_hf.images.suggest import suggest_pattern
from cytoimagenet_hf.options.source import SourceOptions

_ANY = re.compile(r"(?P<_folder>(?:[^/]+/)*)(?P<c>[^/]+)/(?P<image>[^/]+?)\.[^./]+")


def matches(source: Source, options: SourceOptions) -> bool:
    """Never: the caller has to say it."""
    return False


def find(source: Source, options: SourceOptions) -> Findings:
    """Planes whose channel is the name of their folder; wells and sites as far as the rest of the names says them.

    Raises:
        InputError: files that lie in no folder below the source.
    """
    pattern = suggest_pattern(source.images)
    in_folders = pattern is not None and "{c}" in pattern.rpartition("/")[0]
    expression = compile_pattern(pattern) if pattern is not None and in_folders else _ANY
    planes, others = planes_by_name(source, source.images, Naming(expression))
    if not planes:
        raise InputError(f"{source.text} has no folders of images that could be channels")
    ignored = [Ignored(name, "in no folder of a channel") for name in others]
    notes = [f"names are read as --pattern '{pattern}'"] if in_folders else []
    return Findings(expand_if_stacks(planes, options), ignored + not_images(source), notes=notes)
