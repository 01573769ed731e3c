"""Names of files that carry plate, well, site, channel, z and time: patterns of one's own, and what a match means."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import plain_number, whole_number, whole_or_none
from cytoimagenet_hf.tables.wells import well_at

from .base import PlaneRef
from .channels import Channel
from .collect import FoundPlane
from .source import Source, without_suffix

FIELDS: dict[str, str] = {
    "plate": r"[^/]+?",
    "well": r"[A-Za-z]{1,2}-?\d{1,3}(?:\.[ab][12])?",
    "row": r"[A-Za-z]{1,2}|\d{1,2}",
    "column": r"\d{1,2}",
    "site": r"[^/]+?",
    "c": r"[^/]+?",
    "z": r"\d+",
    "t": r"\d+",
}
"""Field of a pattern → what it may stand for; a field of another name stands for any text and becomes metadata."""

_TAKEN = {*FIELDS, "field_x", "field_y"}
_TOKEN = re.compile(r"\{(\w*)\}|(\*\*/)|(\*)|(\?)")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern such as `{plate}/{well}_s{site}_w{c}*.tif`.

    Args:
        pattern: `{field}` a value, `*` any text within a name, `?` one character, `**/` any folders, `{_}` ignored
            text. Without `/`, it matches names in any folder.

    Example:
        >>> compile_pattern("{well}_w{c}.tif").fullmatch("week1/B02_w3.tif").groupdict()
        {'_folder': 'week1/', 'well': 'B02', 'c': '3'}
    """
    fields = [match[1] for match in _TOKEN.finditer(pattern) if match[1] not in (None, "_")]
    if pattern.isalpha():
        raise InputError(f"pattern {pattern!r} has no fields: a known kind of source is --format {pattern.lower()}")
    if not fields or "" in fields or len(set(fields)) != len(fields):
        raise InputError(f"pattern {pattern!r} needs fields, each once: {{plate}}_{{well}}_s{{site}}_w{{c}}.tif")
    if ("row" in fields) != ("column" in fields) or ("row" in fields and "well" in fields):
        raise InputError(f"pattern {pattern!r}: a place is {{well}}, or {{row}} and {{column}} together")
    parts, end = [], 0
    for match in _TOKEN.finditer(pattern):
        parts += [re.escape(pattern[end : match.start()]), _expression(match)]
        end = match.end()
    prefix = "" if "/" in pattern else r"(?P<_folder>(?:[^/]+/)*)"
    return re.compile(prefix + "".join(parts) + re.escape(pattern[end:]))


def _expression(match: re.Match[str]) -> str:
    name, folders, star, _ = match.groups()
    if name == "_":
        return r"[^/]*?"
    if name:
        return f"(?P<{name}>{FIELDS.get(name, '[^/]+?')})"
    return r"(?:[^/]+/)*" if folders else r"[^/]*" if star else r"[^/]"


@dataclass(frozen=True)
class Naming:
    """What names of files mean beyond the groups of their expression.

    Attributes:
        expression: groups `plate, well, row, column, site, c, z, t`, `label` (the name of channel c), `_folder`; other
            groups become metadata, and those that start with `_` are dropped.
        split_folder: folder of a file → folder of its measurement, and values that the folders in between give.
        plate_of: folder of a measurement, absolute → its plate, where the name does not say.
        first: number from which the instrument counts a field, where that is not 1.
    """

    expression: re.Pattern[str]
    split_folder: Callable[[str], tuple[str, dict[str, str]]] = lambda folder: (folder, {})
    plate_of: Callable[[Path], str] = lambda folder: folder.name
    first: Mapping[str, int] = field(default_factory=dict)


def naming(
    pattern: str,
    *,
    plate_of: Callable[[Path], str] = lambda folder: folder.name,
    first: Mapping[str, int] | None = None,
) -> Naming:
    """How an instrument names its files, in any folder and letter case; `pattern` has the groups of `Naming`."""
    expression = re.compile(rf"(?P<_folder>(?:[^/]+/)*?){pattern}", re.IGNORECASE)
    return Naming(expression, plate_of=plate_of, first=first or {})


def planes_by_name(source: Source, names: Iterable[str], naming: Naming) -> tuple[list[FoundPlane], list[str]]:
    """A plane for every name that the expression matches in full; and the names that it does not match."""
    planes, others = [], []
    root = source.root.resolve()
    for name in names:
        match = naming.expression.fullmatch(name)
        if match is None:
            others.append(name)
            continue
        values = {field: value for field, value in match.groupdict().items() if value is not None}
        folder = values.pop("_folder", "").rstrip("/")
        origin, between = naming.split_folder(folder)
        values = between | {field: value for field, value in values.items() if not field.startswith("_")}
        label = values.pop("label", "")
        well, problem = _well(values, naming.first)
        try:
            z, t = (_number(values.get(axis), naming.first.get(axis, 1)) for axis in ("z", "t"))
        except InputError as error:
            z, t, problem = None, None, problem or str(error)
        planes.append(
            FoundPlane(
                PlaneRef(source.root / name),
                Channel(plain_number(values.get("c", "1")), label),
                _name(name, folder, values) or root.name,
                plate=values.get("plate", "") or (naming.plate_of(root / origin) if well else ""),
                well=well,
                site=_site(values, naming.first.get("site", 1)),
                z=z,
                t=t,
                origin=origin,
                metadata={field: value for field, value in values.items() if field not in _TAKEN},
                problem=problem,
            )
        )
    return planes, others


def share_named(source: Source, naming: Naming) -> float:
    """The share of a source's image files that are named so."""
    names = source.images
    return sum(1 for name in names if naming.expression.fullmatch(name)) / max(1, len(names))


def _site(values: Mapping[str, str], first: int) -> str:
    if "field_x" in values:
        return f"x{plain_number(values['field_x'])}y{plain_number(values['field_y'])}"
    return _from_one(values.get("site", ""), first)


def _number(text: str | None, first: int) -> int | None:
    return None if text is None else whole_number(text, "the number of a plane") - first + 1


def _from_one(text: str, first: int) -> str:
    number = whole_or_none(text)
    return plain_number(text) if number is None else str(number - first + 1)


def _well(values: Mapping[str, str], first: Mapping[str, int]) -> tuple[str, str]:
    if "row" not in values:
        return values.get("well", ""), ""
    row, column = (_from_one(values[field], first.get(field, 1)) for field in ("row", "column"))
    try:
        return well_at(row, column), ""
    except InputError as error:
        return f"{row}-{column}", str(error)


def _name(name: str, folder: str, values: Mapping[str, str]) -> str:
    """Name of an image without a well: what its file's name says but channel, z and time, below its folder.

    Where it says nothing else, the files of a folder are one image, which is called by the folder; empty at the root.
    """
    parts = [value for field, value in values.items() if field not in ("c", "z", "t")]
    stem = "" if values else without_suffix(name)
    return "/".join(part for part in (folder, "-".join(parts)) if part) or stem
