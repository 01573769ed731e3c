"""`python -m builder …`: options in, one stage function called, its summary printed."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cytoimagenet_hf.cli import options
from cytoimagenet_hf.cli.arguments import Only, takes_settings
from cytoimagenet_hf.core.boundary import DEBUG, run_app
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import json_text
from cytoimagenet_hf.core.terminal import Terminal

from .settings import Division, Rendering, Rules
from .sources.filter import SourceFilter

if TYPE_CHECKING:  # its schema imports `datasets`, which fails where no temporary folder can be written to
    from .recipe import Recipe
    from .stage import StageSummary

Raw = Annotated[Path, typer.Option(help="Folder that holds one folder per source (rec_rxrx1, bbbc022, …).")]
Output = Annotated[Path, typer.Option(help="Folder of the build; must be new, empty or an earlier build.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Turn raw archives of microscopy datasets into the curated dataset, in one go or stage by stage.\n\n"
    f"{DEBUG}\n\nExample: python -m builder build --raw /data/archives --output cytoimagenet",
)
app.callback()(options)


@app.command()
@takes_settings
def annotate(
    raw: Raw,
    output: Output,
    sources: SourceFilter,
    as_json: AsJson = False,
) -> None:
    """Read tables and file names: one row per field of view.

    Example: python -m builder annotate --raw /data/archives --output cytoimagenet --sources rec_rxrx1,bbbc022
    """
    from .annotate import annotate as run
    from .stage import claimed

    with claimed(output):
        _show(run(raw, output, sources=sources), as_json=as_json)


@app.command()
@takes_settings
def select(
    output: Output,
    rules: Rules,
    sources: SourceFilter,
    explain: Annotated[str | None, typer.Option(help="Say how this label came in, and write nothing.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Classes, images, disk and hours; no output.")] = False,
    as_json: AsJson = False,
) -> None:
    """Choose weak labels and their fields.

    Example: python -m builder select --output cytoimagenet --recipe published --explain "actin inhibitor"
    """
    from .select import select as run
    from .stage import claimed

    made = _recipe(rules)
    if explain is not None or dry_run:
        from .select.explain import dry_run as plan
        from .select.explain import explain_label

        question: Any = {"recipe": made, "seed": rules.seed, "sources": sources}
        report: Any = plan(output, **question) if explain is None else explain_label(output, explain, **question)
        _print(asdict(report), report, as_json=as_json)
        return
    with claimed(output):
        _show(run(output, recipe=made, seed=rules.seed, sources=sources), as_json=as_json)


@app.command()
@takes_settings
def labels(
    output: Output,
    rules: Rules,
    sources: SourceFilter,
    as_json: AsJson = False,
) -> None:
    """Labels by category beside the paper's, and which of its author's 51 names are there; writes nothing.

    Example: python -m builder labels --output cytoimagenet --recipe published --set holdings=mine.csv
    """
    from .select.compare import compare_with_paper

    report = compare_with_paper(output, recipe=_recipe(rules), seed=rules.seed, sources=sources)
    _print(asdict(report), report, as_json=as_json)


@app.command()
@takes_settings
def render(
    raw: Raw,
    output: Output,
    rules: Rules,
    how: Rendering,
    as_json: AsJson = False,
) -> None:
    """Read, merge channels, quality-check, crop and encode; resumes where an earlier run stopped.

    Example: python -m builder render --raw /data/archives --output cytoimagenet --workers 16
    Example: python -m builder render --raw /data/archives --output cytoimagenet --part 3/64
    """
    from .render import render as run
    from .stage import claimed_or_shared

    with claimed_or_shared(output, how.part):
        _show(run(raw, output, how, recipe=_recipe(rules), seed=rules.seed), as_json=as_json)


@app.command()
@takes_settings
def publish(
    output: Output,
    rules: Rules,
    division: Division,
    sources: SourceFilter,
    as_json: AsJson = False,
) -> None:
    """Balance classes, split without leaks, write the dataset repository and its card.

    Example: python -m builder publish --output cytoimagenet --licences cc0,cc-by --group plate
    """
    from .publish import publish as run
    from .stage import claimed

    with claimed(output):
        recipe = _recipe(rules)
        _show(run(output, recipe=recipe, seed=rules.seed, sources=sources, **vars(division)), as_json=as_json)


@app.command()
@takes_settings
def build(
    raw: Raw,
    output: Output,
    rules: Rules,
    sources: SourceFilter,
    how: Annotated[Rendering, Only("workers", "dask", "keep_channels")],
    division: Division,
    as_json: AsJson = False,
) -> None:
    """All four stages, one after the other.

    Example: python -m builder build --raw /data/archives --recipe corrected --output cytoimagenet
    """
    from .build import build as run

    summaries = run(
        raw,
        output,
        how,
        recipe=_recipe(rules),
        seed=rules.seed,
        sources=sources,
        **vars(division),
    )
    _show(*summaries, as_json=as_json)


@app.command("import-kaggle")
@takes_settings
def import_kaggle(
    archive: Annotated[Path, typer.Option(help="The unpacked archive: metadata.csv and one folder per label.")],
    output: Output,
    rules: Annotated[Rules, Only("seed")],
    how: Annotated[Rendering, Only("workers", "dask")],
    as_json: AsJson = False,
) -> None:
    """The published archive, image by image, to the same dataset repository; resumes where it stopped.

    Example: python -m builder import-kaggle --archive /data/cytoimagenet-kaggle --output cytoimagenet
    """
    from .kaggle import import_kaggle as run
    from .stage import claimed

    with claimed(output):
        _show(run(archive, output, seed=rules.seed, workers=how.workers, dask=how.dask), as_json=as_json)


@app.command()
@takes_settings
def sources(
    sources: SourceFilter,
    raw: Annotated[Path | None, typer.Option(help="Also say what is found below this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """The sources: kind, licence, expected fields, and what is there.

    Example: python -m builder sources --raw /data/archives --licences cc0,cc-by
    """
    from .doctor import sources_table, survey

    reports = survey(raw, sources=sources)
    _print([asdict(report) for report in reports], sources_table(reports), as_json=as_json)


@app.command()
@takes_settings
def doctor(
    raw: Raw,
    sources: SourceFilter,
    dataset: Annotated[
        Path | None, typer.Option(help="Compare downloads with those this dataset was made from.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What is there, what is missing and how to get it, which counts differ.

    Exits 1 when an archive cannot be read or is not what the dataset was made from.

    Example: python -m builder doctor --raw /data/archives --dataset cytoimagenet
    """
    from .doctor import doctor_table, survey

    reports = survey(raw, sources=sources, count=True, dataset=dataset)
    _print([asdict(report) for report in reports], doctor_table(reports, raw), as_json=as_json)
    if any(report.problem or report.changes for report in reports):
        raise typer.Exit(1)


