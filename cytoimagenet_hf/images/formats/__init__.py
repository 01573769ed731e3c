"""The kinds of sources, told by looking: a file each, as `matches(source, options)` and `find(source, options)`."""

from collections.abc import Callable
from dataclasses import dataclass

from cytoimagenet_hf.images.collect import Findings
from cytoimagenet_hf.images.options import Options
from cytoimagenet_hf.images.source import Source

from . import dataset, folder, pattern, table


@dataclass(frozen=True)
class Format:
    """One kind of source.

    Attributes:
        about: a line for listings and messages.
        matches: whether a source is of this kind.
        find: its planes.
    """

    about: str
    matches: Callable[[Source, Options], bool]
    find: Callable[[Source, Options], Findings]


FORMATS: dict[str, Format] = {
    "dataset": Format("a HuggingFace dataset: hf:NAME[:SPLIT] or a built folder", dataset.matches, dataset.find),
    "pattern": Format("files named by --pattern", pattern.matches, pattern.find),
    "table": Format("a CSV or Parquet table of files", table.matches, table.find),
    "folder": Format("image files, each an image or a stack", folder.matches, folder.find),
}
"""Name → kind; the first that matches is taken."""
