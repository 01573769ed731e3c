"""`cytoimagenet extract`: features of images by any model, as a resumable folder of shards."""

import os
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.cells import CellOptions
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.options.networks import EncoderOptions, Networks
from cytoimagenet_hf.options.source import SourceOptions

from .arguments import takes_settings

if TYPE_CHECKING:
    from cytoimagenet_hf.features.store import ExtractionSummary
    from cytoimagenet_hf.images import Found
    from cytoimagenet_hf.networks import Encoder


@takes_settings
def command(
    source: Annotated[
        str,
        typer.Argument(
            help="What the microscope wrote: a folder, quoted glob, file or store, table of files, built dataset, or "
            "hf:NAME:CONFIGURATION:SPLIT@REVISION; here, or on the internet: s3://, gs://, az://, https://, hf://."
        ),
    ],
    where: SourceOptions,
    cells: CellOptions,
    networks: Networks,
    run: Extraction,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the feature table; an interrupted run continues there.")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Show plates, wells, channels and what was ignored, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Extract pooled features: a table of id, plate, well, site and features that pandas.read_parquet reads.

    Exits with 1 when an image was left out; the reasons are printed and stand in _rejected.json.

    Example: cytoimagenet extract plate/ --stains w1=dna,w2=er --model runs/b0/model --output features
    """
    from cytoimagenet_hf.core.files import json_text
    from cytoimagenet_hf.images import find_cells, look
    from cytoimagenet_hf.images.listing import show, summarise

    fields = listing = look(source, where)
    cells = cells.for_models(networks.model)
    if cells.cells is not None:
        listing = find_cells(fields, cells)
    if list_only:
        typer.echo(json_text(summarise(listing))) if as_json else show(listing)
        return
    if not networks.model or output is None:
        raise InputError("give --model and --output, or --list to see what there is")

    from cytoimagenet_hf.features.source_record import write_source

    started = time.perf_counter()
    summary = _extracted(listing, output, networks, run)
    if run.part is None:
        write_source(output, source, where, fields.images, listing.notes, cells=cells)
    seconds = time.perf_counter() - started
    if as_json:
        call = {"output": str(output), "seconds": round(seconds, 3), "notes": list(listing.notes)}
        typer.echo(json_text(asdict(summary) | call))
    else:
        _print(summary, listing, f"{output}", seconds)
    if summary.rejected:
        raise typer.Exit(1)


def _extracted(listing: "Found", output: Path, networks: Networks, run: Extraction) -> "ExtractionSummary":
    """What the folder holds: at once where this very request has made it, else after the extraction."""
    from cytoimagenet_hf.core.files import write_json
    from cytoimagenet_hf.core.versions import project_version
    from cytoimagenet_hf.features.store import REQUEST, finished, stamp_of, stamp_of_model

    stamps = [stamp_of_model(name, networks.revision) for name in networks.model]
    request = {
        "model": stamps[0] if len(stamps) == 1 else stamps,
        "options": {name: value for name, value in networks.given().items() if name != "trust_remote_code"},
        "settings": run.record() | {"workers": None},
        "seed": run.seed,
        "images": stamp_of(listing.images),
        "version": project_version(),
    }
    summary = finished(output, request) if None not in stamps and run.part is None else None
    if summary is not None:
        return summary

    from cytoimagenet_hf.features.folder import extract_to_folder
    from cytoimagenet_hf.features.planned import plan_line

    load = partial(_load, networks)
    encoders = load()
    if "TQDM_DISABLE" not in os.environ:  # --quiet
        typer.secho(f"plan: {plan_line(encoders[0], listing.images, storage=run.storage)}", err=True, dim=True)
    summary = extract_to_folder(encoders, listing.images, output, settings=run, load=load)
    if run.part is None:
        write_json(output / REQUEST, request)
    return summary


def _print(summary: "ExtractionSummary", listing: "Found", output: str, seconds: float) -> None:
    from cytoimagenet_hf.core.terminal import counted

    again = f", {summary.shards_changed} of them again for changed or unreached images"
    which = f"part {summary.part}: " if summary.part else ""
    typer.echo(
        f"{which}{summary.kept:,} of {counted(summary.images, 'image')}, {summary.features:,} features each, in "
        f"{counted(summary.shards, 'shard')} of {output} ({summary.shards_made_now} made now"
        f"{again if summary.shards_changed else ''}, {seconds:.1f} s)"
    )
    for note in filter(None, (*listing.notes, summary.flat_note)):
        typer.secho(f"note: {note}", err=True)
    for rejection in summary.rejected:
        typer.secho(f"left out {rejection.id}: {rejection.reason}", err=True, fg="yellow")


def _load(networks: Networks) -> "list[Encoder]":
    """The models of one table; beside networks, measurements take the options that are of both."""
    from cytoimagenet_hf.networks import load_encoder

    several, measures = len(networks.model) > 1, EncoderOptions(full_scale=networks.full_scale)
    return [
        load_encoder(name, measures if several and name.partition(":")[0] == "cp_measure" else networks)
        for name in networks.model
    ]
