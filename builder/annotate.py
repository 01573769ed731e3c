"""First stage: raw archives in, `annotations.parquet` out, one row per field of view.

Chooses the folders of the sources, refuses benchmark sets, and writes what `rows` makes of each source. What is left
out is recorded: rows without an image, images without a row, repeated keys, files outside the archive, and a source
whose table cannot be read, beside which the others go on.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tqdm import tqdm

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA

from .downloads import describe_download
from .rows import STAGE, annotate_source
from .sources.base import Archive
from .sources.benchmark_sets import BenchmarkSet, benchmark_among, benchmark_named
from .sources.filter import ALL_SOURCES, SourceFilter, choose_sources
from .stage import Rejection, StageSummary, count_reasons, write_rejections
from .vocabulary import load_vocabulary


def annotate(
    raw: Path,
    output: Path,
    *,
    sources: SourceFilter = ALL_SOURCES,
) -> StageSummary:
    """Annotate every chosen source below `raw` and write the table, its rejections and its summary.

    Args:
        raw: folder with one folder per source, named by its `dir_name`.
        output: folder of the build; receives `annotations.parquet` (rows ordered by `idx`).
        sources: which take part; of all those, which are below `raw`.

    Raises:
        InputError: no known source, a benchmark set in place of one, or none of the sources can be read.
    """
    started = time.perf_counter()
    folders, benchmarks = _find_folders(raw, sources=sources)
    vocabulary = load_vocabulary()
    rejections = [
        Rejection(name, STAGE, "benchmark_set", f"{benchmark.title} is kept for evaluation", dir_name=name)
        for name, benchmark in benchmarks.items()
    ]
    problems: dict[str, str] = {}
    by_source: dict[str, dict[str, int]] = {}
    downloads: dict[str, dict[str, Any]] = {}
    output.mkdir(parents=True, exist_ok=True)
    with (
        atomic_path(output / "annotations.parquet") as temporary,
        pq.ParquetWriter(temporary, ANNOTATION_SCHEMA, compression="zstd") as writer,
    ):
        # "-" sorts before every character of a dir_name, so this is the order of idx.
        for name in tqdm(sorted(folders, key=lambda name: name + "-"), unit="source", desc=STAGE, disable=None):
            source = sources.registry[name]
            try:
                table, left_out = annotate_source(source, folders[name], vocabulary)
                downloads[name] = asdict(describe_download(Archive(folders[name], source)))
            except InputError as error:
                if len(problems) + 1 == len(folders):
                    raise  # nothing is left: what stood in the output stays
                problems[name] = str(error)
                rejections.append(Rejection(name, STAGE, "unreadable_source", str(error), dir_name=name))
                continue
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
        details={
            "refused": sorted({*benchmarks, *problems}),
            "refused_because": problems | _without_fields(by_source, sources),
            "nothing_usable": [n for n, c in by_source.items() if not c["kept"]],
            "downloads": downloads,
        },
    )
    summary.write(output)
    return summary


def _without_fields(by_source: Mapping[str, Mapping[str, int]], sources: SourceFilter) -> dict[str, str]:
    """What to do about sources of which no file fits."""
    return {
        name: f"{name}: none of {counts['rejected']:,} files and rows makes a field. {sources.registry[name].download}"
        for name, counts in by_source.items()
        if not counts["kept"]
    }


def _find_folders(
    raw: Path,
    *,
    sources: SourceFilter = ALL_SOURCES,
) -> tuple[dict[str, Path], dict[str, BenchmarkSet]]:
    """Folders of the chosen sources below `raw`, and the benchmark sets that lie beside them.

    Raises:
        InputError: there is no such folder, none is a known source, one that was asked for is missing, or the names
            of two differ in case alone.
    """
    if not raw.is_dir():
        raise InputError(f"{raw} is not a folder: --raw takes the folder that holds one folder per source")
    chosen = choose_sources(sources)
    below: dict[str, Path] = {}
    for path in sorted(raw.iterdir()):
        name = path.name.lower()
        if path.is_dir() and below.setdefault(name, path) != path and name in sources.registry:
            raise InputError(f"{raw} holds {below[name].name} and {path.name}, both {name}: rename or remove one")
    folders = {name: below[name] for name in chosen if name in below}
    left_out = {name.lower() for name in sources.exclude}
    refused = {
        path.name: benchmark
        for name, path in below.items()
        if (benchmark := benchmark_named(name)) and name not in left_out and sources.only is None
    }
    if sources.only is not None and (missing := sorted(chosen.keys() - folders.keys())):
        raise InputError(
            f"{', '.join(missing)}: no such folder in {raw}. {chosen[missing[0]].download} "
            "`python -m builder doctor` says how to get each source."
        )
    if not folders:
        if benchmark := benchmark_named(raw.name) or next(iter(refused.values()), None) or _benchmark_files(raw):
            raise InputError(f"{raw} holds {benchmark.title}, a benchmark: kept for evaluation, and is not a source")
        hint = f" {raw.name} itself is one: pass --raw {raw.parent}." if raw.name.lower() in sources.registry else ""
        raise InputError(
            f"{raw} holds no folder of a chosen source; it holds {', '.join(sorted(below)) or 'no folders'}.{hint} "
            f"Chosen: {', '.join(chosen) or 'none'}. `python -m builder sources` lists all."
        )
    return folders, refused


def _benchmark_files(raw: Path) -> BenchmarkSet | None:
    """The benchmark that a folder without known sources holds, by a first look at its files."""
    files = (path.relative_to(raw).as_posix() for path in islice(raw.rglob("*"), 10_000) if path.is_file())
    benchmark = benchmark_among(files)
    return benchmark[0] if benchmark else None
