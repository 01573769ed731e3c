"""What is below `--raw`, what is missing and how to get it: the data behind `sources` and `doctor`.

`survey` looks at folders; with `count=True` it also reads tables and file names, as `annotate` does, and compares the
numbers with those the sources expect. Nothing is written.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.table import Table

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import CATEGORIES

from .downloads import Download, changes, describe_download, downloads_of
from .rows import annotate_source
from .sources.base import Archive, Count, Source
from .sources.filter import ALL_SOURCES, SourceFilter, choose_sources
from .stage import count_reasons
from .vocabulary import Vocabulary, load_vocabulary


@dataclass(frozen=True)
class Difference:
    """A number that is not what the source expects, and how sure that expectation is."""

    what: str
    expected: int
    found: int
    certainty: str


@dataclass(frozen=True)
class Report:
    """A source and its archive. Counts are null where they were not taken or there is no folder."""

    dir_name: str
    name: str
    database: str
    kind: str
    licence: str
    fields_expected: int | None
    certainty: str | None
    disk_gb: float | None
    download: str
    folder: str | None
    images: int | None = None
    fields: int | None = None
    rejected: dict[str, int] | None = None
    differences: tuple[Difference, ...] = ()
    changes: tuple[str, ...] = ()
    problem: str | None = None


def survey(
    raw: Path | None,
    *,
    sources: SourceFilter = ALL_SOURCES,
    count: bool = False,
    dataset: Path | None = None,
) -> list[Report]:
    """A report on every chosen source.

    Args:
        raw: folder with one folder per source; None to list the sources alone.
        sources: which to report on.
        count: read tables and file names and compare counts, rather than list files.
        dataset: a built dataset; downloads are compared with those it was made from.
    """
    if raw is not None and not raw.is_dir():
        raise InputError(f"{raw} is not a folder: --raw takes the folder that holds one folder per source")
    below = {} if raw is None else {path.name.lower(): path for path in sorted(raw.iterdir()) if path.is_dir()}
    vocabulary = load_vocabulary()
    chosen = choose_sources(sources)
    recorded = {} if dataset is None else downloads_of(dataset)
    return [_report(source, below.get(name), vocabulary, count, recorded.get(name)) for name, source in chosen.items()]


def _report(
    source: Source, folder: Path | None, vocabulary: Vocabulary, count: bool, recorded: Download | None
) -> Report:
    expected = next((expectation for expectation in source.expected if expectation.what == "fields"), None)
    facts = ("dir_name", "name", "database", "kind", "licence", "disk_gb", "download")
    report = Report(
        **{name: getattr(source, name) for name in facts},
        fields_expected=expected.number if expected else None,
        certainty=expected.certainty if expected else None,
        folder=None if folder is None else str(folder),
    )
    if folder is None:
        return report
    archive = Archive(folder, source)
    report = replace(report, images=len(archive.images))
    if recorded is not None:
        report = replace(report, changes=changes(recorded, describe_download(archive)))
    if not count:
        return report
    try:
        table, rejections = annotate_source(source, folder, vocabulary)
    except InputError as error:
        return replace(report, problem=str(error))
    measured = [(expectation, _measure(expectation, table)) for expectation in source.expected]
    return replace(
        report,
        fields=table.num_rows,
        rejected=count_reasons(rejections),
        differences=tuple(
            Difference(expectation.what, expectation.number, number, expectation.certainty)
            for expectation, number in measured
            if number is not None and number != expectation.number
        ),
    )


def _measure(count: Count, table: pa.Table) -> int | None:
    """The number in the annotated rows that an expectation speaks of; null when it is not about rows."""
    if count.what == "fields":
        return int(table.num_rows)
    column, equals, label = count.what.partition("=")
    if column not in CATEGORIES:
        return None
    tokens = pc.list_flatten(pc.split_pattern(table[column].drop_null(), "|"))
    return int(pc.sum(pc.equal(tokens, label)).as_py() or 0) if equals else len(tokens.unique())


def sources_table(reports: Sequence[Report]) -> Table:
    """One line a source: kind, licence, expected fields, and what is there."""
    table = Table("source", "name", "kind", "licence", "fields", "certainty", "found", title="Sources")
    for report in reports:
        images = "–" if report.folder is None else f"{report.images:,} images"
        table.add_row(
            *(report.dir_name, report.name, report.kind, report.licence),
            *(_number(report.fields_expected), report.certainty or "", images),
        )
    return table


def doctor_table(reports: Sequence[Report], raw: Path) -> Table:
    """One line a source: rows found and left out, what differs from the expectation, and how to get what is absent."""
    table = Table("source", "fields", "left out", "to look at", title=f"Archives below {raw}")
    for report in sorted(reports, key=lambda report: report.folder is None):
        left_out = "\n".join(f"{reason} {number:,}" for reason, number in (report.rejected or {}).items())
        table.add_row(report.dir_name, _number(report.fields), left_out, "\n".join(_remarks(report)))
    free = shutil.disk_usage(raw).free / 1e9
    missing = sum(report.disk_gb or 0.0 for report in reports if report.folder is None)  # as far as sizes are known
    table.caption = f"The absent archives need about {missing:,.0f} GB; {free:,.0f} GB are free."
    return table


def _remarks(report: Report) -> list[str]:
    if report.folder is None:
        size = f" About {report.disk_gb:,g} GB." if report.disk_gb else ""
        return [f"absent. {report.download}{size}"]
    if report.problem:
        return [report.problem, *report.changes]
    return [*report.changes] + [
        f"{d.what}: {d.found:,} of {d.expected:,} expected ({d.certainty})" for d in report.differences
    ]


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
