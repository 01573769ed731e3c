"""Files whose names follow a pattern that the caller gives: `{plate}_{well}_s{site}_w{c}.tif`."""

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.collect import Findings
from cytoimagenet_hf.images.expand import expand_if_stacks, expand_stacks
from cytoimagenet_hf.images.names import Naming, compile_pattern, planes_by_name
from cytoimagenet_hf.images.source import CONTAINERS, SUFFIXES, Ignored, Source, suffix_of
from cytoimagenet_hf.options.source import SourceOptions


def matches(source: Source, options: SourceOptions) -> bool:
    """Whenever a pattern is given."""
    return options.pattern is not None


def find(source: Source, options: SourceOptions) -> Findings:
    """Planes of the files that match; the rest is ignored, by name.

    Raises:
        InputError: no pattern, or one that no file matches.
    """
    if options.pattern is None:
        raise InputError("format pattern needs the pattern: --pattern '{well}_s{site}_w{c}.tif'")
    expression = compile_pattern(options.pattern)
    planes, others = planes_by_name(source, source.files, Naming(expression))
    if not planes:
        images = [name for name in source.files if suffix_of(name) in SUFFIXES | CONTAINERS]
        shown = next(iter(images), "none")
        raise InputError(
            f"no images in {source.text} match {options.pattern}: it has {len(images)} image files, the first "
            f"is {shown}"
        )
    reason = f"does not match {options.pattern}"
    ignored = [
        Ignored(name, reason if suffix_of(name) in SUFFIXES | CONTAINERS else "no image file") for name in others
    ]
    expand = expand_if_stacks if "c" in expression.groupindex else expand_stacks
    return Findings(expand(planes, options), ignored)
