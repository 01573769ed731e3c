"""A source: facts about one archive, and the function that turns its tables and files into fields of view.

A source module holds one `SOURCE = Source(...)`; `scan` receives the unpacked archive as an `Archive` and yields a
`Field` per field of view, or a `RejectedItem` for anything it finds and leaves out. Rules that hold for all sources
(lower case, vocabulary, " targeted", ids, missing files) are applied once, in `builder.annotate`, never in a source.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pandas as pd

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.images.source import CONTAINERS, SUFFIXES
from cytoimagenet_hf.images.walk import walk
from cytoimagenet_hf.tables.tabular import LongRow, read_names, read_table
from cytoimagenet_hf.tables.textrows import PACKED_ERRORS, open_packed

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_JUNK = frozenset({"__macosx", ".ds_store", "thumbs.db"})
_LARGEST_LIST = 1 << 30  # bytes, unpacked: a list of all boxes or folders of an archive has a hundredth of it
_PACKED_ENDS = ("", ".gz", ".zip", ".bz2", ".xz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of view, as its archive spells it.

    `key` is the natural key (plate/well/site, or the relative path) that the stable `idx` is made from; it must not
    depend on what else is in the archive. Fields that show the same cells (channels kept apart, raw and projected
    copies, time points) share plate, well and site, or else `physical_field`. `files` are relative to the archive's
    root, one per entry of `channels` (stains, in stain order; a stain that shows several structures joins them by
    `+`). A value that holds several labels is a tuple.
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
    physical_field: str | None = None  # its key, where plate, well and site do not name what the camera saw
    donor: str | None = None
    control: str | None = None


@dataclass(frozen=True, slots=True)
class RejectedItem:
    """Something the archive holds and the source leaves out: a row without images, an image without a row.

    `annotate` records it as a `stage.Rejection` under the id of its key.
    """

    key: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Count:
    """An expected number and how sure we are of it: "table", "reference", "docs" or "inferred".

    `what` says what is counted. `doctor` measures and compares `"fields"` (rows of the source), the name of a label
    column such as `"compound"` (distinct labels in it) and `"<column>=<label>"` (rows that carry the label); any other
    wording is only shown.
    """

    what: str
    number: int
    certainty: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """The facts of one source dataset, and how to read it.

    Attributes:
        stains: channel name in the files → stain.
        scan: the unpacked archive → its fields, and what it leaves out.
        kind: how it is annotated: "metadata table", "file names", "folders", ...
        download: what to fetch and how it unpacks, for `doctor`.
        ignore: regular expression on lower-case paths: images that are not fields of view (masks).
        rows_differ_in: what the rows of one physical field differ in ("channel", "time point"); None where a row is a
            field. A split keeps such rows together.
        physical_fields: the name under which physical fields are known, where another source has the same ones.
        uncertain: label columns whose cells list what may be there. They are written with `/` and are not labels under
            the corrected recipe.
        published: label column → what the published table says in every row, where ours says what holds by row.
        encoding: of tables that are not UTF-8, where their makers' is known; such tables are refused otherwise.
    """

    dir_name: str
    name: str
    database: str
    link: str
    licence: str  # SPDX-like and lower case: cc0, cc-by-3.0, cc-by-4.0, cc-by-nc-4.0, cc-by-nc-sa-4.0, unverified
    citation: str
    organism: str | None
    microscopy: str | None
    stains: dict[str, str]
    scan: "Callable[[Archive], Iterator[Field | RejectedItem]]"
    kind: str = "image files"
    download: str = ""
    disk_gb: float | None = None
    ignore: str | None = None
    rows_differ_in: str | None = None
    physical_fields: str | None = None
    uncertain: tuple[str, ...] = ()
    published: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    expected: tuple[Count, ...] = ()
    notes: str = ""


class Archive:
    """The unpacked files of one source below `raw/<dir_name>`, listed once, found without regard to letter case.

    Archives unpacked some folders deeper than documented are found: a documented path matches the end of a real one.
    Where a source says so, folders in front of a documented path may be missing, too.
    """

    def __init__(self, root: Path, source: Source):
        self.root = root
        self.source = source

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Paths of all files, relative to the root, `/`-separated, sorted; junk of archivers left out.

        Symbolic links that leave the root are not listed: they are in `links_out`.
        """
        return tuple(sorted(self._walked[0]))

    @cached_property
    def unread(self) -> tuple[RejectedItem, ...]:
        """What could not be listed: folders without permission, links in a circle, names that are not UTF-8."""
        return tuple(self._walked[2])

    @cached_property
    def links_out(self) -> frozenset[str]:
        """Symbolic links below the root whose target is outside it; never read."""
        return frozenset(self._walked[1])

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Those of `files` that are images by their suffix, without what the source ignores."""
        images = (name for name in self.files if name[name.rfind(".") :].lower() in SUFFIXES | CONTAINERS)
        if self.source.ignore is None:
            return tuple(images)
        ignored = re.compile(self.source.ignore).search
        return tuple(name for name in images if not ignored(name.lower()))

    @cached_property
    def _walked(self) -> tuple[list[str], list[str], list[RejectedItem]]:
        files, links_out, unread = [], [], []
        for place in walk(self.root, is_skipped=lambda name: name.lower() in _JUNK, follow=False):
            if place.kind == "file":
                files.append(place.name)
            elif place.kind == "link_out":
                links_out.append(place.name)
            elif not place.name:
                raise InputError(f"{self.source.dir_name}: cannot list {self.root}: {place.detail}")
            elif place.kind != "skipped":
                detail = "rename it to what the table says" if place.kind == "name_not_utf8" else place.detail
                unread.append(RejectedItem(place.name, place.kind, detail))
        return files, links_out, unread

    @cached_property
    def listing(self) -> frozenset[str]:
        """`files` as a set."""
        return frozenset(self.files)

    @cached_property
    def _by_lower(self) -> dict[str, str]:
        return {name.lower(): name for name in self.files}

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Lower-case file name → files of that name, for tables that name files and leave folders open."""
        names: dict[str, list[str]] = {}
        for name in self.files:
            names.setdefault(name.rpartition("/")[2].lower(), []).append(name)
        return names

    @cached_property
    def _holders(self) -> dict[str, list[str]]:
        """Lower-case name of a folder → lower-case prefixes (`a/b/`) under which a folder of that name stands."""
        holders: dict[str, list[str]] = {}
        for folder in sorted({name.rpartition("/")[0].lower() for name in self.files}):
            parts = folder.split("/")
            for depth, part in enumerate(parts):
                prefix = "".join(f"{parent}/" for parent in parts[:depth])
                if prefix not in holders.setdefault(part, []):
                    holders[part].append(prefix)
        return holders

    def find(self, relative: str, *, last: int | None = None) -> str | None:
        """The real path of a documented one: same path in any letter case, or the same path some folders deeper.

        `last` is how many of its last folders tell it from other files; those in front may be missing. None when there
        is no such file, or when several folders hold one and none stands at the documented place.
        """
        if relative in self.listing:
            return relative
        *folders, name = relative.lower().split("/")
        for cut in range(1 + (0 if last is None else max(len(folders) - last, 0))):
            if path := self._find_end("/".join([*folders[cut:], name])):
                return path
        return None

    def _find_end(self, wanted: str) -> str | None:
        if wanted in self._by_lower:
            return self._by_lower[wanted]
        top, slash, _ = wanted.partition("/")
        if not slash:
            candidates = self.by_name.get(wanted, [])
        else:
            deeper = (prefix + wanted for prefix in self._holders.get(top, ()))
            candidates = [self._by_lower[name] for name in deeper if name in self._by_lower]
        return candidates[0] if len(candidates) == 1 else None

    def find_table(self, relative: str) -> str | None:
        """The real path of a table or list: its folders may be missing, and it may be compressed."""
        names = (relative + end for end in _PACKED_ENDS)
        return next((path for name in names if (path := self.find(name, last=0))), None)

    def content(self, relative: str) -> bytes:
        """The bytes of a list, unpacked when they are compressed, whatever its name says."""
        path = inside(self.root, relative)
        try:
            with open_packed(path) as handle:
                content = handle.read(_LARGEST_LIST + 1)
        except InputError as error:
            raise InputError(f"{self.source.dir_name}: {error}") from error
        except PACKED_ERRORS as error:
            raise InputError(
                f"{self.source.dir_name}: cannot read {path}: {one_line(error)}. Download it again"
            ) from error
        if len(content) > _LARGEST_LIST:
            raise InputError(f"{self.source.dir_name}: {path} unpacks to more than {_LARGEST_LIST:,} bytes")
        return content

    def names(self, relative: str, *, separator: str | None = None) -> list[str]:
        """The column names of a table as its heading spells them, repeated ones included."""
        try:
            return read_names(inside(self.root, relative), separator=separator, encoding=self.source.encoding)
        except InputError as error:
            raise InputError(f"{self.source.dir_name}: {error}") from error

    def table(
        self,
        relative: str,
        *,
        columns: Sequence[str | int],
        separator: str | None = None,
        quoted: bool = True,
        long_row: LongRow = None,
    ) -> pd.DataFrame:
        """Read a metadata table as text: every cell a stripped string, empty when missing.

        Text, so that well `1E2` stays a well. A byte-order mark, UTF-16, the source's own encoding, a trailing comma,
        rows that end early, compression (under any name) and Excel workbooks are handled.

        Args:
            relative: the documented path of the table.
            columns: names, or places counted from 0.
            separator: between cells; by default whichever of tab, comma and semicolon the heading has most of.
            quoted: False where `"` mean nothing.
            long_row: what becomes of rows with more cells than the heading has names, as in `read_table`.

        Raises:
            InputError: the table or one of `columns` is missing, it has no rows, or cannot be read.
        """
        real = self.find_table(relative)
        if real is None:
            raise InputError(
                f"{self.source.dir_name}: {relative} is not below {self.root}. {self.source.download}".rstrip()
            )
        path = inside(self.root, real)
        try:
            table = read_table(
                path,
                columns=columns,
                separator=separator,
                encoding=self.source.encoding,
                quoted=quoted,
                ragged=True,
                long_row=long_row,
            )
        except InputError as error:
            raise InputError(f"{self.source.dir_name}: {error}. Is it the table of this source?") from error
        return table.fillna("").apply(lambda values: values.str.strip())


def keyed(keys: Iterable[_Key], values: Iterable[_Value], *, table: str) -> dict[_Key, _Value]:
    """Rows of a table (named for the message) by their key, for joins; a key that occurs twice is refused.

    Example:
        >>> keyed(["A01", "A02"], ["dmso", "taxol"], table="map.csv")["A02"]
        'taxol'
    """
    by_key: dict[_Key, _Value] = {}
    for key, value in zip(keys, values, strict=True):
        if key in by_key:
            raise InputError(f"{table} has two rows for {key}: remove the wrong one")
        by_key[key] = value
    return by_key
