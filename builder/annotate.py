"""First stage: raw archives in, `annotations.parquet` out, one row per field of view.

Sources say what they find; here are the rules that hold for all of them, applied once: label spelling (`vocabulary`),
wells, ids, controls, files checked against what is on disk. What is left out is recorded: rows without an image,
images without a row, repeated keys, files outside the archive.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import atomic_path
from cytoimagenet_hf.schema import ANNOTATION_SCHEMA

from .sources import SOURCES, choose_sources
from .sources.base import Archive, Field, Skipped, Source
from .sources.plates import well_name
from .sources.refused import Benchmark, refused_files, refused_name
from .stage import Rejection, StageSummary, count_reasons, write_rejections
from .vocabulary import Vocabulary, load_vocabulary

STAGE = "annotate"
_CHUNK = 1 << 16  # rows turned into Arrow at a time, so that millions of fields fit into memory


def annotate(
    raw: Path,
    output: Path,
    *,
    sources: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    licences: Sequence[str] | None = None,
) -> StageSummary:
    """Annotate every chosen source below `raw` and write the table, its rejections and its summary.

    Args:
        raw: folder with one folder per source, named by its `dir_name`.
        output: folder of the build; receives `annotations.parquet` (rows ordered by `idx`).
        sources: only these; all that are below `raw` when None.
        exclude: not these.
        licences: only sources under these licences; `cc-by` stands for all its versions.

    Raises:
        InputError: no known source, a benchmark set in place of one, or a table or column is missing.
    """
    started = time.perf_counter()
    folders, refused = find_folders(raw, sources=sources, exclude=exclude, licences=licences)
    vocabulary = load_vocabulary()
    rejections = [
        Rejection(name, STAGE, "benchmark_set", f"{benchmark.title} is kept for evaluation", dir_name=name)
        for name, benchmark in refused.items()
    ]
    by_source: dict[str, dict[str, int]] = {}
    output.mkdir(parents=True, exist_ok=True)
    with (
        atomic_path(output / "annotations.parquet") as temporary,
        pq.ParquetWriter(temporary, ANNOTATION_SCHEMA, compression="zstd") as writer,
    ):
        # "-" sorts before every character of a dir_name, so this is the order of idx.
        for name in tqdm(sorted(folders, key=lambda name: name + "-"), unit="source", desc=STAGE, disable=None):
            table, left_out = annotate_source(SOURCES[name], folders[name], vocabulary)
            writer.write_table(table)
            by_source[name] = {"kept": table.num_rows, "rejected": len(left_out)}
            rejections += left_out
    write_rejections(output, STAGE, rejections)
    kept = sum(counts["kept"] for counts in by_source.values())
    summary = StageSummary(
        stage=STAGE,
        rows_in=kept + len(rejections),
        kept=kept,
        rejected=count_reasons(rejections),
        by_source=by_source,
        seconds=time.perf_counter() - started,
        details={"refused": sorted(refused), "nothing_usable": [n for n, c in by_source.items() if not c["kept"]]},
    )
    summary.write(output)
    return summary


def find_folders(
    raw: Path,
    *,
    sources: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    licences: Sequence[str] | None = None,
) -> tuple[dict[str, Path], dict[str, Benchmark]]:
    """Folders of the chosen sources below `raw`, and the benchmark sets that lie beside them.

    Raises:
        InputError: there is no such folder, none is a known source, or one that was asked for is missing.
    """
    if not raw.is_dir():
        raise InputError(f"{raw} is no folder: --raw takes the folder that holds one folder per source")
    chosen = choose_sources(sources, exclude, licences)
    below = {path.name.lower(): path for path in sorted(raw.iterdir()) if path.is_dir()}
    folders = {name: below[name] for name in chosen if name in below}
    left_out = {name.lower() for name in exclude}
    refused = {
        path.name: benchmark
        for name, path in below.items()
        if (benchmark := refused_name(name)) and name not in left_out and sources is None
    }
    if sources is not None and (missing := sorted(chosen.keys() - folders.keys())):
        raise InputError(
            f"{', '.join(missing)}: no such folder in {raw}. {chosen[missing[0]].download} "
            "`python -m builder doctor` says how to get each source."
        )
    if not folders:
        if benchmark := refused_name(raw.name) or next(iter(refused.values()), None):
            raise InputError(f"{raw} holds {benchmark.title}, a benchmark: it is kept for evaluation and is no source")
        hint = f" {raw.name} itself is one: pass --raw {raw.parent}." if raw.name.lower() in SOURCES else ""
        raise InputError(
            f"{raw} holds no folder of a chosen source; it holds {', '.join(sorted(below)) or 'no folders'}.{hint} "
            f"Chosen: {', '.join(chosen) or 'none'}. `python -m builder sources` lists all."
        )
    return folders, refused


def annotate_source(source: Source, folder: Path, vocabulary: Vocabulary) -> tuple[pa.Table, list[Rejection]]:
    """Rows and rejections of one source, rows ordered by `idx`.

    Raises:
        InputError: a table or column is missing, or the folder holds a benchmark set.
    """
    archive = Archive(folder, source)
    if found := refused_files(archive.files):
        benchmark, file = found
        raise InputError(
            f"{folder} holds {benchmark.title} ({file}), a benchmark: it is kept for evaluation and is no source"
        )
    rows = _Rows(source, archive, vocabulary)
    try:
        rows.add(source.scan(archive))
    except InputError as error:
        where = "" if str(error).startswith(source.dir_name) else f"{folder}: "
        raise InputError(f"{where}{error}. Mend it, or leave the source out: --exclude {source.dir_name}") from error
    return rows.finish()


def field_id(dir_name: str, key: str) -> str:
    """`<dir_name>-<16 hex digits>`, from the natural key alone: file order and other files do not matter.

    Example:
        >>> field_id("bbbc013", "A01/channel1")
        'bbbc013-f4d7a2a1d0a0d6d5'
    """
    return f"{dir_name}-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"


@dataclass
class _Rows:
    """Fields of one source on their way into Arrow, and everything that is known only when all were seen."""

    source: Source
    archive: Archive
    vocabulary: Vocabulary
    rejections: list[Rejection] = field(default_factory=list)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _tables: list[pa.Table] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _used: set[str] = field(default_factory=set)
    _wells: dict[str | None, str | None] = field(default_factory=lambda: {None: None, "": None})

    def add(self, items: Iterable[Field | Skipped]) -> None:
        """Take in what a source yields."""
        known = frozenset(self.archive.files)
        bar = tqdm(items, unit="field", desc=self.source.dir_name, leave=False, disable=None)
        for item in bar:
            if isinstance(item, Skipped):
                self._used.add(item.key)
                self._reject(item.key, item.reason, item.detail)
                continue
            idx = field_id(self.source.dir_name, item.key)
            files, present, outside = self._locate(item.files, known)
            self._used.update(files)
            if outside:
                self._reject(item.key, "outside_root", f"{outside!r} is not below the archive's folder")
            elif not present:
                self._reject(item.key, "no_image_file", f"none of {', '.join(item.files)}")
            elif idx in self._seen:
                self._reject(item.key, "duplicate_key", f"{item.key!r} is there already; this one has {files[0]}")
            else:
                self._seen.add(idx)
                self._rows.append(self._row(item, idx, files))
                if len(self._rows) == _CHUNK:
                    self._flush()

    def finish(self) -> tuple[pa.Table, list[Rejection]]:
        """All rows in the order of `idx`, and all rejections, images that nothing names among them."""
        for image in sorted({*self.archive.images, *self.archive.links_out} - self._used):
            link = image in self.archive.links_out
            self._reject(image, "outside_root" if link else "image_without_row", "a link" if link else "")
        self._flush()
        table = pa.concat_tables([ANNOTATION_SCHEMA.empty_table(), *self._tables])
        return table.take(pc.sort_indices(table["idx"])), self.rejections

    def _locate(self, names: Sequence[str], known: frozenset[str]) -> tuple[list[str], bool, str | None]:
        """Real names (the documented one where a file is missing), whether any is there, and one that leaves."""
        found, present = [], False
        for name in names:
            if name not in known:
                name = name.replace("\\", "/")
                if name.startswith("/") or ".." in name.split("/") or name in self.archive.links_out:
                    return list(names), False, name
                real = self.archive.find(name)
                present = present or real is not None
                found.append(real or name)
            else:
                present = True
                found.append(name)
        return found, present, None

    def _row(self, item: Field, idx: str, files: list[str]) -> dict[str, Any]:
        source, vocabulary = self.source, self.vocabulary
        if len(item.channels) != len(files) or (item.pages is not None and len(item.pages) != len(files)):
            raise RuntimeError(f"{source.dir_name}: {item.key} has {len(files)} files for {list(item.channels)}")
        prefix = self.archive.root.name + "/"
        folder, _, filename = (prefix + files[0]).rpartition("/")
        values: Mapping[str, Any] = {
            "organism": item.organism or source.organism,
            "cell_type": item.cell_type,
            "cell_visible": item.cell_visible,
            "phenotype": item.phenotype,
            "compound": item.compound,
            "gene": item.gene,
            "sirna": item.sirna,
        }
        labels = {name: vocabulary.label(name, value) for name, value in values.items()}
        marked = next((label.control for label in labels.values() if label.control), None)
        return {
            "idx": idx,
            "database": source.database,
            "name": source.name,
            "dir_name": source.dir_name,
            "path": folder,
            "filename": filename,
            **{name: label.text for name, label in labels.items()},
            "microscopy": vocabulary.label("microscopy", item.microscopy or source.microscopy).text,
            "channels": item.channels,
            "channel_files": [prefix + name for name in files],
            "channel_pages": item.pages,
            "region": item.region,
            "plate": item.plate or None,
            "well": self._well(item.well),
            "site": item.site or None,
            "donor": item.donor or None,
            "control": vocabulary.control(item.control) or marked,
            "licence": source.licence,
        }

    def _well(self, well: str | None) -> str | None:
        if well not in self._wells:
            try:
                self._wells[well] = well_name(str(well).strip())
            except InputError:  # some archives name positions otherwise; their own name is still a group
                self._wells[well] = str(well).strip()
        return self._wells[well]

    def _reject(self, key: str, reason: str, detail: str) -> None:
        idx = field_id(self.source.dir_name, key)
        self.rejections.append(
            Rejection(idx, STAGE, reason, f"{key}: {detail}" if detail else key, dir_name=self.source.dir_name)
        )

    def _flush(self) -> None:
        if self._rows:
            self._tables.append(pa.Table.from_pylist(self._rows, schema=ANNOTATION_SCHEMA))
            self._rows.clear()
