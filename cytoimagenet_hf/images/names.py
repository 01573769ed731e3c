"""Names of files that carry plate, well, site, channel, z and time: patterns of one's own, and what a match means."""

import re
from collections.abc import Callable, Iterable, Mapping

from cytoimagenet_hf.errors import InputError

from .base import PlaneRef
from .channels import Channel
from .collect import FoundPlane
from .source import Source, without_suffix
from .wells import well_at

FIELDS: dict[str, str] = {
    "plate": r"[^/]+?",
    "well": r"[A-Za-z]{1,2}-?\d{1,3}",
    "row": r"[A-Za-z]{1,2}|\d{1,2}",
    "column": r"\d{1,2}",
    "site": r"[^/]+?",
    "c": r"[^/]+?",
    "z": r"\d+",
    "t": r"\d+",
}
"""Field of a pattern → what it may stand for; a field of another name stands for any text and becomes metadata."""

_TOKEN = re.compile(r"\{(\w*)\}|(\*\*/)|(\*)|(\?)")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern such as `{plate}/{well}_s{site}_w{c}*.tif`.

    Args:
        pattern: `{field}` a value, `*` any text within a name, `?` one character, `**/` any folders, `{_}` ignored
            text. Without `/`, it matches names in any folder.

    Raises:
        InputError: no field at all, a field twice, or a row without its column.

    Example:
        >>> compile_pattern("{well}_w{c}.tif").fullmatch("week1/B02_w3.tif").groupdict()
        {'_folder': 'week1/', 'well': 'B02', 'c': '3'}
    """
    fields = [match[1] for match in _TOKEN.finditer(pattern) if match[1] not in (None, "_")]
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


def planes_by_name(
    source: Source,
    names: Iterable[str],
    expression: re.Pattern[str],
    *,
    origin_of: Callable[[str], str] = lambda folder: folder,
    plate_of: Callable[[str], str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> tuple[list[FoundPlane], list[str]]:
    """A plane for every name that the expression matches in full.

    Args:
        source: where the names are from.
        names: relative names.
        expression: groups `plate, well, row, column, site, c, z, t`, `_folder`; other groups become metadata.
        origin_of: folder of a file → folder of its measurement (without `TimePoint_1`, …).
        plate_of: folder of a measurement → its plate, where the name does not say; by default the folder's name.
        labels: number of a channel → its name, where a header gives it.

    Returns:
        Planes, and the names that did not match.
    """
    planes, others = [], []
    for name in names:
        match = expression.fullmatch(name)
        if match is None:
            others.append(name)
            continue
        values = {field: value for field, value in match.groupdict().items() if value is not None}
        folder = values.pop("_folder", "").rstrip("/")
        origin = origin_of(folder)
        well, problem = _well(values)
        plate = values.get("plate", "") or (
            (plate_of or _last_of)(origin or source.root.resolve().name) if well else ""
        )
        channel = str(int(values["c"])) if values.get("c", "1").isdecimal() and "c" in values else values.get("c", "1")
        own = {field: value for field, value in values.items() if field not in FIELDS}
        planes.append(
            FoundPlane(
                PlaneRef(source.root / name),
                Channel(channel, (labels or {}).get(channel, "")),
                _name(name, folder, values),
                plate=plate,
                well=well,
                site=_plain_number(values.get("site", "")),
                z=int(values["z"]) if "z" in values else None,
                t=int(values["t"]) if "t" in values else None,
                origin=origin,
                metadata=own,
                problem=problem,
            )
        )
    return planes, others


def _last_of(folder: str) -> str:
    return folder.rpartition("/")[2]


def _well(values: Mapping[str, str]) -> tuple[str, str]:
    if "row" not in values:
        return values.get("well", ""), ""
    try:
        return well_at(values["row"], values["column"]), ""
    except InputError as error:
        return f"{values['row']}-{values['column']}", str(error)


def _plain_number(text: str) -> str:
    return str(int(text)) if text.isdecimal() else text


def _name(name: str, folder: str, values: Mapping[str, str]) -> str:
    """Name of an image without a well: what its file's name says but channel and z, below its folder."""
    parts = [value for field, value in values.items() if field not in ("c", "z", "t")]
    return "/".join(part for part in (folder, "-".join(parts)) if part) or without_suffix(name)
