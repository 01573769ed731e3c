"""Where images are and how they are to be understood: the options of `find_images`, `look` and `extract`."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.numbers import MAX_PIXELS, whole_or_none
from cytoimagenet_hf.core.settings import check_fields, documented, setting

from .storage import Storage, parse_place, parse_storage

Stains = Mapping[str, str] | tuple[str, ...]


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


def parse_name(given: str | int | None) -> str | None:
    """A name as text, also where it is a number: of an acquisition or a sheet.

    Raises:
        InputError: neither.

    Example:
        >>> parse_name(1), parse_name("01")
        ('1', '01')
    """
    if isinstance(given, bool) or not isinstance(given, str | int | None):
        raise InputError(f"{given!r} is neither a name nor a number")
    return None if given is None else str(given)


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
    if not plane:
        raise InputError(f"projection {given!r}: choose max, mean, or one plane such as z=3, counted from 1")
    return plane


WHERE, CHANNELS = "Where the images are", "Channels and cells"
"""Headings of the help."""


_IMAGE = "Column of images in a dataset; by default image, or the one that holds images."
_LABEL = "Column of classes in a dataset; by default label, or the one of type ClassLabel."
_ID = "Column of ids; by default id, image_id or idx, and without one rows are numbered."


@dataclass(frozen=True)
class ImageColumns:
    """Columns of a dataset: those that are named, and None for those to be looked for."""

    image: str | None = setting(None, _IMAGE, option="image_column")
    label: str | None = setting(None, _LABEL, option="label_column")
    id: str | None = setting(None, _ID, option="id_column")

    def __post_init__(self) -> None:
        check_fields(self, name="columns")


USUAL = ImageColumns()
"""Nothing is named: all columns are looked for."""


@documented
@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How a source is to be understood; each field is an option of `cytoimagenet extract`.

    In Python `stains` and `storage` may be mappings, `channels` a sequence, and `projection` the number of a plane. A
    table without `channels` names its files in `path`, several files of one image joined by `|`. The `image_column`
    `planes` stands for the planes of a dataset's configuration `channels`, each the channel that its stain names.
    """

    format: str | None = setting(None, "Kind of the source; recognised by default.", group=WHERE)
    pattern: str | None = setting(
        None, 'Names of files with fields: "{plate}_{well}_s{site}_w{c}.tif"; {_} is ignored.', group=WHERE
    )
    root: Path | None = setting(
        None,
        "Folder that the files of a table lie below; may be an address.",
        parse=parse_place,
        group=WHERE,
    )
    axes: str | None = setting(
        None,
        "Axes of stacks that do not say them, such as CYX.",
        parse=lambda given: given.upper() if given else None,
        group=WHERE,
    )
    projection: str | int = setting(
        "max", "How z stacks become one plane: max, mean, or one of them as z=3.", parse=parse_projection, group=WHERE
    )
    max_pixels: int = setting(
        MAX_PIXELS, "Planes with more pixels are left out, judged by their header.", low=1, group=WHERE
    )
    acquisition: str | None = setting(
        None,
        "Take only this acquisition of an OME-Zarr plate.",
        parse=parse_name,
        group=WHERE,
    )
    derived: str | None = setting(
        None,
        "Where OME-Zarr wells hold processed copies (0_illum_corr beside 0): none for the images, illum_corr for "
        "those copies.",
        group=WHERE,
    )
    encoding: str | None = setting(
        None, "Encoding of a table that is not UTF-8: cp1252 for Windows spreadsheets.", group=WHERE
    )
    sheet: str | None = setting(None, "Sheet of a workbook, by name or number.", parse=parse_name, group=WHERE)
    id_column: str | None = setting(None, _ID, group=WHERE)
    image_column: str | None = setting(None, _IMAGE, group=WHERE)
    label_column: str | None = setting(None, _LABEL, group=WHERE)
    storage: Storage = setting(
        Storage(),
        "How addresses are reached, repeatable: endpoint=http://127.0.0.1:9000, region=us-east-1; unsigned, unless "
        "the environment holds credentials.",
        parse=parse_storage,
        option="storage_option",
        metavar="KEY=VALUE",
        repeat=True,
        group=WHERE,
    )
    keep: Path | None = setting(
        None, "Keep files from the internet in this folder; by default nothing is written to disk.", group=WHERE
    )
    stains: Stains = setting(
        (),
        "Names of channels: w1=dna,w2=er; dna,er where they have none.",
        parse=parse_stains,
        commas=True,
        group=CHANNELS,
    )
    channels: tuple[str, ...] = setting(
        (),
        "Channels to take, in this order; of a table, columns that name the files.",
        parse=parse_channels,
        commas=True,
        group=CHANNELS,
    )
    illumination: Path | None = setting(
        None,
        "Divide by illumination functions: a folder of <plate>_Illum<channel>.npy, or a table such as "
        "load_data_with_illum.csv.",
        parse=parse_place,
        group=CHANNELS,
    )

    def __post_init__(self) -> None:
        check_fields(self, name="images")
        if self.keep is not None:
            object.__setattr__(self, "storage", replace(self.storage, keep=self.keep))
