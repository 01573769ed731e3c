"""Sources whose facts stand in the names of folders and files: a pattern, and what a match means.

Patterns are matched against the end of the lower-case path, so an archive unpacked some folders deeper, or with other
letter case, gives the same fields under the same keys.
"""

import re
from collections.abc import Callable, Iterator

from .base import Archive, Field, RejectedItem


def matching(archive: Archive, pattern: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Images whose lower-case path, or its end from a folder on, matches a pattern: the real path and the match."""
    # Lazy: of several ends that match, the longest, so that an optional folder of a pattern is seen.
    compiled = re.compile(rf"(?:.*?/)??(?:{pattern})")
    for image in archive.images:
        if match := compiled.fullmatch(image.lower()):
            yield image, match


def by_name(
    pattern: str, to_field: Callable[[str, re.Match[str]], Field | RejectedItem]
) -> Callable[[Archive], Iterator[Field | RejectedItem]]:
    """A `Source.scan` that makes one field of every image that matches; `annotate` reports the other images."""

    def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
        for image, match in matching(archive, pattern):
            yield to_field(image, match)

    return scan
