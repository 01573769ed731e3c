"""Cells a second: crops alone, with a network, with measurements, against a loop of cp_measure itself."""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tifffile
import typer

from benches.common import in_child
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.images import Found, find_cells, look
from cytoimagenet_hf.networks import load_encoder
from cytoimagenet_hf.options.extraction import Extraction

STAINS = ("dna", "er")
PATTERN = "{plate}_{well}_s{site}_{c}.tif"
GROUPS = "cp_measure"
GOAL = 1.0  # of the package's own loop over whole fields, in seconds of the processor: other work does not change them


def run(
    fields: Annotated[int, typer.Option(help="Fields of the plate, two channels each.")] = 4,
    side: Annotated[int, typer.Option(help="Pixels a side.")] = 540,
    cells: Annotated[int, typer.Option(help="Cells a field.")] = 36,
    size: Annotated[int, typer.Option(help="Side of a cell's box.")] = 64,
    model: str = "random:0",
) -> dict[str, Any]:
    """Cells a second on this machine: crops, a network, cp_measure through extract, and cp_measure in a plain loop.

    Example: python scripts/bench.py cells --fields 2 --side 200 --cells 9
    """
    with tempfile.TemporaryDirectory() as scratch:
        plate = Path(scratch)
        _write(plate, fields, side, cells)
        total = fields * cells
        ways = {
            "crops alone": in_child(crops, plate, size),
            f"crops and {model}": in_child(extracted, plate, size, [model], plate / "network"),
            "cp_measure by extract": in_child(extracted, plate, size, [GROUPS], plate / "measures"),
            "both in one pass": in_child(extracted, plate, size, [model, GROUPS], plate / "both"),
            "cp_measure, loop over fields": in_child(loop, plate),
        }
    rates = {way: total / child.seconds for way, child in ways.items()}
    base = rates["cp_measure, loop over fields"]
    table = [
        {
            "way": way,
            "cells per second": round(rates[way], 1),
            "times the loop": round(rates[way] / base, 2),
            "cpu ms a cell": round(1000 * child.cpu_seconds / total, 1),
            "peak mb": round(child.peak_mb),
        }
        for way, child in ways.items()
    ]
    seconds = [ways[way].cpu_seconds for way in ("cp_measure, loop over fields", "cp_measure by extract")]
    return {
        "table": table,
        "fields": fields,
        "side": side,
        "cells": total,
        "goal": GOAL,
        "times the loop": round(rates["cp_measure by extract"] / base, 3),
        "cpu of the loop": round(seconds[0] / seconds[1], 3),
    }


def crops(plate: Path, size: int) -> int:
    """Read every cell."""
    return sum(len(image.read()) for image in _cells_of(plate, size).images)


def extracted(plate: Path, size: int, models: list[str], output: Path) -> int:
    """A table of cells by these models."""
    images = _cells_of(plate, size).images
    return extract_to_folder([load_encoder(name) for name in models], images, output, settings=Extraction()).kept


def loop(plate: Path) -> int:
    """What a user of the package writes: fields one by one, whole."""
    from cp_measure.featurizer import featurize, make_featurizer_config

    config = make_featurizer_config(list(STAINS), objects=["Cells"], legacy=True, correlation_costes=False)
    kept = 0
    for mask in sorted((plate / "masks").iterdir()):
        stem = mask.name.removesuffix("_Cells.tif")
        pixels = np.stack([tifffile.imread(plate / "fields" / f"{stem}_{stain}.tif") for stain in STAINS]) / 65535
        labels = tifffile.imread(mask).astype(np.int64)
        kept += len(featurize(pixels[None], labels[None, None], config)[0])
    return kept


def _cells_of(plate: Path, size: int) -> Found:
    fields = look(plate / "fields", pattern=PATTERN)
    return find_cells(fields, plate / "masks", size=size, patterns=["{plate}_{well}_s{site}_Cells.tif"])


def _write(plate: Path, fields: int, side: int, cells: int) -> None:
    """Discs on a grid, each channel with another texture."""
    for folder in ("fields", "masks"):
        (plate / folder).mkdir()
    across = int(np.ceil(np.sqrt(cells)))
    step = side // across
    rows, columns = np.mgrid[:side, :side]
    for number in range(fields):
        rng = derive_rng(0, "cells", str(number))
        labels = np.zeros((side, side), np.uint16)
        for cell in range(cells):
            y, x = (step * (place + 0.5) for place in divmod(cell, across))
            radius = step * rng.uniform(0.25, 0.42)
            labels[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = cell + 1
        name = f"p_A{number + 1:02d}_s1"
        tifffile.imwrite(plate / "masks" / f"{name}_Cells.tif", labels)
        for stain in STAINS:
            noise = rng.gamma(2.0, 900.0, (side, side)) + 6000 * (labels > 0) * rng.uniform(0.5, 1, (side, side))
            tifffile.imwrite(plate / "fields" / f"{name}_{stain}.tif", noise.clip(0, 65535).astype(np.uint16))
