"""From what a source finds to rows of the annotation table: the rules that hold for all sources, applied once.

Label spelling (`vocabulary`), wells, ids, physical fields, controls, and files checked against what is on disk.
"""

import hashlib
import operator
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA, CATEGORIES

from .sources.base import Archive, Field, RejectedItem, Source
from .sources.benchmark_sets import benchmark_among
from .sources.plates import well_name
from .stage import Rejection
from .vocabulary import Label, Vocabulary

STAGE = "annotate"
_CHUNK = 1 << 11  # rows turned into Arrow at a time: few enough to stay in the cache, and to spare the collector
_LABELS = operator.attrgetter(*CATEGORIES)
_COLUMNS = (
    *("idx", *CATEGORIES, "microscopy", "channels", "channel_files", "channel_pages", "region"),
    *("plate", "well", "site", "field", "donor", "control"),
)
_CONSTANT = ("database", "name", "dir_name", "licence")


def annotate_source(source: Source, folder: Path, vocabulary: Vocabulary) -> tuple[pa.Table, list[Rejection]]:
    """Rows and rejections of one source, rows ordered by `idx`. A folder that holds a benchmark set is refused."""
    archive = Archive(folder, source)
    if match := benchmark_among(archive.files):
        benchmark, file = match
        raise InputError(
            f"{folder} holds {benchmark.title} ({file}), a benchmark: it is kept for evaluation and is not a source"
        )
    rows = _Rows(source, archive, vocabulary)
    try:
        rows.add(source.scan(archive))
    except InputError as error:
        where = "" if str(error).startswith(source.dir_name) else f"{folder}: "
        message = f"{where}{error}".rstrip(".")
        message += "" if message.endswith("?") else "."
        raise InputError(f"{message} Mend it, or leave the source out: --exclude {source.dir_name}") from error
    return rows.finish()


def field_id(dir_name: str, key: str) -> str:
    """`<dir_name>-<16 hex digits>`, from the natural key alone: file order and other files do not matter.

    Example:
        >>> field_id("bbbc013", "A01/channel1")
        'bbbc013-d4fd817422c19c4d'
    """
    return f"{dir_name}-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"


