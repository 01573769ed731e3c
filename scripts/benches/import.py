"""`import-kaggle` at the size of the published archive: every stage from metadata.csv to the card, tiny images."""

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from builder.kaggle import import_kaggle
from builder.stage import claimed
from builder.verify import verify
from cytoimagenet_hf.imaging import encode_png

from .common import in_child

_CATEGORIES = ("compound", "phenotype", "gene", "cell_visible", "cell_type", "sirna", "organism")
_FIRST = "704 CPU seconds and 1.9 GB in the first version"


def run(
    images: Annotated[int, typer.Option(help="Images in the archive.")] = 890_737,
    classes: Annotated[int, typer.Option(help="Classes.")] = 894,
    workers: Annotated[int | None, typer.Option(help="Processes; all cores when not given.")] = None,
) -> dict[str, Any]:
    """An archive of the published size with images of 8 x 8 pixels: what is left is the work per row and per file.

    Example: python scripts/bench.py import --images 20000
    """
    with tempfile.TemporaryDirectory() as name:
        archive, output = Path(name) / "archive", Path(name) / "cytoimagenet"
        started = time.perf_counter()
        write_archive(archive, images=images, classes=classes)
        writing = time.perf_counter() - started
        imported = in_child(_import, archive, output, workers=workers)
        summary = imported.result["summary"]
        if summary.kept != images or summary.rejected:
            raise RuntimeError(f"{images} images in, {summary.kept} kept, {summary.rejected}")
        again = in_child(_import, archive, output, workers=workers)
        checked = in_child(verify, output)
        if not checked.result.intact or checked.result.images_decoded != images:
            raise RuntimeError(f"the dataset is damaged: {checked.result.problems}")
    table = [_row("import", imported, images), _row("import again, nothing to do", again, images)]
    table.append(_row("verify, every image decoded", checked, images))
    return {
        "table": table,
        "options": {"images": images, "classes": classes, "workers": workers},
        "notes": [
            f"{images:,} images in, {summary.kept:,} kept, nothing rejected; {_FIRST}",
            "CPU seconds are those of all processes and threads; memory is the peak of the largest process.",
            f"Writing the archive took {writing:.0f} s and is not counted.",
        ],
    }


def _row(what: str, child: Any, images: int) -> dict[str, Any]:
    found = child.result if isinstance(child.result, dict) else {}
    cpu = found.get("cpu_seconds", child.cpu_seconds)
    return {
        "what": what,
        "seconds": child.seconds,
        "CPU seconds": cpu,
        "images/s": images / child.seconds,
        "peak MB": max(child.peak_mb, found.get("workers_peak_mb", 0)),
    }


def _import(archive: Path, output: Path, *, workers: int | None) -> dict[str, Any]:
    before = _cpu()
    with claimed(output):
        summary = import_kaggle(archive, output, workers=workers)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    return {"summary": summary, "cpu_seconds": _cpu() - before, "workers_peak_mb": peak}


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def write_archive(root: Path, *, images: int, classes: int) -> None:
    """The layout of the published archive: a folder per label, metadata.csv, four crops of most fields."""
    numbers = np.arange(images)
    codes = numbers % classes
    labels = np.array([f"label {code:03d}" for code in range(classes)])
    folders = np.array([label.replace(" ", "_") for label in labels])
    counts = numbers // classes
    names = np.array([f"{folders[code]}-{count:010b}.png" for code, count in zip(codes, counts, strict=True)])
    for folder in folders:
        (root / folder).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 8, 8), dtype=np.uint8)
    for code, name, image in zip(codes, names, pixels, strict=True):
        handle = os.open(root / folders[code] / name, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(handle, encode_png(image))
        os.close(handle)
    sources = np.array(["rec_rxrx1", "idr0088", "bbbc022", "kag_hpa", "idr0080"])[codes % 5]
    category = np.array(_CATEGORIES)[codes % len(_CATEGORIES)]
    cropped = counts % 5 > 0
    table = {"label": labels[codes], "category": category, "database": "Database", "name": "Name"}
    table |= {"dir_name": sources, "path": np.char.add("/cytoimagenet/", folders[codes]), "filename": names}
    table["idx"] = [f"{source}-{code}-{n // 4}" for source, code, n in zip(sources, codes, counts, strict=True)]
    table |= {"organism": "human", "microscopy": "fluorescence", "channels": "nucleus|actin", "crop": cropped}
    table |= {"compound": np.where(category == "compound", labels[codes], "dmso"), "phenotype": "", "gene": ""}
    table |= {"cell_type": "u2os", "cell_visible": "nucleus|actin", "sirna": ""}
    table["scaling"] = np.where(cropped, 0.5, np.nan)
    for number, side in enumerate(("x_min", "x_max", "y_min", "y_max")):
        table[side] = np.where(cropped, float(70 * number), np.nan)
    pd.DataFrame(table).to_csv(root / "metadata.csv")
