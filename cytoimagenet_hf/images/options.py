"""What a caller may say about a source, checked once."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.numbers import whole_or_none
from cytoimagenet_hf.imaging.limits import MAX_PIXELS

from .objects import Storage

Stains = Mapping[str, str] | tuple[str, ...]


@dataclass(frozen=True)
class Options:
    """How a source is to be understood.

    Attributes:
        channels: channels to take, in order, by the source's names or by stain; all where empty. In a table of one's
            own: the columns that name the files.
        stains: the source's name of a channel → stain; or stains alone, where channels have no names.
        pattern: file-name pattern with fields.
        root: folder that the files of a table lie below.
        axes: axes of stacks that do not say them, such as `"CYX"`.
        projection: `"max"`, `"mean"`, or the number of the one z plane to take, counted from 1.
        id_column: column of ids in a table or dataset.
        image_column: column of images in a dataset; by default `image`, or the one that holds images.
        label_column: column of classes in a dataset; by default `label`, or the one of type ClassLabel.
        max_pixels: planes with more are refused when they are read.
        encoding: of a table in text that is not UTF-8.
        sheet: of a table that is a workbook.
        acquisition: of an OME-Zarr plate, the only one to take.
        derived: where wells of an OME-Zarr plate hold processed copies beside their images: `"none"` takes the
            images, the name of the copies (`"illum_corr"`) those.
        storage: how addresses on the internet are reached.
    """

    channels: tuple[str, ...] = ()
    stains: Stains = ()
    pattern: str | None = None
    root: Path | None = None
    axes: str | None = None
    projection: str | int = "max"
    id_column: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    max_pixels: int = MAX_PIXELS
    encoding: str | None = None
    sheet: str | None = None
    acquisition: str | None = None
    derived: str | None = None
    storage: Storage = field(default_factory=Storage)


def split_names(text: str) -> list[str]:
    r"""Names between commas; a name that has a comma itself stands in quotes, or with a backslash before its comma.

    Raises:
        InputError: a name of more than 131,072 letters.

    Example:
        >>> split_names('"DAPI 377,447"=dna, GFP=er')
        ['DAPI 377,447=dna', 'GFP=er']
        >>> split_names(r"DAPI 377\,447,GFP")
        ['DAPI 377,447', 'GFP']
    """
    try:
        rows = list(csv.reader([text.replace("\n", " ")], skipinitialspace=True, escapechar="\\"))
    except csv.Error as error:
        raise InputError(f"{one_line(repr(text), longest=60)} is not a list of names: {error}") from error
    return [name.strip() for row in rows for name in row if name.strip()]


def parse_channels(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names of channels from `"dna,actin"` or a sequence; for names with commas see `split_names`.

    Raises:
        InputError: a file-name pattern, which is an option of its own.
    """
    if given is None:
        return ()
    parts = split_names(given) if isinstance(given, str) else list(given)
    if any("{" in part for part in parts):
        raise InputError(
            f"channels {given!r} looks like a file-name pattern: give it as --pattern (pattern=); --channels names "
            "channels or columns"
        )
    return tuple(part.strip() for part in parts if part.strip())


def parse_stains(given: str | Sequence[str] | Mapping[str, str] | None) -> Stains:
    """Stains from `"w1=dna,w2=er"`, `"dna,er"`, a mapping or a sequence; in lower case.

    Names of channels may have commas: what stands before the next `=` is the name. Quotes around them do no harm.

    Raises:
        InputError: named and bare stains mixed, or one channel named twice.

    Example:
        >>> parse_stains("w1=DNA, w2=ER")
        {'w1': 'dna', 'w2': 'er'}
        >>> parse_stains("DAPI 377,447=dna,GFP 469,525=er")
        {'DAPI 377,447': 'dna', 'GFP 469,525': 'er'}
        >>> parse_stains(["DNA", "ER"])
        ('dna', 'er')
    """
    if given is None:
        return ()
    if isinstance(given, Mapping):
        return {str(channel).strip(): str(stain).strip().lower() for channel, stain in given.items()}
    parts = split_names(given) if isinstance(given, str) else [part.strip() for part in given if part.strip()]
    if not any("=" in part for part in parts):
        return tuple(part.lower() for part in parts)
    named: dict[str, str] = {}
    for part in _with_commas(parts) if isinstance(given, str) else parts:
        channel, equals, stain = (piece.strip() for piece in part.rpartition("="))
        if not (channel and equals and stain):
            raise InputError(f"stains {given!r}: {part!r} is not CHANNEL=STAIN; write w1=dna,w2=er")
        if channel in named:
            raise InputError(f"stains {given!r} name channel {channel} twice")
        named[channel] = stain.lower()
    return named


def _with_commas(parts: Sequence[str]) -> list[str]:
    """CHANNEL=STAIN, a channel's name put together again where it was cut at its own commas."""
    whole: list[str] = []
    for part in parts:
        if whole and "=" not in whole[-1]:
            whole[-1] += f",{part}"
        else:
            whole.append(part)
    return whole


def parse_projection(given: str | int) -> str | int:
    """`"max"`, `"mean"`, or a plane's number from `"z=3"` or 3.

    Raises:
        InputError: something else.

    Example:
        >>> parse_projection("z=3"), parse_projection("mean")
        (3, 'mean')
    """
    if given in ("max", "mean"):
        return given
    match = re.fullmatch(r"(?:z\s*=\s*)?(\d+)", str(given).strip().lower())
    plane = whole_or_none(match[1]) if match else None
    if plane is None:
        raise InputError(f"projection {given!r}: choose max, mean, or one plane such as z=3, counted from 1")
    return plane
