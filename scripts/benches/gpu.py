"""Everything that is worth knowing of a GPU, in one command of less than ten minutes: training, extraction, resuming.

Each part stands for itself: one that fails leaves its error in the table and the others go on. On a machine without a
GPU the same code runs on the CPU, at sizes that only show that it works.
"""

import copy
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.distributed as distributed
import typer
from safetensors.torch import load_file
from torch import nn

from cytoimagenet_hf.core.errors import one_line
from cytoimagenet_hf.features.choosing import runner_of
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.features.runtimes import difference
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.networks import Encoder, MicroscopyImageProcessor, build_efficientnet, load_encoder
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.training import TrainConfig, train

from .common import rounds
from .images import write_images
from .plate import PATTERN, write_plate

GOALS = {"training": 8_000.0, "extraction": 20_000.0}
"""Images per second of EfficientNet-B0 at 224 x 224 on one H200."""

Row = dict[str, Any]


def run(
    size: Annotated[int, typer.Option(help="Side of the images the network sees.")] = 224,
    batch: Annotated[int, typer.Option(help="Images per training step and per extraction run.")] = 1024,
    images: Annotated[int, typer.Option(help="Training images; they stay on the device.")] = 16_384,
    files: Annotated[int, typer.Option(help="Image files of the extraction by several processes.")] = 4096,
    processes: Annotated[int, typer.Option(help="Processes of that extraction, on each GPU.")] = 2,
    repeat: int = 3,
    scale: Annotated[
        float, typer.Option(help="Of the width and depth of EfficientNet-B0; tests run a small one.")
    ] = 1.0,
) -> dict[str, Any]:
    """Bandwidth, training (eager and compiled), extraction (eager and compiled), several processes, exact resuming.

    Example: python scripts/bench.py gpu
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    table: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        network = {"width_coefficient": scale, "depth_coefficient": scale}
        build_efficientnet(0, seed=0, **network).save_pretrained(folder / "network")
        MicroscopyImageProcessor().save_pretrained(folder / "network")
        load = partial(load_encoder, str(folder / "network"))
        parts: dict[str, Callable[[], list[Row]]] = {
            "copy": lambda: [_bandwidth(device)],
            "extract": lambda: _extraction(device, load(), size, batch, repeat),
            "train": lambda: _training(folder, network, size, batch, images),
            "processes": lambda: _processes(folder, device, files, size, processes, load),
            "resume": lambda: [_resume(folder, network, size)],
            "sync": lambda: [_synchronised(device)],
        }
        for name, part in parts.items():
            started = time.perf_counter()
            try:
                rows = part()
            except Exception as error:  # what a driver or a compiler raises shares no class but this
                rows = [_row(name, note=f"failed: {type(error).__name__}: {one_line(error)}")]
            table += [row | {"seconds": round(time.perf_counter() - started, 1)} for row in rows]
    best = {
        kind: max((row["images/s"] or 0.0 for row in table if row["what"].startswith(kind)), default=0.0)
        for kind in GOALS
    }
    return {
        "table": table,
        "goals": {f"{kind}, {goal:,.0f} images/s on an H200": best[kind] >= goal for kind, goal in GOALS.items()},
        "notes": [
            f"{torch.cuda.get_device_name(device) if device.type == 'cuda' else 'CPU'}; EfficientNet-B0, {size} x "
            f"{size} pixels, {'bfloat16' if device.type == 'cuda' else 'float32'}, channels-last, batches of {batch}.",
            "share of the bandwidth: bytes of all maps of the network, written once and read once, against a copy "
            "of device memory in the same run.",
            "training: cache and augmentation on the device; the share of time that waited for data stands beside it.",
        ],
    }


def _row(what: str, rate: float | None = None, *, note: str = "", bandwidth: float | None = None) -> Row:
    return {"what": what, "images/s": rate, "share of the bandwidth": bandwidth, "note": note}


def _bandwidth(device: torch.device) -> Row:
    size = 1 << (30 if device.type == "cuda" else 24)
    one = torch.zeros(size, dtype=torch.uint8, device=device)
    other = torch.empty_like(one)

    def copy() -> None:
        for _ in range(10):
            other.copy_(one)
        _wait(device)

    copy()
    seconds = statistics.median(rounds({"copy": copy})["copy"])
    return _row("copy of device memory", note=f"{10 * 2 * size / seconds / 1e9:,.0f} GB/s")


def _extraction(device: torch.device, encoder: Encoder, size: int, batch: int, repeat: int) -> list[Row]:
    """The network on units that lie in the host's memory, vectors back on the host: eager and compiled."""
    units = torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(0))
    if device.type == "cuda":
        units = units.pin_memory()
    copied = float(_bandwidth(device)["note"].split()[0].replace(",", "")) * 1e9
    moved = 2 * _bytes_of_maps(encoder.network, units[:1], 2 if device.type == "cuda" else 4)  # written, then read
    rows, expected = [], None
    for name in ("torch", "compile") if device.type == "cuda" else ("torch",):
        runner = runner_of(encoder, name, device=device)
        vectors = runner(units)
        expected = vectors if expected is None else expected
        runner(units)
        seconds = statistics.median(rounds({name: partial(_repeatedly, runner, units, 4)}, repeat=repeat)[name]) / 4
        apart = difference(vectors, expected)
        note = f"largest difference from torch, relative to the largest feature: {apart:.1g}"
        rate = batch / seconds
        rows.append(_row(f"extraction, {name}", rate, note=note, bandwidth=rate * moved / copied))
    return rows


