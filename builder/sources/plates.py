"""Images of multi-well plates: grouped by plate, well and site once, then joined to the rows of a table.

A source with plates says what its file names look like (a pattern with named groups), which folder belongs to which
plate, and which channels make one image (`View`); `join_wells` does the rest. Files are looked at once, rows once.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.wells import normalise_well, well_at

from .base import Archive, Field, RejectedItem

OPERETTA = re.compile(
    r"r(?P<row>\d\d)c(?P<column>\d\d)f(?P<site>\d+)p\d+-ch(?P<channel>\d)sk\d+fk\d+fl\d+\.tiff?", re.IGNORECASE
)
INCELL = re.compile(
    r"(?P<row>[a-p])[ _]-[ _](?P<column>\d\d?)\(fld[ _](?P<site>\d+)[ _]wv[ _](?P<channel>\w+)[ _]-[ _]"
    r"(?P<channel_again>\w+)\)\.tiff?",
    re.IGNORECASE,
)
_WELL = re.compile(r"([a-z]{1,2})0*([1-9]\d?)", re.IGNORECASE)


@cache  # a plate has 384 wells, its files name them thousands of times
def well_name(well: str) -> str:
    """A well as letters and two digits, whatever the padding and the case.

    Raises:
        InputError: it is not a well, for example a number a spreadsheet made of `1E2`.

    Example:
        >>> well_name("a1"), well_name("AA002")
        ('A01', 'AA02')
    """
    match = _WELL.fullmatch(well)
    if match is None:
        raise InputError(f"{well!r} is not a well such as A1 or B02: was the table saved by a spreadsheet?")
    return normalise_well(well)


def well_number(number: int, columns: int = 24) -> str:
    """The well with a running number that counts from 1, row by row.

    Example:
        >>> well_number(1), well_number(25), well_number(384)
        ('A01', 'B01', 'P24')
    """
    row, column = divmod(number - 1, columns)
    return well_at(row + 1, column + 1)


def padded_well(match: re.Match[str]) -> str:
    """The well in a file name that spells it in the group `well`."""
    return well_name(match["well"])


def operetta_well(match: re.Match[str]) -> str:
    """The well in an `OPERETTA` name, which counts rows and columns."""
    return well_at(int(match["row"]), int(match["column"]))


def incell_well(match: re.Match[str]) -> str:
    """The well in an `INCELL` name: `A - 1(fld 1 wv DAPI - DAPI).tif`."""
    return well_name(match["row"] + match["column"])


@dataclass(frozen=True)
class View:
    """The channels of a site that make one image: all stains, or the brightfield channel alone.

    `labels` replace what the table says; `suffix` keeps the keys of several views of a site apart.
    """

    channels: Mapping[str, str]  # channel in the file names → stain, in stain order
    labels: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = ""


@dataclass
class WellImages:
    """Files by (plate in lower case, well), site and channel in lower case."""

    pattern: re.Pattern[str]
    folders: int = 0
    wells: dict[tuple[str, str], dict[str, dict[str, str]]] = field(default_factory=dict)
    repeated: list[RejectedItem] = field(default_factory=list)

    def file(self, site: Mapping[str, str], channel: str) -> str:
        """The file of a channel, or the name it would have: a missing channel is recorded under its name."""
        return site.get(channel.lower()) or self._sibling(next(iter(site.values())), channel)

    def _sibling(self, path: str, channel: str) -> str:
        match = self.pattern.fullmatch(path, _start(path, self.folders))
        # Some instruments repeat the channel in the name: that group is called channel_again.
        spans = [match.span(group) for group in match.groupdict() if group.startswith("channel")] if match else []
        for first, last in sorted(spans, reverse=True):
            path = path[:first] + channel + path[last:]
        return path


def _start(path: str, folders: int) -> int:
    """Where the last folders of a path and its name begin."""
    start = path.rfind("/") + 1
    for _ in range(folders):
        start = path.rfind("/", 0, max(start - 1, 0)) + 1
    return start


def group_wells(
    archive: Archive,
    pattern: re.Pattern[str],
    plate_of: Callable[[str], str | None],
    *,
    folders: int = 0,
    well: Callable[[re.Match[str]], str] = padded_well,
    channel: Callable[[str], str] = str,
) -> WellImages:
    """Sort the images of an archive into wells; `annotate` reports those that fit nowhere.

    Args:
        archive: the unpacked files.
        pattern: matches a file's name; groups `channel`, optionally `site`, and those that `well` needs.
        folders: how many of its folders the pattern matches too, `/`-separated: 1 where each well has a folder.
        plate_of: the plate a folder (relative, `/`-separated) belongs to, or None; asked once for each folder.
        well: the well of a matched name.
        channel: the channel of a view by its spelling in a name (lower case).
    """
    images = WellImages(pattern, folders)
    wells = images.wells
    plates: dict[str, str | None] = {}
    spans = ("site", "channel") if "site" in pattern.groupindex else ("channel", "channel")
    for path in archive.images:  # millions: no dictionary is made that is not kept
        folder, _, _ = path.rpartition("/")
        if folder not in plates:
            plate = plate_of(folder)
            plates[folder] = plate.lower() if plate else None
        plate = plates[folder]
        if plate is None:
            continue
        match = pattern.fullmatch(path, _start(path, folders) if folders else len(folder) + 1 if folder else 0)
        if match is None:
            continue
        place = plate, well(match)
        if (sites := wells.get(place)) is None:
            sites = wells[place] = {}
        number, spelled = match.group(*spans)
        site = str(int(number)) if spans[0] == "site" and number else "1"
        if (files := sites.get(site)) is None:
            files = sites[site] = {}
        first = files.setdefault(channel(spelled.lower()), path)
        if first is not path:
            images.repeated.append(RejectedItem(path, "duplicate_file", f"same field and channel as {first}"))
    return images


def join_wells(
    rows: pd.DataFrame, images: WellImages, views: Sequence[View], *, prefix: str = ""
) -> Iterator[Field | RejectedItem]:
    """Join rows of a table to their images, by plate, well and, where the table has one, site.

    Args:
        rows: one row per well or site: `plate`, `well` (as `well_name` spells it), perhaps `site`, and any of the
            labels of `Field`, "" where unknown; columns that begin with `_` are none. A column `stains` (tuple, one
            per channel of the view) replaces the stains of the first view; a column `left_out` says why a row is not
            wanted, "" where it is.
        images: the files, from `group_wells`.
        views: what becomes a field; a site that shows none of a view's channels yields none.
        prefix: put before every key, where several screens of a source share plates.

    Yields:
        A `Field` per site and view; a `RejectedItem` per image of a row that is left out, per row without an image,
        and per repeated file.

    Raises:
        InputError: two rows with different labels for the same place.
    """
    place = ["plate", "well", "site"] if "site" in rows else ["plate", "well"]
    rows = unique_rows(rows, place)
    names = [name for name in rows.columns if name not in (*place, "stains", "left_out") and name[0] != "_"]
    columns = [_cells(rows, name) for name in ("plate", "well", "site", "stains", "left_out", *names)]
    for plate, well, site, stains, left_out, *values in zip(*columns, strict=True):
        sites = images.wells.get((plate.lower(), well), {})
        numbers = sorted(sites, key=int) if site is None else [site] if site in sites else []
        if left_out or not numbers:
            key = "/".join(part for part in (prefix + plate, well, site) if part)
            unwanted = [path for number in numbers for path in sites[number].values()]
            yield from (RejectedItem(path, left_out, key) for path in unwanted)
            if not unwanted:
                yield RejectedItem(key, left_out or "no_image_file")
            continue
        labels = {name: value or None for name, value in zip(names, values, strict=True)}
        for site in numbers:
            for number, view in enumerate(views):
                if not any(channel.lower() in sites[site] for channel in view.channels):
                    continue
                yield Field(
                    key=f"{prefix}{plate}/{well}/{site}{view.suffix}",
                    files=tuple(images.file(sites[site], channel) for channel in view.channels),
                    channels=stains if stains and number == 0 else tuple(view.channels.values()),
                    plate=plate,
                    well=well,
                    site=site,
                    **{**labels, **view.labels},
                )
    yield from images.repeated


def scan_wells(
    rows: Callable[[Archive], pd.DataFrame],
    pattern: re.Pattern[str],
    *views: View,
    plate_of: Callable[[Archive, pd.DataFrame], Callable[[str], str | None]] | None = None,
    well: Callable[[re.Match[str]], str] = padded_well,
    channel: Callable[[str], str] = str,
    folders: int = 0,
) -> Callable[[Archive], Iterator[Field | RejectedItem]]:
    """A `Source.scan` that joins the rows of a table to the images of their wells.

    Args:
        rows: an archive → the rows that `join_wells` takes.
        pattern, well, channel, folders: as for `group_wells`.
        views: as for `join_wells`.
        plate_of: (archive, rows) → what finds the plate of a folder; by default folders are called after the plates.
    """

    def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
        table = rows(archive)
        plates = plate_folders(table["plate"].unique().tolist()) if plate_of is None else plate_of(archive, table)
        images = group_wells(archive, pattern, plates, folders=folders, well=well, channel=channel)
        yield from join_wells(table, images, views)

    return scan


def _cells(rows: pd.DataFrame, name: str) -> list[Any]:
    return rows[name].tolist() if name in rows else [None] * len(rows)


def unique_rows(rows: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """The rows without those that repeat another word for word; the same key with different labels is refused."""
    if not rows.duplicated(list(key)).any():
        return rows
    rows = rows.drop_duplicates()
    repeated = rows.loc[rows.duplicated(list(key)), list(key)]
    if len(repeated):
        first = ", ".join(" ".join(row) for row in repeated.head(3).itertuples(index=False))
        raise InputError(
            f"{len(repeated)} rows of the table repeat the {', '.join(key)} of another with other labels: {first}."
        )
    return rows


def plate_folders(plates: Sequence[str], documented: Mapping[str, str] | None = None) -> Callable[[str], str | None]:
    """A function that finds the plate of a folder.

    Args:
        plates: names of the plates; a folder of that name holds the plate.
        documented: folder → plate where the two differ; found anywhere in a path, the deepest and longest first. Of a
            folder that is documented with its parents, the last parts are enough where they name one plate only.
    """
    folders = {path.strip("/").lower(): plate for path, plate in (documented or {}).items()}
    folders |= {plate.lower(): plate for plate in plates if plate.lower() not in folders}
    for end, plate in _ends(folders).items():
        folders.setdefault(end, plate)

    def plate_of(folder: str) -> str | None:
        parts = folder.lower().split("/")
        tails = ("/".join(parts[start:end]) for end in range(len(parts), 0, -1) for start in range(end))
        return next((folders[tail] for tail in tails if tail in folders), None)

    return plate_of


def _ends(folders: Mapping[str, str]) -> dict[str, str]:
    """Last parts of the documented folders that one plate alone has, so that downloads without the parents are read.

    A name that also stands in the middle of a path (`images`, `01_batch`) names no plate.
    """
    plates: dict[str, set[str]] = {}
    parents = {part for path in folders for part in path.split("/")[:-1]}
    for path, plate in folders.items():
        parts = path.split("/")
        for start in range(1, len(parts)):
            plates.setdefault("/".join(parts[start:]), set()).add(plate)
    return {end: owners.pop() for end, owners in plates.items() if len(owners) == 1 and end not in parents}
