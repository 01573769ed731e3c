"""`cytoimagenet extract`: features of images by any model, as a resumable folder of shards."""

import os
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from cytoimagenet_hf.networks import Encoder


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="What the microscope wrote: a folder, quoted glob, file or store, table of files, built dataset, or "
            "hf:NAME:CONFIGURATION:SPLIT@REVISION; here, or on the internet: s3://, gs://, az://, https://, hf://."
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A name of `cytoimagenet models`, checkpoint folder, Hub name, Keras .h5, random:SEED. Several "
            "(--model A --model cp_measure) are one table, each image read once."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the feature table; an interrupted run continues there.")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Show plates, wells, channels and what was ignored, and stop.")
    ] = False,
    format: Annotated[str | None, typer.Option(help="Kind of the source; by default found by looking.")] = None,
    pattern: Annotated[
        str | None, typer.Option(help='Names of files with fields: "{plate}_{well}_s{site}_w{c}.tif"; {_} is ignored.')
    ] = None,
    stains: Annotated[str, typer.Option(help="Names of channels: w1=dna,w2=er; dna,er where they have none.")] = "",
    channels: Annotated[
        str | None, typer.Option(help="Channels to take, in this order; of a table, columns that name the files.")
    ] = None,
    root: Annotated[
        str | None, typer.Option(help="Folder that the files of a table lie below; may be an address.")
    ] = None,
    axes: Annotated[str | None, typer.Option(help="Axes of stacks that do not say them, such as CYX.")] = None,
    projection: Annotated[str, typer.Option(help="Of z stacks: max, mean, or one plane as z=3.")] = "max",
    id_column: IdColumn = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of a table in text that is not UTF-8: cp1252 for spreadsheets on Windows.")
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Of a table that is a workbook, by name or number.")] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(help="Planes with more pixels are left out, judged by their header; 2^28 by default.", min=1),
    ] = None,
    acquisition: Annotated[str | None, typer.Option(help="The only one to take of an OME-Zarr plate.")] = None,
    derived: Annotated[
        str | None,
        typer.Option(
            help="Where OME-Zarr wells hold processed copies (0_illum_corr beside 0): none for the images, illum_corr "
            "for those copies."
        ),
    ] = None,
    storage_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="How addresses are reached, repeatable: endpoint=http://127.0.0.1:9000, region=us-east-1; unsigned, "
            "unless the environment holds credentials.",
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Folder in which files from the internet stay; by default nothing is written to disk."),
    ] = None,
    cells: Annotated[
        Path | None,
        typer.Option(
            help="Single cells: a folder of label images or binary masks, an OME-Zarr store with labels, a table of "
            "centres (CellProfiler's Nuclei.csv), or a folder of DeepProfiler's locations."
        ),
    ] = None,
    cells_pattern: Annotated[
        list[str] | None,
        typer.Option(help='Names of the masks: "{well}_s{site}_Nuclei.tif"; {object} is their kind. Repeatable.'),
    ] = None,
    cells_rows: Annotated[
        str | None, typer.Option(help="Kind of object that rows stand for, where there are masks of several: cells.")
    ] = None,
    cell_size: Annotated[int | None, typer.Option(help="Side of the box around a centre, in pixels.", min=1)] = None,
    cell_box: Annotated[
        float | None, typer.Option(help="Instead: a box of this many times each cell's own size, such as 1.2.")
    ] = None,
    masked: Annotated[bool, typer.Option("--masked", help="Pixels that are not of the cell become 0.")] = False,
    cell_border: Annotated[
        str, typer.Option(help="Boxes over the border of an image: mirror it there, or leave the cell out.")
    ] = "mirror",
    illumination: Annotated[
        Path | None,
        typer.Option(
            help="Divide by illumination functions: a folder of <plate>_Illum<channel>.npy, or a table such as "
            "load_data_with_illum.csv."
        ),
    ] = None,
    normalize: Normalize = None,
    method: Annotated[
        str | None, typer.Option(help="Of our own networks: concat-norm, concat-raw, merge-norm or merge-raw.")
    ] = None,
    pooling: Pooling = None,
    pixels: Pixels = None,
    views: Views = None,
    scaling: Scaling = None,
    size: Size = None,
    scale: Scale = None,
    full_scale: FullScale = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    storage: Annotated[str, typer.Option(help="float32 or float16.")] = "float32",
    backend: Backend = "auto",
    device: Annotated[
        str | None, typer.Option(help="cuda, cpu, …, or several as cuda:0,cuda:1; by default a GPU if there is one.")
    ] = None,
    dtype: Dtype = None,
    dask: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers see the same files.")
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="i/N",
            help="Make the i-th of N parts, beside other commands; a call without it completes the folder.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Planes per step.", min=1)] = 64,
    shard_size: Annotated[int, typer.Option(help="Images per shard: what is redone when one changes.", min=1)] = 256,
    workers: Annotated[int, typer.Option(help="Threads that read ahead.", min=0, max=1024)] = 2,
    seed: Annotated[int, typer.Option(help="Of the fields from which a plate's percentiles are taken.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Extract pooled features: a table of id, plate, well, site and features that pandas.read_parquet reads.

    Exits with 1 when an image was left out; the reasons are printed and stand in _rejected.json.

    Example: cytoimagenet extract plate/ --stains w1=dna,w2=er --model runs/b0/model --output features
    """
    from cytoimagenet_hf.images import find_cells, find_illumination, look
    from cytoimagenet_hf.images.objects import parse_storage
    from cytoimagenet_hf.imaging.limits import MAX_PIXELS

    asked: dict[str, Any] = {
        "format": format,
        "channels": channels,
        "stains": stains or None,
        "pattern": pattern,
        "root": root,
        "axes": axes,
        "projection": projection,
        "id_column": id_column,
        "image_column": image_column,
        "label_column": label_column,
        "max_pixels": max_pixels or MAX_PIXELS,
        "encoding": encoding,
        "sheet": sheet,
        "acquisition": acquisition,
        "derived": derived,
        "storage": parse_storage(storage_option, keep),
    }
    found = look(source, **asked)
    models = list(model or ())
    if illumination is not None:
        found = find_illumination(found, illumination)
    fields = found.images
    if cells is None and any(value for value in (cells_pattern, cells_rows, cell_size, cell_box, masked)):
        raise InputError("cell sizes, boxes, patterns and masking are of cells: add --cells masks/")
    if cells is not None:
        if cell_size is None and cell_box is None:
            if any(name.partition(":")[0] != "cp_measure" for name in models) or masked:
                raise InputError(
                    "--cells needs --cell-size, the side of the box around each centre in pixels, or --cell-box, a "
                    "multiple of each cell's own size"
                )
            cell_box = 1.0  # nothing is cut out for measurements, which are made on the field
        found = find_cells(
            found,
            cells,
            size=cell_size,
            scale=cell_box,
            border=cell_border,
            masked=masked,
            patterns=cells_pattern or (),
            rows=cells_rows,
        )
    if list_only:
        from cytoimagenet_hf.core.files import json_text
        from cytoimagenet_hf.images.listing import show, summarise

        if as_json:
            typer.echo(json_text(summarise(found)))
        else:
            show(found)
        return
    if not models or output is None:
        raise InputError("give --model and --output, or --list to see what there is")

    from cytoimagenet_hf.core.files import json_text, write_json
    from cytoimagenet_hf.core.terminal import counted
    from cytoimagenet_hf.core.versions import project_version
    from cytoimagenet_hf.features.source_record import write_source
    from cytoimagenet_hf.features.store import REQUEST, Settings, finished, stamp_of, stamp_of_model
    from cytoimagenet_hf.shards.shard import parse_part

    devices = [name.strip() for name in (device or "").split(",") if name.strip()]
    settings = Settings(
        shard_size=shard_size,
        storage=storage,
        backend=backend,
        device=devices[0] if devices else None,
        dtype=dtype,
        batch_size=batch_size,
        workers=workers,
    )
    chosen = given(
        normalize=normalize,
        method=method,
        pooling=pooling,
        pixels=pixels,
        views=views,
        scaling=scaling,
        size=size,
        scale=scale,
        full_scale=full_scale,
        revision=revision,
    )
    stamps = [stamp_of_model(name, revision) for name in models]
    request = {
        "model": stamps[0] if len(stamps) == 1 else stamps,
        "options": chosen,
        "settings": asdict(settings) | {"workers": None},
        "seed": seed,
        "images": stamp_of(found.images),
        "version": project_version(),
    }
    started = time.perf_counter()
    shared = None if part is None else parse_part(part)
    summary = finished(output, request) if None not in stamps and shared is None else None
    if summary is None:
        from cytoimagenet_hf.features.folder import extract_to_folder
        from cytoimagenet_hf.features.planned import plan_line

        load = partial(_load, models, trust_remote_code=trust_remote_code, **chosen)
        encoders = load()
        if "TQDM_DISABLE" not in os.environ:  # --quiet
            typer.secho(f"plan: {plan_line(encoders[0], found.images, storage=storage)}", err=True, dim=True)
        summary = extract_to_folder(
            encoders,
            found.images,
            output,
            settings=settings,
            seed=seed,
            load=load,
            dask=dask,
            devices=devices if len(devices) > 1 else (),
            part=shared,
        )
        if shared is None:
            write_json(output / REQUEST, request)
    if shared is None:
        write_source(output, source, asked | {"illumination": illumination}, fields, found.notes)
    seconds = time.perf_counter() - started
    if as_json:
        said = {"output": str(output), "seconds": round(seconds, 3), "notes": list(found.notes)}
        typer.echo(json_text(asdict(summary) | said))
    else:
        again = (
            f", {summary.shards_changed} of them again for changed or unreached images"
            if summary.shards_changed
            else ""
        )
        which = f"part {summary.part}: " if summary.part else ""
        typer.echo(
            f"{which}{summary.kept:,} of {counted(summary.images, 'image')}, {summary.features:,} features each, in "
            f"{counted(summary.shards, 'shard')} of {output} ({summary.shards_made_now} made now{again}, "
            f"{seconds:.1f} s)"
        )
        for note in filter(None, (*found.notes, summary.flat_note)):
            typer.secho(f"note: {note}", err=True)
        for rejection in summary.rejected:
            typer.secho(f"left out {rejection.id}: {rejection.reason}", err=True, fg="yellow")
    if summary.rejected:
        raise typer.Exit(1)


def _load(names: list[str], **options: Any) -> "list[Encoder]":
    """The models of one table; options of networks are not of measurements."""
    from cytoimagenet_hf.networks import load_encoder

    measures = {"full_scale"}
    several = len(names) > 1
    return [
        load_encoder(
            name,
            **{
                key: value
                for key, value in options.items()
                if not (several and name.partition(":")[0] == "cp_measure") or key in measures
            },
        )
        for name in names
    ]
