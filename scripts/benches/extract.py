"""Features of images: the loop users write, ours, and ours through exported runtimes, on the same images."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch

from cytoimagenet_hf.encoders import Encoder
from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.extract import as_encoder, runner_of
from cytoimagenet_hf.features.runtimes import BACKENDS, Runner
from cytoimagenet_hf.models import MicroscopyImageProcessor, reestimate_batch_norm
from cytoimagenet_hf.models.backbones import Backbone, load_backbone

Matrix = npt.NDArray[np.float32]
GOALS = {"torch": 5.0, "onnxruntime": 10.0, "openvino": 10.0}
"""Times the batch-1 loop, at 64 x 64."""


def run(
    model: str = "random:0", images_64: int = 512, images_224: int = 64, repeat: int = 3, threads: int = 2
) -> dict[str, Any]:
    """Images per second at 64 x 64 and 224 x 224, reading excluded, preprocessing included.

    Example: python scripts/bench.py extract --repeat 5
    """
    torch.set_num_threads(threads)
    backbone = load_backbone(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if model.startswith("random:"):  # features of order 1, so that differences mean something
        pixels = MicroscopyImageProcessor("concat-raw")(
            list(_cells(64, 64)[:, None]), return_tensors="pt"
        ).pixel_values
        reestimate_batch_norm(backbone.model, [pixels])
    backbone.model.eval().to(device)
    encoder = as_encoder(backbone, method="concat-raw")
    runners, exported = _runners(encoder, device)
    table, notes = [], []
    reached: dict[str, float] = {}
    for side, count in ((64, images_64), (224, images_224)):
        images = _cells(side, count)
        ways = _ways(backbone, encoder, images, runners, device)
        seconds, features = _timed(ways, repeat)
        loop_name, few = "transformers, one image at a time", max(8, count // 4)
        loop_rate = few / seconds[loop_name]
        for name in ways:
            rate = (few if name == loop_name else count) / seconds[name]
            difference = None
            if name != loop_name and not name.startswith("network alone"):
                difference = float(np.abs(features[name][:few] - features[loop_name]).max())
            table.append(
                {
                    "side": side,
                    "way": name,
                    "images/s": round(rate, 1),
                    "times the loop": round(rate / loop_rate, 2),
                    "largest difference": difference,
                }
            )
            if side == 64 and name.removeprefix("ours, ") in GOALS:
                reached[name.removeprefix("ours, ")] = rate / loop_rate
    for backend, ratio in reached.items():
        verdict = "reached" if ratio >= GOALS[backend] else "missed"
        notes.append(f"goal at 64 x 64, {backend}: {GOALS[backend]:g} times the loop: {verdict} ({ratio:.1f})")
    notes += [f"exporting to {name} took {taken:.1f} s, once per model" for name, taken in exported.items()]
    notes.append(
        f"{threads} threads on {device}; the loop runs on a quarter of the images; medians of {repeat} rounds"
    )
    return {"table": table, "notes": notes, "goals": {name: reached[name] >= GOALS[name] for name in reached}}


def _cells(side: int, count: int) -> npt.NDArray[np.uint8]:
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


def _runners(encoder: Encoder, device: str) -> tuple[dict[str, Runner], dict[str, float]]:
    runners, exported = {}, {}
    for name in BACKENDS:
        try:
            runners[name] = runner_of(encoder, name, device=device if name == "torch" else None)
        except InputError:
            continue  # not installed
        started = time.perf_counter()
        runners[name](torch.zeros(2, 1, 64, 64))  # the first batch exports
        if name != "torch":
            exported[name] = time.perf_counter() - started
    return runners, exported


def _ways(
    backbone: Backbone,
    encoder: Encoder,
    images: npt.NDArray[np.uint8],
    runners: dict[str, Runner],
    device: str,
) -> dict[str, Callable[[], Matrix]]:
    ids = [f"image-{number:05d}" for number in range(len(images))]
    few = max(8, len(images) // 4)
    stock = _stock_processor(backbone.processor)
    pictures = [PIL.Image.fromarray(image) for image in images]

    def loop() -> Matrix:
        rows = []
        with torch.no_grad():
            for picture in pictures[:few]:
                inputs = stock(picture, return_tensors="pt").to(device)
                rows.append(backbone.model(**inputs).pooler_output.float().cpu().numpy())
        return np.concatenate(rows)

    def batched() -> Matrix:
        rows = []
        with torch.no_grad():
            for start in range(0, len(pictures), 64):
                inputs = stock(pictures[start : start + 64], return_tensors="pt").to(device)
                rows.append(backbone.model(**inputs).pooler_output.float().cpu().numpy())
        return np.concatenate(rows)

    def ours(runner: Runner) -> Callable[[], Matrix]:
        return lambda: np.asarray(extract_features(encoder, list(images), ids=ids, backend=runner).values)

    def alone(runner: Runner) -> Callable[[], Matrix]:
        ready = (torch.from_numpy(images).float()[:, None] / 255).to(runner.device)  # (N, 1, H, W)
        return lambda: np.concatenate([runner(batch).numpy() for batch in ready.split(64)])

    ways: dict[str, Callable[[], Matrix]] = {
        "transformers, one image at a time": loop,
        "transformers, batches of 64": batched,
    }
    ways |= {f"ours, {name}": ours(runner) for name, runner in runners.items()}
    return ways | {f"network alone, {name}": alone(runner) for name, runner in runners.items()}


def _stock_processor(processor: MicroscopyImageProcessor) -> Any:
    """What `AutoImageProcessor` loads from a saved folder of the model."""
    import tempfile

    from transformers import AutoImageProcessor

    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        return AutoImageProcessor.from_pretrained(folder)


def _timed(ways: dict[str, Callable[[], Matrix]], repeat: int) -> tuple[dict[str, float], dict[str, Matrix]]:
    """Median seconds, rounds alternating after one warm-up, and what each way returned."""
    from benches.common import side_by_side

    features = {name: way() for name, way in ways.items()}
    return side_by_side(ways, repeat=repeat), features