@app.command()
def verify(
    dataset: Annotated[Path, typer.Argument(help="A built dataset, or a download of one.")],
    quick: Annotated[bool, typer.Option("--quick", help="Files only: images are not decoded.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the files of a dataset with its manifest, and its pixels with their hashes. Exits 1 on any damage.

    Example: python -m builder verify cytoimagenet
    """
    from .verify import verify as run

    report = run(dataset, quick=quick)
    damaged = "\n".join(f"{name}: {problem}" for name, problem in report.problems.items())
    intact = f"{report.files} files, {report.rows:,} rows, {report.bytes / 1e6:,.1f} MB: all as published"
    intact += "; images were not decoded (--quick)" if quick else f"; {report.images_decoded:,} images fit their rows"
    _print(asdict(report), damaged or intact, as_json=as_json)
    if not report.intact:
        raise typer.Exit(1)


def _recipe(rules: Rules) -> "Recipe":
    """The recipe of a call, with its `--set name=value`."""
    from .recipe import load

    values = {}
    for item in rules.overrides:
        name, separator, value = item.partition("=")
        if not separator:
            raise InputError(f"--set {item}: write it as name=value, for example --set min_fields=4")
        values[name.strip()] = value.strip()
    return load(rules.recipe, values)


def _show(*summaries: "StageSummary", as_json: bool) -> None:
    """Print stage summaries for a person or a program; exit 1 when a source the caller gave was refused."""
    table = Table("stage", "in", "kept", "rejected", "seconds", title="Build")
    for summary in summaries:
        reasons = "\n".join(f"{reason} {count:,}" for reason, count in summary.rejected.items()) or "none"
        table.add_row(summary.stage, f"{summary.rows_in:,}", f"{summary.kept:,}", reasons, f"{summary.seconds:.1f}")
    _print([asdict(summary) for summary in summaries], table, as_json=as_json)
    for summary in summaries:
        for problem in (summary.details.get("refused_because") or {}).values():
            typer.echo(f"refused: {problem}", err=True)
    if any(summary.details.get(name) for summary in summaries for name in ("refused", "nothing_usable")):
        raise typer.Exit(1)


def _print(content: Any, shown: Any, *, as_json: bool) -> None:
    """JSON for a program, or a table or text for a person."""
    if as_json:
        typer.echo(json_text(content, sort_keys=True))
    else:
        Terminal().print(shown)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1, 2, 70 or 130, as `cytoimagenet_hf.core.boundary` explains.

    Args:
        arguments: what follows the program's name; those of the process by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    return run_app(lambda: app, program="python -m builder", arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
