"""A pattern for names that no known microscope writes: `extract` suggests it, the explorer says that it took it.

Names are cut at `_`, `-`, `.` and spaces. A part is a well, a row and a column, a site, a channel, a z plane or a time
by how it looks, or a channel by how it varies. A suggestion holds only if it tells all files apart.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.wells import normalise_well

from .names import compile_pattern

_CUT = re.compile(r"([_\-. ]+)")
_CHANNEL_WORDS = ("w", "c", "ch", "channel")
_BY_LOOK = {
    "site": re.compile(r"(s|f|fov|field|site|pos|xy)(\d+)", re.IGNORECASE),
    "c": re.compile(rf"({'|'.join(_CHANNEL_WORDS)})(\d+)", re.IGNORECASE),
    "z": re.compile(r"(z)(\d+)", re.IGNORECASE),
    "t": re.compile(r"(t)(\d+)", re.IGNORECASE),
}
_MOST_CHANNELS = 8
_MOST_NAMES = 5_000  # more say nothing new

Column = Sequence[str]


def suggest_pattern(names: Iterable[str]) -> str | None:
    """A pattern that says which parts of names are well, site and channel.

    Args:
        names: of image files, relative, with `/`.

    Returns:
        A pattern of `names.compile_pattern` that fits every name and tells all files apart; None where there is none
        with a channel or a well.

    Example:
        >>> wells, sites, stains = ("A01", "B02"), (1, 2), ("DAPI", "GFP")
        >>> suggest_pattern(f"exp7_{well}_F{site}_{stain}.tif" for well in wells for site in sites for stain in stains)
        'exp7_{well}_F{site}_{c}.tif'
    """
    full = [name for _, name in zip(range(_MOST_NAMES), names, strict=False)]
    rows = [_CUT.split(name.rpartition("/")[2]) for name in full]
    if len(full) < 2 or len({tuple(row[1::2]) for row in rows}) > 1:
        return None  # all names have to share the separators
    columns = list(zip(*(row[0::2] for row in rows), strict=True))
    parts = _parts(columns, [name.rpartition("/")[0] for name in full])
    if parts is None:
        return None
    pattern = "".join(part + cut for part, cut in zip(parts, [*rows[0][1::2], ""], strict=True))
    return pattern if _tells_apart(pattern, full) else None


def _parts(columns: Sequence[Column], folders: Sequence[str]) -> list[str] | None:
    """What each part of the names is: a field, or its text where all have the same."""
    parts: dict[int, str] = {}
    taken: set[str] = set()

    def take(place: int, field: str, before: str = "") -> None:
        taken.add(field)
        parts[place] = f"{before}{{{field}}}"

    for place, column in enumerate(columns):
        for field, look in _BY_LOOK.items():
            found = [look.fullmatch(value) for value in column]
            befores = {match[1] for match in found if match}
            if place not in parts and field not in taken and all(found) and len(befores) == 1:
                take(place, field, befores.pop())
    for place, column in enumerate(columns):
        if place not in parts and "well" not in taken and all(map(_is_well, column)):
            take(place, "well")
    parts |= {place: column[0] for place, column in enumerate(columns) if len(set(column)) == 1} | parts
    for place, (column, following) in enumerate(pairwise(columns)):
        free = {place, place + 1}.isdisjoint(parts) and taken.isdisjoint({"well", "row"})
        if free and all(map(_is_well, map("".join, zip(column, following, strict=True)))):
            take(place, "row")
            take(place + 1, "column")
    wells = [place for place, part in parts.items() if part in ("{well}", "{row}", "{column}")]
    for place, column in enumerate(columns):
        if place not in parts and wells and _follows(column, [folders, *(columns[well] for well in wells)]):
            parts[place] = "{_}"  # the number of the well, say
    for place in reversed(range(len(columns))):
        others = [folders, *(column for other, column in enumerate(columns) if other != place)]
        named = parts.get(place - 1, "").lower() in _CHANNEL_WORDS or not all(map(str.isdecimal, columns[place]))
        if place not in parts and "c" not in taken and named and _is_channel(columns[place], others):
            take(place, "c")
    rest = [place for place in range(len(columns)) if place not in parts]
    if len(rest) == 1 and "site" not in taken:
        take(rest.pop(), "site")
    return None if rest or not ("c" in taken or wells) else [parts[place] for place in range(len(columns))]


def _is_well(text: str) -> bool:
    try:
        normalise_well(text)
    except InputError:
        return False
    return not text.isdecimal()


def _follows(column: Column, known: Sequence[Column]) -> bool:
    """Whether the known parts settle this one."""
    seen: dict[tuple[str, ...], str] = {}
    return all(
        seen.setdefault(key, value) == value for key, value in zip(zip(*known, strict=True), column, strict=True)
    )


def _is_channel(column: Column, others: Sequence[Column]) -> bool:
    """Whether nearly every name comes with each of these few values."""
    values = set(column)
    groups: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for key, value in zip(zip(*others, strict=True), column, strict=True):
        groups[key].add(value)
    whole = sum(found == values for found in groups.values())
    return 2 <= len(values) <= _MOST_CHANNELS and whole >= 0.9 * len(groups)


def _tells_apart(pattern: str, names: Sequence[str]) -> bool:
    """Whether every name fits and no two mean the same plane."""
    expression = compile_pattern(pattern)
    places = Counter(
        tuple(match.groupdict().items()) if (match := expression.fullmatch(name)) else None for name in names
    )
    return None not in places and max(places.values()) == 1
