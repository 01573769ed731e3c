"""A pattern for names that no known microscope writes: `extract` suggests it, the explorer says that it took it.

Names are cut at `_`, `-`, `.` and spaces, and folders at `/` where they mean something. A part is a well, a row and a
column, a site, a channel, a z plane or a time by how it looks, or a channel by how it varies. A suggestion is made
only if it explains every part that varies, tells all files apart, and gives every field the same channels.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.wells import normalise_well

from .channels import is_stain_word
from .names import compile_pattern

_CUT = re.compile(r"([_\-. /]+)")
_CHANNEL_WORDS = ("w", "c", "ch", "channel")
_BY_LOOK = {
    "site": re.compile(r"(s|f|fov|field|site|pos|xy)(\d+)", re.IGNORECASE),
    "c": re.compile(rf"({'|'.join(_CHANNEL_WORDS)})(\d+)", re.IGNORECASE),
    "z": re.compile(r"(z)(\d+)", re.IGNORECASE),
    "t": re.compile(r"(t)(\d+)", re.IGNORECASE),
}
_SITE_WORDS = ("site", "field", "fov", "pos", "position", "xy", "tile")  # `Site_1`: the number stands apart
_SEVERAL_FIELDS = re.compile(r"[A-Za-z]*\d+[A-Za-z]+\d+[A-Za-z\d]*")  # F001L01C02, D03f00d0, 00d04h00m
_MOST_CHANNELS = 8
_MOST_NAMES = 5_000  # more say nothing new

Column = Sequence[str]


def suggest_pattern(names: Iterable[str]) -> str | None:
    """A pattern that says which parts of names are well, site and channel.

    Args:
        names: of image files, relative, with `/`.

    Returns:
        A pattern of `names.compile_pattern` that fits every name, tells all files apart and gives every field the same
        channels; None where there is none with a channel or a well, or where a part may mean several things.

    Example:
        >>> wells, sites, stains = ("A01", "B02"), (1, 2), ("DAPI", "GFP")
        >>> suggest_pattern(f"exp7_{well}_F{site}_{stain}.tif" for well in wells for site in sites for stain in stains)
        'exp7_{well}_F{site}_{c}.tif'
    """
    full = [name for _, name in zip(range(_MOST_NAMES), names, strict=False)]
    if len(full) < 2:
        return None
    folders, bases = zip(*((folder, base) for folder, _, base in (name.rpartition("/") for name in full)), strict=True)
    if len(set(folders)) == 1 or not _say_something(folders):
        pattern = _suggested(bases, full, folders)
        # Folders of the same names may be plates, or channels.
        return pattern if len(set(folders)) == 1 or (pattern and "{c}" in pattern) else None
    return _suggested(full, full, [""] * len(full))


def _say_something(folders: Sequence[str]) -> bool:
    """Whether parts of folders that differ look like a well, a stain or another field, and not like plates alone."""
    rows = [_CUT.split(folder)[0::2] for folder in folders]
    if len(set(map(len, rows))) > 1:
        return False
    for column in zip(*rows, strict=True):
        looks = (*_BY_LOOK.values(), _SEVERAL_FIELDS)
        if len(set(column)) > 1 and (
            all(map(_is_well, column))
            or any(map(is_stain_word, column))
            or any(all(map(look.fullmatch, column)) for look in looks)
        ):
            return True
    return False


def _suggested(cut: Sequence[str], full: Sequence[str], folders: Sequence[str]) -> str | None:
    rows = [_CUT.split(name) for name in cut]
    if len({tuple(row[1::2]) for row in rows}) > 1:
        return None  # all names have to share the separators
    columns = list(zip(*(row[0::2] for row in rows), strict=True))
    in_folders = max((place for place, cut in enumerate(rows[0][1::2], 1) if "/" in cut), default=0)
    parts = None if _is_ambiguous(columns) else _parts(columns, folders, in_folders)
    if parts is None:
        return None
    pattern = "".join(part + cut for part, cut in zip(parts, [*rows[0][1::2], ""], strict=True))
    return pattern if _holds(pattern, full) else None


def _is_ambiguous(columns: Sequence[Column]) -> bool:
    """Whether a part holds several fields at once, or two parts may both be the well, the channel or another field."""
    if any(len(set(column)) > 1 and any(map(_SEVERAL_FIELDS.fullmatch, column)) for column in columns):
        return True
    looks: Counter[str] = Counter()
    for column in columns:
        field = _looks_like(column)
        if field is not None and len(set(column)) > 1:
            looks[field] += 1
        elif field is None and all(map(_is_well, column)):
            looks["well"] += 1
    return any(count > 1 for count in looks.values())


def _looks_like(column: Column) -> str | None:
    """The field that all values of a part look like: `s1`, `s2` are sites."""
    if len(set(column)) > 1 and all(map(is_stain_word, column)):
        return "c"
    for field, look in _BY_LOOK.items():
        matches = [look.fullmatch(value) for value in column]
        if all(matches) and len({match[1] for match in matches if match}) == 1:
            return field
    return None


def _parts(columns: Sequence[Column], folders: Sequence[str], in_folders: int) -> list[str] | None:
    """What each part of the names is: a field, or its text where all have the same; the first parts are of folders."""
    parts: dict[int, str] = {}
    taken: set[str] = set()

    def take(place: int, field: str, before: str = "") -> None:
        taken.add(field)
        parts[place] = f"{before}{{{field}}}"

    for varies in (True, False):  # s1 in every name is a site only where nothing that varies is one
        for place, column in enumerate(columns):
            field = _looks_like(column)
            if field and (len(set(column)) > 1) == varies and place not in parts and field not in taken:
                match = _BY_LOOK[field].fullmatch(column[0])
                take(place, field, match[1] if match else "")
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
    for place in range(len(columns)):
        if place not in parts and "site" not in taken and parts.get(place - 1, "").lower() in _SITE_WORDS:
            take(place, "site")
    rest = [place for place in range(len(columns)) if place not in parts]
    if len(rest) == 1 and rest[0] < in_folders and "c" in taken and wells:
        take(rest.pop(), "plate")
    elif len(rest) == 1 and rest[0] >= in_folders and "site" not in taken:
        take(rest.pop(), "site")
    return None if rest or not ("c" in taken or wells) else [parts[place] for place in range(len(columns))]


def _is_well(text: str) -> bool:
    try:
        normalise_well(text)
    except InputError:
        return False
    return not text.isdecimal()


def _follows(column: Column, others: Sequence[Column]) -> bool:
    """Whether the known parts settle this one."""
    seen: dict[tuple[str, ...], str] = {}
    return all(
        seen.setdefault(key, value) == value for key, value in zip(zip(*others, strict=True), column, strict=True)
    )


def _is_channel(column: Column, others: Sequence[Column]) -> bool:
    """Whether every field, of several, comes with each of these few values."""
    values = set(column)
    groups: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for key, value in zip(zip(*others, strict=True), column, strict=True):
        groups[key].add(value)
    return (
        2 <= len(values) <= _MOST_CHANNELS
        and len(groups) > 1
        and all(of_group == values for of_group in groups.values())
    )


def _holds(pattern: str, names: Sequence[str]) -> bool:
    """Whether every name fits, no two mean the same plane, and every field has the same few channels."""
    expression = compile_pattern(pattern)
    planes: set[tuple[tuple[str, str | None], ...]] = set()
    channels: defaultdict[tuple[tuple[str, str | None], ...], set[str]] = defaultdict(set)
    for name in names:
        match = expression.fullmatch(name)
        if match is None:
            return False
        values = match.groupdict()
        planes.add(tuple(values.items()))
        channel = values.pop("c", None) or ""
        channels[tuple(values.items())].add(channel)
    sets = {frozenset(of_field) for of_field in channels.values()}
    return len(planes) == len(names) and len(sets) == 1 and len(next(iter(sets))) <= _MOST_CHANNELS
