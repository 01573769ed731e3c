"""`cytoimagenet diversity`: a dataset seen through features."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    dataset: Annotated[str, typer.Argument(help="A built folder, or a dataset repository.")],
    model: Annotated[str, typer.Option(help="Checkpoint folder, Hub or timm name, Keras .h5, random or random:SEED.")],
    output: Annotated[Path | None, typer.Option(help="Folder for the table, the subset and the figures.")] = None,
    per_label: Annotated[int, typer.Option(help="Images drawn of each label.", min=1)] = 100,
    threshold: Annotated[
        float, typer.Option(help="Labels with a larger inter-class distance form the subset.", min=0, max=2)
    ] = 0.8,
    split: Annotated[str, typer.Option(help="train or validation.")] = "train",
    seed: Annotated[int, typer.Option(help="Of the draw and the projection.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Planes per step of extraction.", min=1)] = 64,
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
    from cytoimagenet_hf.options.extraction import Extraction

    if output is not None:
        require_folder(output)
    found = measure_diversity(
        dataset,
        model,
        split=split,
        per_label=per_label,
        threshold=threshold,
        seed=seed,
        cache=cache,
        settings=Extraction(batch_size=batch_size),
    )
    if output is not None:
        write_diversity(found, output)
    for rejection in found.rejected:
        typer.secho(f"left out {rejection.id}: {rejection.reason}", err=True, fg="yellow")
    if as_json:
        typer.echo(json_text(found.record))
        return
    summary = tuple(
        (str(name), f"{len(group)}", f"{group['intra'].mean():.3f}", f"{group['inter'].mean():.3f}")
        for name, group in found.distances.groupby("category")
    )
    note = f"{len(found.subset)} of {len(found.distances)} labels are farther than {threshold} from the others."
    title = f"Mean cosine distances, {found.model}"
    Terminal().print(to_rich(Table(title, ("category", "labels", "within", "between"), summary, note)))
