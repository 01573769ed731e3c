"""`cytoimagenet diversity`: a dataset seen through features."""

from pathlib import Path
from typing import Annotated

import typer

from cytoimagenet_hf.options.benchmark import DiversityOptions
from cytoimagenet_hf.options.extraction import Extraction

from .arguments import Only, takes_settings


@takes_settings
def command(
    dataset: Annotated[str, typer.Argument(help="A built folder, or a dataset repository.")],
    model: Annotated[str, typer.Option(help="Checkpoint folder, Hub or timm name, Keras .h5, random or random:SEED.")],
    drawn: DiversityOptions,
    run: Annotated[Extraction, Only("batch_size")],
    output: Annotated[Path | None, typer.Option(help="Folder for the table, the subset and the figures.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of extracted features; by default among the caches of the Hub.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print distances and subset as JSON.")] = False,
) -> None:
    """Mean cosine distance within and between labels; the labels that stand apart, ready for subset=.

    Example: cytoimagenet diversity cytoimagenet --model runs/b0/model --output diversity
    """
    from cytoimagenet_hf.benchmarks.diversity import measure_diversity, write_diversity
    from cytoimagenet_hf.benchmarks.table import Table, to_rich
    from cytoimagenet_hf.core.files import json_text, require_folder
    from cytoimagenet_hf.core.terminal import Terminal

    if output is not None:
        require_folder(output)
    diversity = measure_diversity(dataset, model, drawn, cache=cache, settings=run)
    if output is not None:
        write_diversity(diversity, output)
    for rejection in diversity.rejected:
        typer.secho(f"left out {rejection.id}: {rejection.reason}", err=True, fg="yellow")
    if as_json:
        typer.echo(json_text(diversity.record))
        return
    summary = tuple(
        (str(name), f"{len(group)}", f"{group['intra'].mean():.3f}", f"{group['inter'].mean():.3f}")
        for name, group in diversity.distances.groupby("category")
    )
    labels = f"{len(diversity.subset)} of {len(diversity.distances)} labels"
    note = f"{labels} are farther than {drawn.threshold} from the others."
    title = f"Mean cosine distances, {diversity.model}"
    Terminal().print(to_rich(Table(title, ("category", "labels", "within", "between"), summary, note)))
