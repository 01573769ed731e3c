"""Options that several commands share, and how their values are read and results shown."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import json_text
from cytoimagenet_hf.core.terminal import Terminal
from cytoimagenet_hf.shards.shard import Part, parse_part

from .sources import SOURCES
from .sources.filter import SourceFilter, sources_in

if TYPE_CHECKING:  # its schema imports `datasets`, which fails where no temporary folder can be written to
    from .stage import StageSummary

Raw = Annotated[Path, typer.Option(help="Folder that holds one folder per source (rec_rxrx1, bbbc022, …).")]
Output = Annotated[Path, typer.Option(help="Folder of the build; must be new, empty or an earlier build.")]
RecipeName = Annotated[str, typer.Option(help="`corrected`, `published`, or a YAML file of recipe fields.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="A recipe field, as name=value; repeatable.")]
Seed = Annotated[int, typer.Option(help="Seed of everything that is sampled.")]
Sources = Annotated[str | None, typer.Option(help="Only these sources, comma-separated.")]
Exclude = Annotated[str | None, typer.Option(help="All sources but these, comma-separated.")]
Licences = Annotated[str | None, typer.Option(help="Only sources under these licences, e.g. cc0,cc-by.")]
SourcesFrom = Annotated[
    Path | None, typer.Option("--sources-from", help="Folder of source files of your own, beside the builder's; run.")
]
Workers = Annotated[int | None, typer.Option(help="Processes; all cores by default.", min=1, max=1024)]
Dask = Annotated[str | None, typer.Option(help="Address of a Dask scheduler, e.g. tcp://host:8786.")]
Retry = Annotated[str | None, typer.Option(help="Try rejected fields of these reasons again, comma-separated.")]
Scheme = Annotated[str | None, typer.Option(help="`field` (leak-free) or `published` (row-wise); by recipe if unset.")]
Group = Annotated[
    str, typer.Option(help="What stays on one side of the split: field (the physical one), or a column such as plate.")
]
KeepChannels = Annotated[
    bool, typer.Option("--keep-channels", help="Also write the configuration `channels`: one plane per stain.")
]
PartOption = Annotated[
    Part | None,
    typer.Option(
        "--part",
        parser=parse_part,
        metavar="i/N",
        help="Make the i-th of N parts, beside other commands; a call without it completes the folder.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def listed(text: str | None) -> tuple[str, ...] | None:
    """`"a, b"` → `("a", "b")`; None stays None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def chosen_sources(
    sources: str | None, exclude: str | None, licences: str | None, sources_from: Path | None = None
) -> SourceFilter:
    """Which sources take part, from three comma-separated options and a folder of further sources."""
    registry = SOURCES if sources_from is None else sources_in(sources_from)
    return SourceFilter(
        only=listed(sources), exclude=listed(exclude) or (), licences=listed(licences), registry=registry
    )


def pairs(overrides: list[str] | None) -> dict[str, str]:
    """`["min_fields=4"]` → `{"min_fields": "4"}`."""
    values = {}
    for item in overrides or ():
        name, separator, value = item.partition("=")
        if not separator:
            raise InputError(f"--set {item}: write it as name=value, for example --set min_fields=4")
        values[name.strip()] = value.strip()
    return values


def show(*summaries: "StageSummary", as_json: bool) -> None:
    """Print stage summaries for a person or a program; exit 1 when a source the caller gave was refused."""
    _print_summaries(summaries, as_json=as_json)
    for summary in summaries:
        for problem in (summary.details.get("refused_because") or {}).values():
            typer.echo(f"refused: {problem}", err=True)
    if any(summary.details.get(name) for summary in summaries for name in ("refused", "nothing_usable")):
        raise typer.Exit(1)


def _print_summaries(summaries: "Sequence[StageSummary]", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_text([asdict(summary) for summary in summaries], sort_keys=True))
        return
    table = Table("stage", "in", "kept", "rejected", "seconds", title="Build")
    for summary in summaries:
        reasons = "\n".join(f"{reason} {count:,}" for reason, count in summary.rejected.items()) or "none"
        table.add_row(summary.stage, f"{summary.rows_in:,}", f"{summary.kept:,}", reasons, f"{summary.seconds:.1f}")
    Terminal().print(table)
