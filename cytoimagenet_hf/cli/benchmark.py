"""`cytoimagenet benchmark`: the transfer benchmarks on models or ready features."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.benchmark import RecipeOptions, SuiteOptions, TaskOptions
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.options.networks import EncoderOptions
from cytoimagenet_hf.options.source import ImageColumns

from .arguments import Only, Without, takes_settings


@takes_settings
def command(
    tasks: TaskOptions,
    columns: ImageColumns,
    scored: SuiteOptions,
    rules: RecipeOptions,
    networks: Annotated[EncoderOptions, Without("method")],
    run: Annotated[Extraction, Only("backend", "device", "dtype", "batch_size", "workers")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for results.json, predictions, tables and figures.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results record as JSON.")] = False,
) -> None:
    """Score features by nearest neighbours; intervals, paired tests, controls and contamination marks included.

    Example: cytoimagenet benchmark --task bbbc021 --data /data/bbbc021 --model runs/b0/model --model random --fuse
    """
    from cytoimagenet_hf.benchmarks import find_tasks
    from cytoimagenet_hf.benchmarks.recipes import load_recipe
    from cytoimagenet_hf.benchmarks.report import repair_table, write_report
    from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
    from cytoimagenet_hf.benchmarks.table import result_tables, to_markdown, to_rich
    from cytoimagenet_hf.core.files import json_text, require_folder, write_text
    from cytoimagenet_hf.core.terminal import Terminal

    if not tasks.task:
        raise InputError("no task: name one or several, such as --task bbbc021")
    if output is not None:
        require_folder(output)
    suite = Suite(
        tasks=find_tasks(tasks.task, tasks.data, replace(tasks, columns=columns)),
        recipe=load_recipe(rules.recipe, scaler=rules.scaler, protocol=rules.protocol, nscb=rules.nscb),
        settings=run,
        options=networks,
        **vars(scored),
    )
    console = Terminal(stderr=as_json)

    def report(message: str) -> None:
        console.print(message, style="dim")

    if rules.repairs:
        changes = repair_table(suite, report=report)
        if output is not None:
            write_text(output / "repairs.md", to_markdown(changes))
        if as_json:
            typer.echo(json_text(asdict(changes) | {"best": sorted(changes.best)}))
        else:
            console.print(to_rich(changes))
        return
    results = run_suite(suite, report=report)
    if output is not None:
        write_report(results, output, seed=scored.seed)
    if as_json:
        typer.echo(json_text(results.record.to_json()))
        return
    for table in result_tables(results.record, by_class=False):
        console.print(to_rich(table))
    if output is not None:
        console.print(f"written to {output}")
