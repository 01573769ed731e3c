"""Features of images: the loop users write, ours, and ours through exported runtimes, on the same images."""

import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch

from benches.common import in_child, peak_mb, rounds
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.choosing import runner_of
from cytoimagenet_hf.features.extract import as_encoder
from cytoimagenet_hf.features.runtimes import RUNTIMES, Runner, difference
from cytoimagenet_hf.networks import Encoder, MicroscopyImageProcessor, reestimate_batch_norm
from cytoimagenet_hf.networks.backbones import Backbone, load_backbone

Matrix = npt.NDArray[np.float32]
LOOP, BATCHES = "transformers, one image at a time", "transformers, batches of 64"
COUNTS = {64: 512, 128: 128, 224: 64, 512: 16, 1080: 6}
"""Side in pixels → images."""
GOALS = {"torch": 2.0, "openvino": 2.3, "onnxruntime": 2.3}
"""Times the loop at 224 x 224; never below it at any size."""


def run(
    model: str = "random:0",
    sides: list[int] = [64, 128, 224, 512, 1080],  # noqa: B006
    share: float = 1.0,
    repeat: int = 5,
    threads: int = 2,
    memory: bool = True,
) -> dict[str, Any]:
    """Images per second at several sizes, reading excluded, preprocessing included; peak memory of each way.

    Example: python scripts/bench.py extract --sides 64 --sides 224 --share 0.25 --no-memory
    """
    torch.set_num_threads(threads)
    backbone, encoder = network(model)
    runners, started = _runners(encoder)
    table: list[dict[str, Any]] = []
    for side in sides:
        table += _side(backbone, encoder, runners, side, max(4, round(COUNTS.get(side, 8) * share)), repeat)
    peaks = {way: in_child(peaks_of, model, way, sides, threads).result for way in _names(runners)} if memory else {}
    for row in table:
        row["peak MB"] = peaks.get(row["way"], {}).get(row["side"])
    goals = {}
    for name, goal in GOALS.items():
        ratios = {row["side"]: row["times the loop"] for row in table if row["way"] == f"ours, {name}"}
        if ratios:
            goals[f"{name}, at least {goal:g} times the loop at 224 and never below it"] = (
                ratios.get(224, goal) >= goal and min(ratios.values()) >= 1
            )
    return {"table": table, "goals": goals, "notes": _notes(model, started, repeat, threads)}


def _notes(model: str, started: dict[str, tuple[float, float]], repeat: int, threads: int) -> list[str]:
    return [
        f"{LOOP}: what one writes with AutoImageProcessor and AutoModel; it runs on a quarter of the images.",
        "ours: extract_features. torch folds batch-norms, activations and paddings into the convolutions and runs few "
        "images at a time, so that the first maps stay in the caches.",
        "difference: the largest from the loop's features, relative to the largest feature.",
        "spread: slowest less fastest round, of the median. peak MB: a process of its own with everything it imports, "
        "up to this size.",
        *(
            f"{name}: {first:.1f} s to start the first time (the network is exported and compared with torch), "
            f"{later:.1f} s from then on (the export is kept)."
            for name, (first, later) in started.items()
        ),
        f"{model}; {threads} threads on a CPU; medians of {repeat} rounds, the ways taking turns.",
    ]


def peaks_of(model: str, way: str, sides: Sequence[int], threads: int) -> dict[int, float]:
    """Peak memory in MB of one way, after each size; called in a process of its own."""
    torch.set_num_threads(threads)
    backbone, encoder = network(model)
    peaks = {}
    for side in sides:
        images = cells(side, max(2, min(COUNTS.get(side, 8), 64)))
        runners = {name: runner_of(encoder, name) for name in [way.removeprefix("ours, ")] if way.startswith("ours")}
        _ways(backbone, encoder, images, runners, loop_on=2)[way]()
        peaks[side] = round(peak_mb())
    return peaks


