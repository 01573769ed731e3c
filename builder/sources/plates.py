"""Images of multi-well plates: grouped by plate, well and site once, then joined to the rows of a table.

A source with plates says what its file names look like (a pattern with named groups), which folder belongs to which
plate, and which channels make one image (`View`); `join_wells` does the rest. Files are looked at once, rows once.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from builder.sources.base import Archive, Field, Skipped
from cytoimagenet_hf.errors import InputError

_WELL = re.compile(r"([a-z]{1,2})0*([1-9]\d?)", re.IGNORECASE)


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
    return f"{match[1].upper()}{int(match[2]):02d}"


def well_at(row: int, column: int) -> str:
    """The well in a row and a column, both counted from 1.

    Example:
        >>> well_at(2, 3), well_at(27, 1)
        ('B03', 'AA01')
    """
    letters = chr(64 + row) if row <= 26 else "A" + chr(64 + row - 26)
    return f"{letters}{column:02d}"


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
    """The well in an Operetta file name, which counts rows and columns: groups `row` and `column`."""
    return well_at(int(match["row"]), int(match["column"]))


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
    """Files by (plate, well), site and channel; and those that belong to none."""

    pattern: re.Pattern[str]
    wells: dict[tuple[str, str], dict[str, dict[str, str]]] = field(default_factory=dict)
    left_out: list[Skipped] = field(default_factory=list)

    def file(self, site: Mapping[str, str], channel: str) -> str:
        """The file of a channel, or the name it would have: a missing channel is recorded under its name."""
        return site.get(channel) or self._sibling(next(iter(site.values())), channel)

    def _sibling(self, path: str, channel: str) -> str:
        start = path.rfind("/") + 1
        match = self.pattern.fullmatch(path, start)
        if match is None:  # cannot be: only matching files are grouped
            return path
        # Some instruments repeat the channel in the name: those groups are called channel_again.
        for group in sorted((name for name in match.groupdict() if name.startswith("channel")), reverse=True):
            first, last = match.span(group)
            path = path[:first] + channel.rjust(last - first, "0") + path[last:]
        return path


def group_wells(
    archive: Archive,
    pattern: re.Pattern[str],
    plate_of: Callable[[str], str | None],
    *,
    well: Callable[[re.Match[str]], str] = padded_well,
) -> WellImages:
    """Sort the images of an archive into wells.

    Args:
        archive: the unpacked files.
        pattern: matches a file's name; groups `channel`, optionally `site`, and those that `well` needs.
        plate_of: the plate a folder (relative, `/`-separated) belongs to, or None; asked once for each folder.
        well: the well of a matched name.
    """
    images = WellImages(pattern)
    plates: dict[str, str | None] = {}
    has_site = "site" in pattern.groupindex
    for path in archive.images:
        folder, _, _ = path.rpartition("/")
        if folder not in plates:
            plates[folder] = plate_of(folder)
        plate = plates[folder]
        match = pattern.fullmatch(path, len(folder) + 1 if folder else 0)
        if plate is None or match is None:
            reason = "unknown_plate" if plate is None else "unknown_name"
            images.left_out.append(
                Skipped(path, reason, "no row of the table names this plate" if plate is None else "")
            )
            continue
        site = str(int(match["site"])) if has_site else "1"
        channels = images.wells.setdefault((plate.lower(), well(match)), {}).setdefault(site, {})
        channel = match["channel"].lower()
        if channel in channels:
            images.left_out.append(Skipped(path, "duplicate_file", f"same field and channel as {channels[channel]}"))
        else:
            channels[channel] = path
    return images


def join_wells(
    rows: pd.DataFrame, images: WellImages, views: Sequence[View], *, prefix: str = ""
) -> Iterator[Field | Skipped]:
    """Join rows of a table to their images, by plate, well and, where the table has one, site.

    Args:
        rows: one row per well or site: `plate`, `well` (as `well_name` spells it), perhaps `site`, and any of the
            labels of `Field`, "" where unknown; a column `stains` (tuple, one per channel of the view) replaces the
            stains of the first view.
        images: the files, from `group_wells`.
        views: what becomes a field; a site that shows none of a view's channels yields none.
        prefix: put before every key, where several screens of a source share plates.

    Yields:
        A `Field` per site and view; a `Skipped` per row without an image, and per image without a row.

    Raises:
        InputError: two rows for the same place.
    """
    place = ["plate", "well", "site"] if "site" in rows else ["plate", "well"]
    _require_unique(rows, place)
    names = [name for name in rows.columns if name not in (*place, "stains")]
    columns = [rows[name] if name in rows else [None] * len(rows) for name in ("plate", "well", "site", "stains")]
    left = {key: dict(sites) for key, sites in images.wells.items()}
    for plate, well, site, stains, *values in zip(*columns, *(rows[name] for name in names), strict=True):
        sites = left.get((plate.lower(), well), {})
        found = sorted(sites, key=int) if site is None else [site] if site in sites else []
        if not found:
            yield Skipped("/".join(part for part in (prefix + plate, well, site) if part), "no_image_file")
            continue
        labels = {name: value or None for name, value in zip(names, values, strict=True)}
        for site in found:
            files = sites.pop(site)
            for number, view in enumerate(views):
                if files.keys().isdisjoint(view.channels):
                    continue
                yield Field(
                    key=f"{prefix}{plate}/{well}/{site}{view.suffix}",
                    files=tuple(images.file(files, channel) for channel in view.channels),
                    channels=stains if stains and number == 0 else tuple(view.channels.values()),
                    plate=plate,
                    well=well,
                    site=site,
                    **{**labels, **view.labels},
                )
    for (plate, well), sites in sorted(left.items()):
        for files in sites.values():
            for path in files.values():
                yield Skipped(path, "no_row", f"the table has no row for plate {plate}, well {well}")
    yield from images.left_out


def _require_unique(rows: pd.DataFrame, place: list[str]) -> None:
    repeated = rows.loc[rows.duplicated(place), place]
    if len(repeated):
        first = ", ".join(" ".join(row) for row in repeated.head(3).itertuples(index=False))
        raise InputError(
            f"{len(repeated)} rows of the table repeat the {', '.join(place)} of another, among them {first}"
        )


def plate_folders(plates: Sequence[str], documented: Mapping[str, str] | None = None) -> Callable[[str], str | None]:
    """A function that finds the plate of a folder.

    Args:
        plates: names of the plates; a folder of that name holds the plate.
        documented: folder → plate where the two differ; matched anywhere in a path, the longest first.
    """
    by_name = {plate.lower(): plate for plate in plates}
    by_path = {path.strip("/").lower(): plate for path, plate in (documented or {}).items()}

    def plate_of(folder: str) -> str | None:
        parts = PurePosixPath(folder.lower()).parts
        for end in range(len(parts), 0, -1):
            for start in range(end):
                if plate := by_path.get("/".join(parts[start:end])):
                    return plate
        return next((by_name[part] for part in reversed(parts) if part in by_name), None)

    return plate_of
