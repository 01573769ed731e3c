"""A plate in a store on the loopback interface, with the latency of the internet, and the same plate on the disk."""

import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tifffile
import torch
import typer

from benches.common import in_child
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.images.remote import remote_path
from cytoimagenet_hf.networks import load_encoder
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.options.storage import parse_storage
from cytoimagenet_hf.tables.reading import read_features
from scripts.simulate.object_server import ObjectServer

STAINS = ("agp", "dna", "er", "mito", "rna")
PATTERN = "{plate}_{well}_s{site}_{c}.tif"
GOALS = {50: 0.9, 400: 0.8}  # ms per request → share of the speed on the disk
MEMORY = 1.3  # times the peak of the local run
_DISTINCT = 4  # fields of pixels of their own; the others are links to them


def run(
    wells: Annotated[int, typer.Option(help="Wells of the plate.")] = 96,
    sites: Annotated[int, typer.Option(help="Fields a well, five channels each.")] = 4,
    side: Annotated[int, typer.Option(help="Pixels a side.")] = 1080,
    latency: Annotated[str, typer.Option(help="Milliseconds per request, several by commas.")] = "50,400",
    objects: Annotated[int, typer.Option(help="Objects of the listing that is timed.")] = 500_000,
    model: str = "random:0",
    backend: Annotated[str, typer.Option(help="auto, torch, openvino or onnxruntime.")] = "torch",
    threads: int = 2,
    workers: int = 2,
) -> dict[str, Any]:
    """Fields a minute through S3 and from the disk, peak memory, and what is written beside the features.

    Example: python scripts/bench.py remote --wells 4 --sites 2 --side 256 --objects 20000
    """
    fields = wells * sites
    settings = {"model": model, "backend": backend, "threads": threads, "workers": workers}
    with tempfile.TemporaryDirectory() as scratch:
        plate, names = Path(scratch) / "plate", _write_plate(Path(scratch) / "plate", wells, sites, side)
        local = in_child(extraction, str(plate), Path(scratch) / "local", {}, **settings)
        contents: dict[str, bytes] = {}
        served = {
            f"plates/p1/{name}": contents.setdefault(source, (plate / source).read_bytes())
            for name, source in names.items()
        }
        rows = [_row("from the disk", fields, local, local) | {"requests": 0}]
        for wait in map(int, latency.split(",")):
            with ObjectServer(served, latency=wait / 1000) as server:
                output = Path(scratch) / f"remote-{wait}"
                remote = in_child(extraction, "s3://plates/p1/", output, server.storage, **settings)
                requests = dict(server.requests)
            rows.append(_row(f"S3, {wait} ms a request", fields, remote, local) | {"requests": sum(requests.values())})
            if (output / "features-00000-of-00001.parquet").exists() and not np.array_equal(
                read_features(output).values, read_features(Path(scratch) / "local").values
            ):
                raise InputError("features through S3 differ from those of the disk")
        with ObjectServer({f"b/p/{number:07d}.tif": b"" for number in range(objects)}) as server:
            listed = in_child(listing, server.storage)
    ratios = {int(latency.split(",")[place]): row["of the disk"] for place, row in enumerate(rows[1:])}
    notes = [
        f"{fields} fields of {len(STAINS)} x {side}² 16-bit TIFF, {threads} threads of the network, {workers} of "
        "reading; the server and the extraction share the machine",
        *(
            f"goal at {wait} ms: {goal:.0%} of the speed on the disk: "
            f"{'reached' if ratios[wait] >= goal else 'missed'} ({ratios[wait]:.0%})"
            for wait, goal in GOALS.items()
            if wait in ratios
        ),
    ]
    notes.append(f"listing of {objects:,} objects: {listed.seconds:.1f} s, peak memory {listed.peak_mb:,.0f} MB")
    return {"table": rows, "notes": notes, "listing": {"objects": objects, "seconds": listed.seconds}}


def _row(way: str, fields: int, child: Any, local: Any) -> dict[str, Any]:
    return {
        "way": way,
        "fields/min": round(60 * fields / child.seconds, 1),
        "of the disk": round(local.seconds / child.seconds, 3),
        "peak MB": round(child.peak_mb),
        "of its memory": round(child.peak_mb / local.peak_mb, 2),
        "MB written beside the features": child.result["beside_mb"],
    }


def extraction(
    source: str, output: Path, storage: dict[str, str], *, model: str, backend: str, threads: int, workers: int
) -> dict[str, Any]:
    """Extract a plate; loading the network is part of both."""
    torch.set_num_threads(threads)
    images = find_images(source, pattern=PATTERN, storage=storage)
    before = _written()
    extract_to_folder(
        load_encoder(model), images, output, settings=Extraction(backend=backend, workers=workers, shard_size=64)
    )
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    after = _written()
    beside = None if before is None or after is None else max(0.0, round((after - before - size) / 2**20, 1))
    return {"beside_mb": beside}


def listing(storage: dict[str, str]) -> dict[str, Any]:
    """List everything of a folder."""
    started = time.perf_counter()
    path: Any = remote_path("s3://b/p", parse_storage(storage))
    return {"objects": len(path.list_below()), "seconds": time.perf_counter() - started}


def _written() -> int | None:
    """Bytes that this process had written to disks; None where the system does not say."""
    try:
        text = Path("/proc/self/io").read_text()
    except OSError:
        return None
    return int(text.partition("write_bytes:")[2].split()[0])


def _write_plate(folder: Path, wells: int, sites: int, side: int) -> dict[str, str]:
    """A plate whose files are links to a few; each name and the name of the file that it is a link to."""
    folder.mkdir()
    names: dict[str, str] = {}
    for field in range(wells * sites):
        well, site = divmod(field, sites)
        for stain in STAINS:
            name = f"p1_{'ABCDEFGHIJKLMNOP'[well // 24]}{well % 24 + 1:02d}_s{site + 1}_{stain}.tif"
            if field < _DISTINCT:
                pixels = derive_rng(0, "bench", name).integers(0, 4096, (side, side)).astype(np.uint16)
                tifffile.imwrite(folder / name, pixels)
                names[name] = name
            else:
                names[name] = list(names)[len(STAINS) * (field % _DISTINCT) + STAINS.index(stain)]
                os.link(folder / names[name], folder / name)
    return names