def _repeatedly(runner: Callable[[torch.Tensor], torch.Tensor], units: torch.Tensor, times: int) -> None:
    for _ in range(times):
        runner(units)  # its result comes back to the host, so that nothing is left waiting on the device


def _bytes_of_maps(network: nn.Module, units: torch.Tensor, width: int) -> int:
    """Bytes of what all convolutions give for one unit."""
    values = 0

    def count(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal values
        values += output.numel()

    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    weight = next(network.parameters())
    with torch.inference_mode():
        network(units.to(weight.device))
    for hook in hooks:
        hook.remove()
    return values * width


def _training(folder: Path, network: dict[str, float], size: int, batch: int, images: int) -> list[Row]:
    """Two epochs of each way, the second counts; the decoded images stay on the device."""
    data = write_images(folder / "train", count=images, side=size)
    rows = []
    for compiled in (False, True):
        output = folder / f"run-{compiled}"
        base = TrainConfig(
            dataset=str(data),
            output=str(output),
            model_config=network,
            image_size=size,
            batch_size=batch,
            epochs=2,
            cache="device",
            compile=compiled,
            precision="auto",
            trackers=(),
        )
        train(base)
        last = json.loads((output / "history.json").read_text())[-1]
        what = f"training, {'compiled' if compiled else 'eager'}"
        rows.append(_row(what, last["images_per_second"], note=f"data wait {last['data_wait']:.1%}"))
    return rows


def _processes(
    folder: Path,
    device: torch.device,
    files: int,
    size: int,
    processes: int,
    load: Callable[[], Encoder],
) -> list[Row]:
    """Files to features by one process, and by several on each GPU."""
    plate = folder / "plate"
    write_plate(plate, files, size, stains=("dna",))
    images = find_images(plate, pattern=PATTERN)
    count = max(1, torch.cuda.device_count()) * processes
    names = [f"cuda:{number // processes}" if device.type == "cuda" else "cpu" for number in range(count)]
    settings = Extraction(shard_size=max(1, files // (4 * count)), backend="torch", batch_size=512, workers=4)
    rows = []
    for devices in ([], names):
        chosen = replace(settings, device=",".join(devices or names[:1]))
        started = time.perf_counter()
        extract_to_folder(load(), images, folder / f"features-{len(devices)}", settings=chosen, load=load)
        rate = files / (time.perf_counter() - started)
        note = "with the start of the processes, which load the network"
        rows.append(_row(f"files to features, {max(1, len(devices))} processes", rate, note=note if devices else ""))
    return rows


def _resume(folder: Path, network: dict[str, float], size: int) -> Row:
    """A run that goes on from the checkpoint in its middle ends with the weights of one that was never stopped."""
    data = write_images(folder / "resume", count=256, side=64)
    whole = TrainConfig(
        dataset=str(data),
        output=str(folder / "whole"),
        model_config=network,
        image_size=min(size, 64),
        batch_size=32,
        epochs=2,
        checkpoint_every=4,
        keep=99,
        precision="auto",
        trackers=(),
    )
    train(whole)
    part = replace(whole, output=str(folder / "part"))
    kept = sorted((folder / "whole" / "checkpoints").iterdir())[0]
    shutil.copytree(kept, folder / "part" / "checkpoints" / kept.name)
    train(part, resume=True)
    one, other = (load_file(folder / name / "model" / "model.safetensors") for name in ("whole", "part"))
    apart = max(difference(other[name].float(), one[name].float()) for name in one if one[name].is_floating_point())
    return _row("resumed training", note=f"largest difference of a tensor, relative to its largest value: {apart:.1g}")


def _synchronised(device: torch.device) -> Row:
    """SyncBatchNorm over one process is batch normalisation: forward and backward of both."""
    if device.type != "cuda":
        return _row("SyncBatchNorm", note="needs a GPU")
    with tempfile.TemporaryDirectory() as meeting:
        distributed.init_process_group("nccl", init_method=f"file://{meeting}/group", rank=0, world_size=1)
        try:
            plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU()).to(device)
            same = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))
            images = torch.rand(16, 3, 32, 32, device=device)
            outputs = [network(images) for network in (plain, same)]
            for output in outputs:
                output.square().mean().backward()
            apart = difference(outputs[1].detach(), outputs[0].detach())
            gradients = difference(same[0].weight.grad, plain[0].weight.grad)
        finally:
            distributed.destroy_process_group()
    return _row("SyncBatchNorm", note=f"differs from BatchNorm by {apart:.1g}, gradients by {gradients:.1g}")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
