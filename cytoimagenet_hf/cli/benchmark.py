"""`cytoimagenet benchmark`: the transfer benchmarks on models or ready features."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cytoimagenet_hf.core.errors import InputError

from .shared import (
    Backend,
    Dtype,
    FullScale,
    IdColumn,
    ImageColumn,
    LabelColumn,
    Normalize,
    Pixels,
    Pooling,
    Revision,
    Scale,
    Scaling,
    Size,
    TrustRemoteCode,
    Views,
    given,
)


def command(
    task: Annotated[
        list[str], typer.Option(help="bbbc021, coos7, cyclops, …, or folder (your own); give it again for several.")
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of the files, one per task in the same order; or one that holds a folder per task."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Checkpoint folder, Hub or timm name, Keras .h5, random or random:SEED; NAME=… names it."),
    ] = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            help="Ready features: Parquet or CSV with ids, or CellProfiler profiles of wells; NAME=… names it."
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="concat-norm, concat-raw, merge-norm, merge-raw, or all.")
    ] = "concat-norm",
    fuse: Annotated[bool, typer.Option("--fuse", help="Also every two side by side, with their controls.")] = False,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Also random nets of three seeds and features of pixels.")
    ] = False,
    nuisances: Annotated[
        bool,
        typer.Option(
            "--nuisances",
            help="Also what cell count, position on the plate, intensity and background alone score, and what is left "
            "of each model without them.",
        ),
    ] = False,
    redrawn: Annotated[
        int,
        typer.Option(
            help="Also each --model with redrawn weights, this many times, stage by stage or at the --pooling given: "
            "what training gave.",
            min=0,
            max=100,
        ),
    ] = 0,
    repairs: Annotated[
        bool, typer.Option("--repairs", help="Instead: what each repair of the original changes.")
    ] = False,
    recipe: Annotated[str, typer.Option(help="published or corrected.")] = "corrected",
    scaler: Annotated[
        str | None,
        typer.Option(
            help="Scale otherwise than the recipe: none, all (on bbbc021 of the treated images, as published), "
            "all-with-controls, controls, controls-shrunk, other."
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="cyclops, folder: leave-group-out or leave-one-out; by default groups are left out where they are "
            "known."
        ),
    ] = None,
    nscb: Annotated[
        str | None,
        typer.Option(help="bbbc021: week overlap, other week set, disjoint weeks, disjoint plates, other plate set."),
    ] = None,
    measures: Annotated[
        str, typer.Option(help="Of nn, map, probe, few-shot and mixing, with commas; nn is each task's own.")
    ] = "nn",
    postprocess: Annotated[
        str,
        typer.Option(
            help="bbbc021 and other screens: of none, controls, sphere, sphere-by-plate, tvn and pca, with commas; "
            "each is a row."
        ),
    ] = "none",
    sphere_epsilon: Annotated[
        float | None,
        typer.Option(
            help="--postprocess sphere: added to the deviation of each direction; by default chosen by replicate mAP "
            "on plates that are not scored, or 1.",
            min=0,
        ),
    ] = None,
    drop_nan: Annotated[
        bool, typer.Option("--drop-nan", help="Leave out columns of --features that hold NaN or infinite values.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of random nets, folds, bootstrap and shuffles.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder for results.json, predictions, tables and figures.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of extracted features; an interrupted run continues from it.")
    ] = None,
    channels: Annotated[
        str, typer.Option(help="folder: suffixes of the channel files in stain order, such as gfp,rfp.")
    ] = "",
    group: Annotated[
        str | None, typer.Option(help="folder, cyclops: column that names groups, left out together.")
    ] = None,
    k: Annotated[int, typer.Option(help="folder: neighbours that vote.")] = 11,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    image_key: Annotated[str, typer.Option(help="coos7: images in the HDF5 files.")] = "data",
    label_key: Annotated[str, typer.Option(help="coos7: labels in the HDF5 files.")] = "labels",
    normalize: Normalize = None,
    pooling: Pooling = None,
    pixels: Pixels = None,
    views: Views = None,
    scaling: Scaling = None,
    size: Size = None,
    scale: Scale = None,
    full_scale: FullScale = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    backend: Backend = "auto",
    device: Annotated[str | None, typer.Option(help="cuda, cpu, …; by default a GPU if there is one.")] = None,
    dtype: Dtype = None,
    batch_size: Annotated[int, typer.Option(help="Planes per step of extraction.", min=1)] = 64,
    workers: Annotated[int, typer.Option(help="Threads that read ahead.", min=0)] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results record as JSON.")] = False,
) -> None:
    """Score features by nearest neighbours; intervals, paired tests, controls and contamination marks included.

    Example: cytoimagenet benchmark --task bbbc021 --data /data/bbbc021 --model runs/b0/model --model random --fuse
    """
    from cytoimagenet_hf.benchmarks.recipes import load_recipe
    from cytoimagenet_hf.benchmarks.repairs import repair_table
    from cytoimagenet_hf.benchmarks.report import write_report
    from cytoimagenet_hf.benchmarks.select import TaskOptions, find_tasks
    from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
    from cytoimagenet_hf.benchmarks.table import result_tables, to_markdown, to_rich
    from cytoimagenet_hf.core.files import atomic_path, json_text, require_folder
    from cytoimagenet_hf.core.terminal import Terminal
    from cytoimagenet_hf.dataset.images import ImageColumns
    from cytoimagenet_hf.networks import METHODS
    from cytoimagenet_hf.options.extraction import Extraction

    if output is not None:
        require_folder(output)
    if method not in (*METHODS, "all"):
        raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}, or all")
    columns = ImageColumns(image_column, label_column, id_column)
    options = TaskOptions(_listed(channels), group, k, image_key, label_key, columns)
    suite = Suite(
        tasks=find_tasks(task, data or [], options),
        models=tuple(model or ()),
        features=tuple(features or ()),
        methods=tuple(METHODS) if method == "all" else (method,),
        recipe=load_recipe(recipe, scaler=scaler, protocol=protocol, nscb=nscb),
        seed=seed,
        fuse=fuse,
        baselines=baselines,
        nuisances=nuisances,
        redrawn=redrawn,
        settings=Extraction(backend=backend, device=device, dtype=dtype, batch_size=batch_size, workers=workers),
        options=given(
            normalize=normalize,
            pooling=pooling,
            pixels=pixels,
            views=views,
            scaling=scaling,
            size=size,
            scale=scale,
            full_scale=full_scale,
            revision=revision,
            trust_remote_code=trust_remote_code or None,
        ),
        cache=cache,
        drop_nan=drop_nan,
        measures=_listed(measures),
        postprocess=_listed(postprocess),
        sphere_epsilon=sphere_epsilon,
    )
    console = Terminal(stderr=as_json)

    def report(message: str) -> None:
        console.print(message, style="dim")

    if repairs:
        changes = repair_table(suite, report=report)
        if output is not None:
            with atomic_path(output / "repairs.md") as temporary:
                temporary.write_text(to_markdown(changes), encoding="utf-8")
        if as_json:
            typer.echo(json_text(asdict(changes) | {"best": sorted(changes.best)}))
        else:
            console.print(to_rich(changes))
        return
    results = run_suite(suite, report=report)
    if output is not None:
        write_report(results, output, seed=seed)
    if as_json:
        typer.echo(json_text(results.record.to_json()))
        return
    for table in result_tables(results.record, by_class=False):
        console.print(to_rich(table))
    if output is not None:
        console.print(f"written to {output}")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