class _Rows:
    """Fields of one source on their way into Arrow, and everything that is known only when all were seen."""

    def __init__(self, source: Source, archive: Archive, vocabulary: Vocabulary):
        self.source, self.archive, self.vocabulary = source, archive, vocabulary
        self.rejections: list[Rejection] = []
        self._rows: list[tuple[Any, ...]] = []
        self._tables: list[pa.Table] = []
        self._seen: set[str] = set()
        self._used: set[str] = set()
        self._labels = [cache(partial(self._label, category)) for category in CATEGORIES]
        self._combinations = cache(self._combination)
        self._microscopy = cache(lambda value: vocabulary.label("microscopy", value or source.microscopy).text)
        self._wells, self._controls = cache(_well), cache(vocabulary.control)
        published = {name: vocabulary.label(name, value).text for name, value in source.published.items()}
        self._constant = {name: getattr(source, name) for name in _CONSTANT} | {
            "uncertain": "|".join(source.uncertain) or None,
            "published": "; ".join(f"{name}={text}" for name, text in published.items()) or None,
        }

    def add(self, items: Iterable[Field | RejectedItem]) -> None:
        """Take in what a source yields."""
        listing = self.archive.listing
        for item in tqdm(items, unit="field", desc=self.source.dir_name, leave=False, disable=None):
            if isinstance(item, RejectedItem):
                self._used.add(item.key)
                self._reject(item.key, item.reason, item.detail)
                continue
            idx = field_id(self.source.dir_name, item.key)
            if listing.issuperset(item.files) and item.files:
                files, present, outside = item.files, True, None
            else:
                files, present, outside = self._locate(item.files)
            self._used.update(files)
            if outside:
                self._reject(item.key, "outside_root", f"{outside!r} is not below the archive's folder")
            elif not present:
                self._reject(item.key, "no_image_file", f"none of {', '.join(item.files)}")
            elif idx in self._seen:
                self._reject(item.key, "duplicate_key", f"this key is taken already; here for {files[0]}")
            else:
                self._seen.add(idx)
                self._rows.append(self._row(item, idx, files))
                if len(self._rows) == _CHUNK:
                    self._flush()

    def finish(self) -> tuple[pa.Table, list[Rejection]]:
        """All rows in the order of `idx`, and all rejections, images that nothing names among them."""
        for image in self.archive.images:
            if image not in self._used:
                self._reject(image, "image_without_row", "")
        for item in self.archive.unread:
            self._reject(item.key, item.reason, item.detail)
        for link in sorted(self.archive.links_out - self._used):
            self._reject(link, "outside_root", "a symbolic link")
        self._flush()
        table = pa.concat_tables([ANNOTATION_SCHEMA.empty_table(), *self._tables])
        return table.take(pc.sort_indices(table["idx"])), self.rejections

    def _locate(self, names: Sequence[str]) -> tuple[list[str], bool, str | None]:
        """Real names (the documented one where a file is missing), whether any is there, and one that leaves."""
        files, present = [], False
        for name in names:
            name = name.replace("\\", "/")
            if name.startswith("/") or ".." in name.split("/") or name in self.archive.links_out:
                return list(names), False, name
            real = self.archive.find(name)
            present = present or real is not None
            files.append(real or name)
        return files, present, None

    def _row(self, item: Field, idx: str, files: Sequence[str]) -> tuple[Any, ...]:
        """What differs from row to row, in the order of `_COLUMNS`."""
        if len(item.channels) != len(files) or (item.pages is not None and len(item.pages) != len(files)):
            raise RuntimeError(f"{self.source.dir_name}: {item.key} has {len(files)} files for {list(item.channels)}")
        values = _LABELS(item)
        try:
            texts, marked = self._combinations(values)
        except TypeError:  # some column holds a list
            texts, marked = self._combinations(tuple(tuple(v) if isinstance(v, list) else v for v in values))
        return (
            idx,
            *texts,
            self._microscopy(item.microscopy),
            item.channels,
            files,
            item.pages,
            item.region,
            item.plate or None,
            self._wells(item.well),
            item.site or None,
            self._physical_field(item),
            item.donor or None,
            self._controls(item.control) or marked,
        )

    def _combination(self, values: Sequence[Any]) -> tuple[tuple[str | None, ...], str | None]:
        """Texts of the label columns, and the control that one of them marks; sites of a well share them."""
        labels = [label(value) for label, value in zip(self._labels, values, strict=True)]
        return tuple(label.text for label in labels), next((label.control for label in labels if label.control), None)

    def _label(self, category: str, value: str | Sequence[str] | None) -> Label:
        label = self.vocabulary.label(
            category, self.source.organism if category == "organism" and not value else value
        )
        if category in self.source.uncertain and label.text:
            return replace(label, text=label.text.replace("|", "/"))
        return label

    def _physical_field(self, item: Field) -> str:
        """The id of what the camera saw: of the source's own key, or of plate, well and site."""
        key = item.physical_field
        if key is None and (item.well or item.site):
            key = "/".join((item.plate or "", self._wells(item.well) or "", item.site or "")).lower()
        return field_id(self.source.physical_fields or self.source.dir_name, key or item.key)

    def _reject(self, key: str, reason: str, detail: str) -> None:
        idx = field_id(self.source.dir_name, key)
        self.rejections.append(
            Rejection(idx, STAGE, reason, f"{key}: {detail}" if detail else key, dir_name=self.source.dir_name)
        )

    def _flush(self) -> None:
        if not self._rows:
            return
        height = len(self._rows)
        columns = {
            name: pa.array(values, type=ANNOTATION_SCHEMA.field(name).type)
            for name, values in zip(_COLUMNS, zip(*self._rows, strict=True), strict=True)
        }
        files = columns["channel_files"]
        # Relative to --raw from here on; Arrow joins a million names faster than Python.
        names = pc.binary_join_element_wise(self.archive.root.name, files.values, "/")
        columns["channel_files"] = pa.ListArray.from_arrays(files.offsets, names)
        parts = pc.split_pattern(pc.list_element(columns["channel_files"], 0), "/", max_splits=1, reverse=True)
        columns |= {"path": pc.list_element(parts, 0), "filename": pc.list_element(parts, 1)}
        columns |= {name: pa.repeat(pa.scalar(value, pa.string()), height) for name, value in self._constant.items()}
        self._tables.append(pa.table([columns[name] for name in ANNOTATION_SCHEMA.names], schema=ANNOTATION_SCHEMA))
        self._rows.clear()


def _well(well: str | None) -> str | None:
    try:
        return well_name(well.strip()) if well else None
    except InputError:  # some archives name positions otherwise; their own name is still a group
        return well
