"""`python -m builder …`: options in, one stage function called, its summary printed."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cytoimagenet_hf.errors import InputError

from .stage import StageSummary

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Turn raw archives of microscopy datasets into the curated dataset, in one go or stage by stage.",
)

Raw = Annotated[Path, typer.Option(help="Folder that holds one folder per source (rec_rxrx1, bbbc022, …).")]
Output = Annotated[Path, typer.Option(help="Folder of the build; must be new, empty or an earlier build.")]
Recipe = Annotated[str, typer.Option(help="`corrected`, `published`, or a YAML file of recipe fields.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="A recipe field, as name=value; repeatable.")]
Seed = Annotated[int, typer.Option(help="Seed of everything that is sampled.")]
Sources = Annotated[str | None, typer.Option(help="Only these sources, comma-separated.")]
Exclude = Annotated[str | None, typer.Option(help="All sources but these, comma-separated.")]
Licences = Annotated[str | None, typer.Option(help="Only sources under these licences, e.g. cc0,cc-by.")]
Workers = Annotated[int | None, typer.Option(help="Processes; all cores by default.")]
Dask = Annotated[str | None, typer.Option(help="Address of a Dask scheduler, e.g. tcp://host:8786.")]
Retry = Annotated[str | None, typer.Option(help="Try rejected fields of these reasons again, comma-separated.")]
Scheme = Annotated[str | None, typer.Option(help="`field` (leak-free) or `published` (row-wise); by recipe if unset.")]
Group = Annotated[str, typer.Option(help="Column whose values stay on one side of the split: idx, plate, …")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


@app.command()
def annotate(
    raw: Raw,
    output: Output,
    sources: Sources = None,
    exclude: Exclude = None,
    licences: Licences = None,
    as_json: AsJson = False,
) -> None:
    """Read tables and file names: one row per field of view.

    Example: python -m builder annotate --raw /data/archives --output cytoimagenet --sources rec_rxrx1,bbbc022
    """
    from .annotate import annotate as run
    from .stage import claimed

    with claimed(output):
        show(run(raw, output, **filters(sources, exclude, licences)), as_json=as_json)


@app.command()
def select(
    output: Output,
    recipe: Recipe = "corrected",
    overrides: Overrides = None,
    seed: Seed = 0,
    sources: Sources = None,
    exclude: Exclude = None,
    licences: Licences = None,
    explain: Annotated[str | None, typer.Option(help="Say how this label came in, and write nothing.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Classes, images, disk and hours; no output.")] = False,
    as_json: AsJson = False,
) -> None:
    """Choose weak labels and their fields.

    Example: python -m builder select --output cytoimagenet --recipe published --explain "actin inhibitor"
    """
    from .recipe import load
    from .select import select as run
    from .stage import claimed

    rules = load(recipe, pairs(overrides))
    chosen = filters(sources, exclude, licences)
    if explain is not None or dry_run:
        from .explain import dry_run as plan
        from .explain import explain_label

        report: Any = plan(output, recipe=rules, seed=seed, **chosen) if dry_run else None
        if explain is not None:
            report = explain_label(output, explain, recipe=rules, seed=seed, **chosen)
        Console().print_json(json.dumps(asdict(report), default=str)) if as_json else Console().print(report)
        return
    with claimed(output):
        show(run(output, recipe=rules, seed=seed, **chosen), as_json=as_json)


@app.command()
def render(
    raw: Raw,
    output: Output,
    recipe: Recipe = "corrected",
    overrides: Overrides = None,
    seed: Seed = 0,
    workers: Workers = None,
    dask: Dask = None,
    retry_rejected: Retry = None,
    as_json: AsJson = False,
) -> None:
    """Read, merge channels, quality-check, crop and encode; resumes where an earlier run stopped.

    Example: python -m builder render --raw /data/archives --output cytoimagenet --workers 16
    """
    from .recipe import load
    from .render import render as run
    from .stage import claimed

    with claimed(output):
        summary = run(
            raw,
            output,
            recipe=load(recipe, pairs(overrides)),
            seed=seed,
            workers=workers,
            dask=dask,
            retry_rejected=listed(retry_rejected) or (),
        )
        show(summary, as_json=as_json)


@app.command()
def publish(
    output: Output,
    recipe: Recipe = "corrected",
    overrides: Overrides = None,
    seed: Seed = 0,
    split_scheme: Scheme = None,
    group: Group = "idx",
    as_json: AsJson = False,
) -> None:
    """Balance classes, split without leaks, write the dataset repository and its card.

    Example: python -m builder publish --output cytoimagenet --group plate
    """
    from .publish import publish as run
    from .recipe import load
    from .stage import claimed

    with claimed(output):
        rules = load(recipe, pairs(overrides))
        show(run(output, recipe=rules, seed=seed, split_scheme=split_scheme, group=group), as_json=as_json)


@app.command()
def build(
    raw: Raw,
    output: Output,
    recipe: Recipe = "corrected",
    overrides: Overrides = None,
    seed: Seed = 0,
    sources: Sources = None,
    exclude: Exclude = None,
    licences: Licences = None,
    workers: Workers = None,
    dask: Dask = None,
    split_scheme: Scheme = None,
    group: Group = "idx",
    as_json: AsJson = False,
) -> None:
    """All four stages, one after the other.

    Example: python -m builder build --raw /data/archives --recipe corrected --output cytoimagenet
    """
    from .build import build as run
    from .recipe import load

    summaries = run(
        raw,
        output,
        recipe=load(recipe, pairs(overrides)),
        seed=seed,
        workers=workers,
        dask=dask,
        split_scheme=split_scheme,
        group=group,
        **filters(sources, exclude, licences),
    )
    show(*summaries, as_json=as_json)


def listed(text: str | None) -> tuple[str, ...] | None:
    """`"a, b"` → `("a", "b")`; None stays None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def filters(sources: str | None, exclude: str | None, licences: str | None) -> dict[str, Any]:
    """The three source filters as keyword arguments of a stage."""
    return {"sources": listed(sources), "exclude": listed(exclude) or (), "licences": listed(licences)}


def pairs(overrides: list[str] | None) -> dict[str, str]:
    """`["min_fields=4"]` → `{"min_fields": "4"}`."""
    found = {}
    for item in overrides or ():
        name, separator, value = item.partition("=")
        if not separator:
            raise InputError(f"--set {item}: write it as name=value, for example --set min_fields=4")
        found[name.strip()] = value.strip()
    return found


def show(*summaries: StageSummary, as_json: bool) -> None:
    """Print stage summaries for a person, or as JSON for a program."""
    if as_json:
        typer.echo(json.dumps([asdict(summary) for summary in summaries], indent=2, sort_keys=True))
        return
    table = Table("stage", "in", "kept", "rejected", "seconds", title="Build")
    for summary in summaries:
        reasons = "\n".join(f"{reason} {count:,}" for reason, count in summary.rejected.items()) or "none"
        table.add_row(summary.stage, f"{summary.rows_in:,}", f"{summary.kept:,}", reasons, f"{summary.seconds:.1f}")
    Console().print(table)


def main() -> None:
    """Run the command line: an `InputError` is printed without a traceback and exits 2."""
    try:
        app()
    except InputError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