def network(model: str) -> tuple[Backbone, Encoder]:
    """A network in evaluation mode, and the same as an encoder."""
    backbone = load_backbone(model)
    if model.startswith("random:"):  # features of order 1, so that differences mean something
        pixels = MicroscopyImageProcessor("concat-raw")(list(cells(64, 64)[:, None]), return_tensors="pt").pixel_values
        reestimate_batch_norm(backbone.model, [pixels])
    backbone.model.eval()
    return backbone, as_encoder(backbone, method="concat-raw")


def _side(
    backbone: Backbone, encoder: Encoder, runners: dict[str, Runner], side: int, count: int, repeat: int
) -> list[dict[str, Any]]:
    images = cells(side, count)
    few = max(2, count // 4)
    ways = _ways(backbone, encoder, images, runners, loop_on=few)
    features = {name: way() for name, way in ways.items()}
    seconds = rounds(ways, repeat=repeat)
    rates = {name: (few if name == LOOP else count) / statistics.median(taken) for name, taken in seconds.items()}
    expected = torch.from_numpy(features[LOOP])
    return [
        {
            "side": side,
            "way": name,
            "images/s": round(rates[name], 1),
            "times the loop": round(rates[name] / rates[LOOP], 2),
            "spread": f"{(max(seconds[name]) - min(seconds[name])) / statistics.median(seconds[name]):.0%}",
            "difference": None if name == LOOP else difference(torch.from_numpy(features[name][:few]), expected),
        }
        for name in ways
    ]


def cells(side: int, count: int) -> npt.NDArray[np.uint8]:
    """Gray images of a few blurred spots: (N, side, side) uint8."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side] / side
    images = np.empty((count, side, side), np.uint8)
    for number in range(count):
        spots = [
            np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
            for y, x, width in zip(rng.random(4), rng.random(4), rng.uniform(0.03, 0.2, 4), strict=True)
        ]
        images[number] = np.clip(200 * np.sum(spots, axis=0) + rng.normal(20, 5, (side, side)), 0, 255)
    return images


def _runners(encoder: Encoder) -> tuple[dict[str, Runner], dict[str, tuple[float, float]]]:
    """Runners by name, and for exported ones the seconds of the first start and of a later one."""
    runners, started = {"torch": runner_of(encoder, "torch", device="cpu")}, {}
    units = torch.from_numpy(cells(64, 2)[:, None]).float() / 255  # (2, 1, 64, 64)
    for name in RUNTIMES:
        if importlib.util.find_spec(name) is None:
            continue
        seconds = []
        for _ in range(2):
            runners[name] = runner_of(encoder, name)
            before = time.perf_counter()
            runners[name](units)
            seconds.append(time.perf_counter() - before)
        started[name] = seconds[0], seconds[1]
    return runners, started


def _names(runners: dict[str, Runner]) -> list[str]:
    return [LOOP, BATCHES, *(f"ours, {name}" for name in runners)]


def _ways(
    backbone: Backbone,
    encoder: Encoder,
    images: npt.NDArray[np.uint8],
    runners: dict[str, Runner],
    *,
    loop_on: int,
) -> dict[str, Callable[[], Matrix]]:
    ids = [f"image-{number:05d}" for number in range(len(images))]
    stock = _stock_processor(backbone.processor)
    pictures = [PIL.Image.fromarray(image) for image in images]

    def transformers(several: Sequence[PIL.Image.Image], at_once: int) -> Matrix:
        rows = []
        with torch.no_grad():
            for start in range(0, len(several), at_once):
                inputs = stock(several[start : start + at_once], return_tensors="pt")
                rows.append(backbone.model(**inputs).pooler_output.numpy())
        return np.concatenate(rows)

    def ours(runner: Runner) -> Callable[[], Matrix]:
        return lambda: np.asarray(extract_features(encoder, list(images), ids=ids, backend=runner).values)

    ways = {LOOP: lambda: transformers(pictures[:loop_on], 1), BATCHES: lambda: transformers(pictures, 64)}
    return ways | {f"ours, {name}": ours(runner) for name, runner in runners.items()}


def _stock_processor(processor: MicroscopyImageProcessor) -> Any:
    """What `AutoImageProcessor` loads from a saved folder of the model."""
    import tempfile

    from transformers import AutoImageProcessor

    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        return AutoImageProcessor.from_pretrained(folder)
