"""A source: facts about one archive, and the function that turns its tables and files into fields of view.

A source module holds one `SOURCE = Source(...)`; `scan` receives the unpacked archive as an `Archive` and yields a
`Field` per field of view, or a `Skipped` for anything it finds and leaves out. Rules that hold for all sources (lower
case, vocabulary, " targeted", ids, missing files) are applied once, in `builder.annotate`, never in a source.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
import os
from typing import Any

import pandas as pd

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import inside

IMAGE_SUFFIXES = frozenset({".bmp", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".dib", ".dv", ".flex"})
_JUNK = frozenset({"__macosx", ".ds_store", "thumbs.db"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of view, as its archive spells it.

    `key` is the natural key (plate/well/site, or the relative path) that the stable `idx` is made from; it must not
    depend on what else is in the archive. `files` are relative to the archive's root, one per entry of `channels`
    (stains, in stain order; a stain that shows several structures joins them by `+`). A value that holds several
    labels is a tuple.
    """

    key: str
    files: Sequence[str]
    channels: Sequence[str]
    organism: str | Sequence[str] | None = None
    cell_type: str | Sequence[str] | None = None
    cell_visible: str | Sequence[str] | None = None
    phenotype: str | Sequence[str] | None = None
    compound: str | Sequence[str] | None = None
    gene: str | Sequence[str] | None = None
    sirna: str | Sequence[str] | None = None
    microscopy: str | Sequence[str] | None = None
    pages: Sequence[int] | None = None
    region: tuple[int, int, int, int] | None = None  # x_min, x_max, y_min, y_max in pixels
    plate: str | None = None
    well: str | None = None
    site: str | None = None
    donor: str | None = None
    control: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something the archive holds and the source leaves out: a row without images, an image without a row."""

    key: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Count:
    """An expected number and how sure we are of it: "table", "reference", "docs" or "inferred"."""

    what: str
    number: int
    certainty: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """The facts of one source dataset, and how to read it."""

    dir_name: str
    name: str
    database: str
    link: str
    licence: str  # SPDX-like and lower case: cc0, cc-by-3.0, cc-by-4.0, cc-by-nc-4.0, cc-by-nc-sa-4.0, unverified
    citation: str
    organism: str | None
    microscopy: str | None
    stains: dict[str, str]  # channel name in the files → stain
    scan: "Callable[[Archive], Iterator[Field | Skipped]]"
    kind: str = "image files"  # how it is annotated: "metadata table", "file names", "folders", ...
    download: str = ""  # what to fetch and how it unpacks, for `doctor`
    disk_gb: float | None = None
    expected: tuple[Count, ...] = ()
    notes: str = ""


class Archive:
    """The unpacked files of one source below `raw/<dir_name>`, listed once, found without regard to letter case.

    Archives unpacked one folder deeper than documented are found: a documented path matches the end of a real one.
    """

    def __init__(self, root: Path, source: Source):
        self.root = root
        self.source = source

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Paths of all files, relative to the root, `/`-separated, sorted; junk of archivers left out."""
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if name.lower() not in _JUNK)
            relative = Path(folder).relative_to(self.root)
            found += [(relative / name).as_posix() for name in names if name.lower() not in _JUNK]
        return tuple(sorted(found))

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Those of `files` that are images by their suffix."""
        return tuple(name for name in self.files if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES)

    @cached_property
    def _by_lower(self) -> dict[str, str]:
        return {name.lower(): name for name in self.files}

    @cached_property
    def _by_tail(self) -> dict[str, list[str]]:
        tails: dict[str, list[str]] = {}
        for name in self.files:
            tails.setdefault(PurePosixPath(name).name.lower(), []).append(name)
        return tails

    def find(self, relative: str) -> str | None:
        """The real path of a documented one: same path in any letter case, or the same path some folders deeper."""
        wanted = relative.lower()
        if wanted in self._by_lower:
            return self._by_lower[wanted]
        candidates = self._by_tail.get(PurePosixPath(wanted).name, [])
        deeper = [name for name in candidates if name.lower().endswith("/" + wanted)]
        return deeper[0] if len(deeper) == 1 else None

    def table(self, relative: str, *, columns: Sequence[str], **read_csv: Any) -> pd.DataFrame:
        """Read a metadata table as text: every cell a stripped string, empty when missing.

        Text, so that well `1E2` stays a well. A byte-order mark, a trailing comma and compression are handled.

        Raises:
            InputError: the table or one of `columns` is missing, or it cannot be decoded.
        """
        found = self.find(relative)
        if found is None:
            raise InputError(
                f"{self.source.dir_name}: {relative} is not below {self.root}. {self.source.download}".rstrip()
            )
        path = inside(self.root, found)
        options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "index_col": False} | read_csv
        try:
            try:
                table = pd.read_csv(path, encoding="utf-8-sig", **options)
            except UnicodeDecodeError:
                table = pd.read_csv(path, encoding="latin-1", **options)
        except (ValueError, OSError) as error:
            raise InputError(f"{self.source.dir_name}: cannot read {path}: {error}") from error
        table.columns = [str(name).strip() for name in table.columns]
        absent = [name for name in columns if name not in table.columns]
        if absent:
            raise InputError(
                f"{self.source.dir_name}: {path} has no column {absent}; it has {list(table.columns)}. "
                "Is it the table of this source?"
            )
        return table[list(columns)].apply(lambda values: values.str.strip())
