"""Training images per second: our loop with and without a cache, a loop as examples write it, the network alone."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import datasets as hf
import numpy as np
import torch
import typer
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader

from cytoimagenet_hf.networks import build_efficientnet
from cytoimagenet_hf.training import TrainConfig
from cytoimagenet_hf.training.loop import EpochMeter, StopRequest, train_epoch
from cytoimagenet_hf.training.setup import Run, prepare

from .common import side_by_side
from .images import CLASSES, write_images

# From images/s of one device: 24 epochs of the full training split.
_FULL = 24 * 801_663


def run(
    images: Annotated[int, typer.Option(help="Training images; an epoch is what is timed.")] = 512,
    side: Annotated[int, typer.Option(help="Side of the stored images.")] = 128,
    size: Annotated[int, typer.Option(help="Side the network sees.")] = 64,
    batch: Annotated[int, typer.Option(help="Images per step.")] = 64,
    networks: Annotated[list[str], typer.Option(help="WIDTHxDEPTH coefficients; 1x1 is B0.")] = ["1x1", "0.35x0.5"],  # noqa: B006
    workers: Annotated[int, typer.Option(help="Decoding processes without a cache.")] = 2,
    compiled: Annotated[bool, typer.Option(help="torch.compile ours and the floor.")] = False,
    precision: Annotated[str, typer.Option(help="no, bf16 or auto, for ours and the floor.")] = "no",
    repeat: Annotated[int, typer.Option(help="Epochs of each; the median counts.")] = 3,
) -> dict[str, Any]:
    """One epoch of each, taking turns; set-up, evaluation and the writing of the cache are not counted.

    Example: python scripts/bench.py train --networks 1x1 --size 224 --batch 1024 --images 8192 --precision bf16
    """
    options = {"images": images, "side": side, "size": size, "batch": batch, "workers": workers}
    options |= {"compiled": compiled, "precision": precision, "repeat": repeat}
    options["load average before"] = os.getloadavg()[0]  # a busy machine blurs what waits for threads
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = write_images(Path(name) / "data", count=images, side=side)
        for network in networks:
            width, depth = map(float, network.split("x"))
            base = {
                "dataset": str(folder),
                "image_size": size,
                "batch_size": batch,
                "workers": workers,
                "trackers": [],
                "precision": precision,
                "compile": compiled,
                "model_config": {"width_coefficient": width, "depth_coefficient": depth},
            }
            rates = _rates(base, Path(name) / network, repeat)
            floor, example = rates["network alone (floor)"], rates["example-style loop"]
            table += [
                {
                    "network": network,
                    "way": way,
                    "images/s": rate,
                    "of the floor": rate / floor,
                    "times example-style": rate / example,
                    "24 full epochs, hours": _FULL / rate / 3600,
                }
                for way, rate in rates.items()
            ]
    return {
        "table": table,
        "options": options | {"device": _device(), "threads": torch.get_num_threads()},
        "notes": [
            "Goals: ours with a cache at least 0.9 of the network alone, without 0.85 where cores allow; twice the "
            "example.",
            "Network alone: the same network, optimiser and precision on one batch that stays on the device.",
            "Example-style: contiguous float32 images, RGB from the start, rotated one by one by Pillow on an image "
            "padded by reflection, one default DataLoader, loss read each step, default Adam; the same network, "
            "initialised alive.",
        ],
    }


def _rates(base: dict[str, Any], output: Path, repeat: int) -> dict[str, float]:
    """Images per second of every way to train one network."""
    cached = prepare(TrainConfig.from_dict({**base, "output": f"{output}/a", "cache": "device"}), resume=False)
    direct = prepare(TrainConfig.from_dict({**base, "output": f"{output}/b", "cache": "none"}), resume=False)
    ways: dict[str, Callable[[], Any]] = {
        "network alone (floor)": _floor(cached),
        "ours, cache": lambda: _epoch(cached),
        "ours, PNG": lambda: _epoch(direct),
        "example-style loop": _example(Path(base["dataset"]), direct),
    }
    for call in ways.values():
        call()  # kernels are chosen, worker code is imported
    seen = cached.source.steps * cached.config.batch_size
    return {way: seen / passed for way, passed in side_by_side(ways, repeat=repeat).items()}


def _epoch(run: Run) -> None:
    run.state.step = run.state.global_step = 0
    with StopRequest() as stop:
        train_epoch(run, EpochMeter(run.accelerator), stop)
    _wait()


def _floor(run: Run) -> Callable[[], None]:
    """Forward, backward and update of the same network under the same autocast, on one batch that stays in place."""
    config = run.config
    images = torch.rand(config.batch_size, 3, config.image_size, config.image_size, device=run.accelerator.device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, len(CLASSES), (config.batch_size,), device=run.accelerator.device)

    def epoch() -> None:
        run.model.train()
        for _ in range(run.source.steps):
            functional.cross_entropy(run.model(pixel_values=images)[0], labels).backward()
            run.optimizer.step()
            run.optimizer.zero_grad()
        _wait()

    return epoch


def _example(folder: Path, like: Run) -> Callable[[], None]:
    """The loop of example scripts: everything per image in the loader, defaults elsewhere."""
    config, device = like.config, like.accelerator.device
    size, rng = config.image_size, np.random.default_rng(0)

    def transform(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"pixel_values": [_augmented(image, size, rng) for image in rows["image"]], "labels": rows["label"]}

    data = hf.load_dataset(str(folder), split="train").select_columns(["image", "label"]).with_transform(transform)
    loader = DataLoader(data, batch_size=config.batch_size, shuffle=True, drop_last=True)
    model = build_efficientnet(len(CLASSES), seed=0, image_size=size, **config.model_config).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)

    def epoch() -> None:
        model.train()
        for batch in loader:
            outputs = model(pixel_values=batch["pixel_values"].to(device))
            loss = functional.cross_entropy(outputs.logits, batch["labels"].to(device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss.item()

    return epoch


def _augmented(image: Image.Image, size: int, rng: np.random.Generator) -> torch.Tensor:
    """Resize, rotate about the centre with reflected borders, scale: float32 (3, size, size)."""
    small = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    border = (size * 5 + 23) // 24  # half of (sqrt(2) - 1) of the side, rounded up
    padded = Image.fromarray(np.pad(small, ((border, border), (border, border), (0, 0)), mode="symmetric"))
    turned = padded.rotate(rng.uniform(0, 360), Image.Resampling.BILINEAR)
    cut = np.asarray(turned)[border : border + size, border : border + size]
    return torch.from_numpy(cut.astype(np.float32) / 255.0).permute(2, 0, 1).contiguous()


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _device() -> str:
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
