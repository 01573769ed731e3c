"""`cytoimagenet extract`: features of images by any model, as a resumable folder of shards."""

from pathlib import Path
from typing import Annotated, Any

import typer


def command(
    images: Annotated[
        str,
        typer.Argument(help="Folder, quoted glob, .csv or .parquet table of files, built dataset, or hf:NAME:SPLIT."),
    ],
    model: Annotated[str, typer.Option(help="Checkpoint folder, Hub or timm name, Keras .h5, or random:SEED.")],
    output: Annotated[Path, typer.Option(help="Folder of the feature table; an interrupted run continues there.")],
    method: Annotated[str, typer.Option(help="concat-norm, concat-raw, merge-norm or merge-raw.")] = "concat-norm",
    channels: Annotated[
        str | None,
        typer.Option(
            help='One file per channel: a pattern such as "{well}_w{c}.tif", or columns of the table: dna,actin.'
        ),
    ] = None,
    stains: Annotated[str, typer.Option(help="Names of the channels in order, such as dna,tubulin,actin.")] = "",
    root: Annotated[Path | None, typer.Option(help="Folder that the files of a table are relative to.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of ids; by default id, image_id or idx.")] = None,
    image_column: Annotated[str, typer.Option(help="Column of images in a dataset.")] = "image",
    scaling: Annotated[
        str | None, typer.Option(help="ImageNet inputs as Keras scaled them: keras-2.8 or keras-2.9.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Resize to this side, bilinear; by default the native size.")
    ] = None,
    full_scale: Annotated[
        float | None, typer.Option(help="White under -raw methods: 4095 for 12-bit data in 16-bit files.")
    ] = None,
    storage: Annotated[str, typer.Option(help="float32 or float16.")] = "float32",
    backend: Annotated[str, typer.Option(help="torch, onnxruntime or openvino (faster on CPUs).")] = "torch",
    device: Annotated[str | None, typer.Option(help="cuda, cpu, …; by default a GPU if there is one.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or bfloat16; by default bfloat16 on a GPU.")] = None,
    batch_size: Annotated[int, typer.Option(help="Planes per step.", min=1)] = 64,
    shard_size: Annotated[int, typer.Option(help="Images per shard.", min=1)] = 1024,
    workers: Annotated[int, typer.Option(help="Threads that read ahead.", min=0)] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Extract pooled features: a table of id and features, with the fingerprints of model and processor.

    Exits with 1 when an image was left out; the reasons are printed and stand beside the shards.

    Example: cytoimagenet extract plates/ --channels "{well}_w{c}.tif" --model runs/b0/model --output features
    """
    import json
    import time
    from dataclasses import asdict

    import torch

    from cytoimagenet_hf.errors import InputError
    from cytoimagenet_hf.features.items import find_images
    from cytoimagenet_hf.features.shards import extract_to_folder
    from cytoimagenet_hf.models.backbones import load_backbone

    precisions = {None: None, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in precisions:
        raise InputError(f"dtype {dtype!r}: choose float32, bfloat16 or float16")
    options: dict[str, Any] = {"method": method}
    if size is not None:
        options |= {"do_resize": True, "size": {"height": size, "width": size}}
    if full_scale is not None:
        options["full_scale"] = full_scale
    items = find_images(images, channels=channels, root=root, id_column=id_column, image_column=image_column)
    backbone = load_backbone(model, scaling=scaling, **options)
    started = time.perf_counter()
    summary = extract_to_folder(
        backbone,
        items,
        output,
        method=method,
        channels=[stain.strip() for stain in stains.split(",") if stain.strip()],
        shard_size=shard_size,
        storage=storage,
        backend=backend,
        device=device,
        dtype=precisions[dtype],
        batch_size=batch_size,
        workers=workers,
    )
    seconds = time.perf_counter() - started
    if as_json:
        typer.echo(json.dumps(asdict(summary) | {"output": str(output), "seconds": round(seconds, 3)}, indent=2))
    else:
        typer.echo(
            f"{summary.kept:,} of {summary.images:,} images, {summary.features:,} features each, in {summary.shards} "
            f"shards of {output} ({summary.shards_made_now} made now, {seconds:.1f} s)"
        )
        for refusal in summary.refused:
            typer.secho(f"left out {refusal.id}: {refusal.reason}", err=True, fg="yellow")
    if summary.refused:
        raise typer.Exit(1)
