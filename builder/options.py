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

from .settings import SourceChoice
from .sources import SOURCES
from .sources.filter import SourceFilter, sources_in

if TYPE_CHECKING:  # its schema imports `datasets`, which fails where no temporary folder can be written to
    from .stage import StageSummary

Raw = Annotated[Path, typer.Option(help="Folder that holds one folder per source (rec_rxrx1, bbbc022, …).")]
Output = Annotated[Path, typer.Option(help="Folder of the build; must be new, empty or an earlier build.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def chosen_sources(choice: SourceChoice) -> SourceFilter:
    """Which sources take part, those of a further folder among them."""
    registry = SOURCES if choice.sources_from is None else sources_in(choice.sources_from)
    return SourceFilter(only=choice.sources, exclude=choice.exclude, licences=choice.licences, registry=registry)


def pairs(overrides: Sequence[str]) -> dict[str, str]:
    """`["min_fields=4"]` → `{"min_fields": "4"}`."""
    values = {}
    for item in overrides:
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
