"""A plate from files to features: the whole road, the network alone, and the loop a user would write."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import tifffile
import torch
import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features.choosing import runner_of
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.networks import Encoder, load_encoder
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.tables.reading import read_features

from .common import in_child

STAINS = ("dna", "er", "rna", "agp", "mito")
PATTERN = "{plate}_{well}_s{site}_{c}.tif"
GOAL = 0.9  # of the network alone on resident data
AGAIN = 2.0  # seconds for a second run over a finished plate


def run(
    fields: Annotated[int, typer.Option(help="Fields of the plate, five channels each.")] = 96,
    side: Annotated[int, typer.Option(help="Pixels a side.")] = 1080,
    model: str = "random:0",
    backend: Annotated[str, typer.Option(help="auto, torch, openvino or onnxruntime.")] = "auto",
    loop_fields: Annotated[int, typer.Option(help="Fields of the loop a user would write.")] = 4,
    normalize: Annotated[str, typer.Option(help="image, plate or none.")] = "image",
    threads: int = 2,
    workers: int = 2,
    folder: Annotated[Path | None, typer.Option(help="Folder of the plate; by default a temporary one.")] = None,
) -> dict[str, Any]:
    """Fields per minute end to end (read, normalise, network, write), and memory as the plate goes on.

    Example: python scripts/bench.py plate --fields 8 --side 256
    """
    with tempfile.TemporaryDirectory() as scratch:
        plate = folder or Path(scratch) / "plate"
        write_plate(plate, fields, side)
        options: dict[str, Any] = {"model": model, "normalize": normalize, "backend": backend, "threads": threads}
        ours = in_child(end_to_end, plate, Path(scratch) / "out", workers=workers, **options)
        chosen = ours.result["backend"]
        options["backend"] = chosen
        second = in_child(end_to_end, plate, Path(scratch) / "second", workers=workers, **options)
        few = in_child(end_to_end, plate, Path(scratch) / "few", workers=workers, most=max(1, fields // 4), **options)
        alone = in_child(network_alone, plate, **options)
        loop = in_child(users_loop, plate, model=model, most=min(fields, loop_fields), threads=threads)
    rates = {
        f"ours, {chosen}, its export is kept": 60 * fields / second.result["seconds"],
        f"ours, auto chose {chosen}, first run of this network": 60 * fields / ours.result["seconds"],
        f"network alone on resident data, {chosen}": alone.result["per_minute"],
        "a user's loop: tifffile, processor, AutoModel": loop.result["per_minute"],
    }
    whole, _, network, by_hand = rates.values()
    table = [
        {"way": name, "fields/min": round(rate, 2), "of the network alone": round(rate / network, 3)}
        for name, rate in rates.items()
    ]
    again = ours.result["again"]
    notes = [
        f"{fields} fields of {len(STAINS)} x {side}² 16-bit TIFF, normalize={normalize}, {threads} threads of the "
        f"network, {workers} of reading",
        f"goal: {GOAL:.0%} of the network alone: {'reached' if whole / network >= GOAL else 'missed'} "
        f"({whole / network:.0%}); {whole / by_hand:.1f} times the user's loop",
        f"a second run over the finished plate, model at hand: {again:.2f} s, goal {AGAIN:g} s; the command itself "
        f"loads no network then",
        _chosen(chosen, ours.result["choice"] or {}),
        f"peak memory, all libraries included: {few.peak_mb:,.0f} MB over a quarter of the plate and "
        f"{second.peak_mb:,.0f} MB over all of it with a kept export; {ours.peak_mb:,.0f} MB over all of it in the "
        "first run, which exports the network and runs torch beside it",
    ]
    return {
        "table": table,
        "notes": notes,
        "goals": {"of_network": whole / network >= GOAL, "again": again <= AGAIN},
        "seconds_again": again,
        "peak_mb": {"quarter": few.peak_mb, "whole": second.peak_mb, "first": ours.peak_mb},
        "written_bytes": ours.result["bytes"],
    }


def _chosen(name: str, choice: Mapping[str, Any]) -> str:
    """The sentence on what `auto` measured."""
    rates = ", ".join(f"{one} {rate:g}" for one, rate in choice.get("units_per_second", {}).items())
    agreement = choice.get("agreement", {}).get(name)
    apart = "" if agreement is None else f"; its features differ from torch's by {agreement:.0e} of the largest"
    return f"auto chose {name}: channels a second {rates or 'not measured'}{apart}"


def end_to_end(
    plate: Path,
    output: Path,
    *,
    model: str,
    normalize: str,
    backend: str,
    threads: int,
    workers: int,
    most: int | None = None,
) -> dict[str, Any]:
    """Seconds from a folder of files to a folder of features, and of the same call again; loading aside."""
    torch.set_num_threads(threads)
    encoder = load_encoder(model, normalize=normalize)
    settings = Extraction(shard_size=64, backend=backend, workers=workers)
    started = time.perf_counter()
    images = find_images(plate, pattern=PATTERN)[:most]
    extract_to_folder(encoder, images, output, settings=settings)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    extract_to_folder(encoder, find_images(plate, pattern=PATTERN)[:most], output, settings=settings)
    again = time.perf_counter() - started
    if len(read_features(output)) != len(images):
        raise InputError(f"{output} holds fewer rows than the plate has fields")
    return {
        "seconds": seconds,
        "again": again,
        "backend": read_features(output).about["backend"],
        "choice": read_features(output).about.get("backend_choice"),
        "bytes": sum(file.stat().st_size for file in output.glob("features-*")),
    }


def network_alone(plate: Path, *, model: str, normalize: str, backend: str, threads: int) -> dict[str, float]:
    """Fields per minute of the runner on units that lie in memory, batched as the extraction batches them."""
    torch.set_num_threads(threads)
    encoder = load_encoder(model, normalize=None if normalize == "plate" else normalize)
    units = _resident(encoder, plate)
    run = runner_of(encoder, backend)
    step = max(1, run.pixels // units[0][0].size)
    batches = [torch.from_numpy(np.stack(units[at : at + step])) for at in range(0, len(units), step)]
    run(batches[0])  # exports, and warms up
    started, done = time.perf_counter(), 0
    while done < len(units) or time.perf_counter() - started < 5:
        for batch in batches:
            run(batch)
        done += len(units)
    return {"per_minute": 60 * done / len(STAINS) / (time.perf_counter() - started)}


def users_loop(plate: Path, *, model: str, most: int, threads: int) -> dict[str, float]:
    """Fields per minute of what one writes by hand: a channel at a time through the stock classes."""
    from transformers import AutoImageProcessor, AutoModel

    from cytoimagenet_hf.networks.backbones import load_backbone

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as saved:
        backbone = load_backbone(model)
        backbone.model.save_pretrained(saved)
        backbone.processor.save_pretrained(saved)
        network, processor = AutoModel.from_pretrained(saved).eval(), AutoImageProcessor.from_pretrained(saved)
    files = sorted(plate.glob("*.tif"))[: most * len(STAINS)]
    started = time.perf_counter()
    rows = []
    with torch.no_grad():
        for file in files:
            pixels = tifffile.imread(file).astype(np.float32)
            low, high = np.percentile(pixels, [0.1, 99.9])
            gray = (np.clip((pixels - low) / (high - low), 0, 1) * 255).astype(np.uint8)
            inputs = processor(PIL.Image.fromarray(gray), return_tensors="pt")
            rows.append(network(**inputs).pooler_output.numpy())
    return {"per_minute": 60 * len(files) / len(STAINS) / (time.perf_counter() - started)}


def _resident(encoder: Encoder, plate: Path) -> list[npt.NDArray[np.float32]]:
    """The units of two fields: more would only take memory."""
    images = find_images(plate, pattern=PATTERN)[:2]
    return [unit for image in images for unit in encoder.units(image.read(), stains=image.channels)]


def write_plate(folder: Path, fields: int, side: int, *, stains: Sequence[str] = STAINS) -> None:
    """Fields of blurred spots on noise; a few drawn ones serve all, since only their number costs time."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    drawn = [_field(rng, side) for _ in range(3)]
    for number in range(fields):
        well = f"{chr(ord('A') + number // 24 % 16)}{number % 24 + 1:02d}"
        site = number // (16 * 24) + 1
        for place, stain in enumerate(stains):
            pixels = np.roll(drawn[(number + place) % len(drawn)], 37 * number + place, axis=0)
            tifffile.imwrite(folder / f"p1_{well}_s{site}_{stain}.tif", pixels)


def _field(rng: np.random.Generator, side: int) -> npt.NDArray[np.uint16]:
    pixels = rng.normal(400, 30, (side, side))
    ys, xs = np.mgrid[:32, :32] - 16
    spot = np.exp(-(ys**2 + xs**2) / 60)
    for row, column in rng.integers(0, max(1, side - 32), (max(1, side // 10), 2)):
        pixels[row : row + 32, column : column + 32] += rng.uniform(500, 6000) * spot[: side - row, : side - column]
    return np.clip(pixels, 0, 65535).astype(np.uint16)
