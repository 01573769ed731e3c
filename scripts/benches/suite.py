"""The benchmark suite of the demo on three networks: how long it takes, and where the time goes."""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from cytoimagenet_hf.benchmarks import BENCHMARKS
from cytoimagenet_hf.benchmarks.recipes import RECIPES
from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from scripts.simulate import simulate_benchmarks

from .common import Child, in_child

TASKS = ("bbbc021", "coos7", "cyclops")
_SIDE = 64


def run(
    size: Annotated[str, typer.Option(help="Size of the simulated sets: tiny or small.")] = "small",
    networks: Annotated[int, typer.Option(help="Networks that are scored.")] = 3,
    repeat: Annotated[int, typer.Option(help="Rounds; the fastest of each counts.")] = 2,
) -> dict[str, Any]:
    """All three tasks, the fusion of every two networks with its controls, and the pixel baselines.

    Example: python scripts/bench.py suite --size tiny --repeat 1
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait by spinning would count as work
    runs: dict[str, list[Child]] = {"everything": [], "again": [], "scores": []}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        simulate_benchmarks(root / "sets", size=size, seed=0, workers=2)
        for number in range(networks):
            _save_network(root / f"network-{number + 1}", seed=number)
        for turn in range(repeat):
            for what, children in runs.items():
                children.append(in_child(_suite, root, networks, cache=turn, baselines=what != "scores"))
    best = {what: min(children, key=lambda child: child.cpu_seconds) for what, children in runs.items()}
    whole, again, scores = best["everything"], best["again"], best["scores"]
    parts = {
        "the whole suite": (whole.seconds, whole.cpu_seconds),
        f"features of {networks} networks": (whole.seconds - again.seconds, whole.cpu_seconds - again.cpu_seconds),
        "pixel baselines": (again.seconds - scores.seconds, again.cpu_seconds - scores.cpu_seconds),
        "scores, intervals and paired tests": (scores.seconds, scores.cpu_seconds),
    }
    slowest = max(child.cpu_seconds for child in runs["everything"])
    return {
        "table": [
            {"part": part, "seconds": seconds, "CPU seconds": cpu, "share": cpu / whole.cpu_seconds}
            for part, (seconds, cpu) in parts.items()
        ],
        "options": {"size": size, "networks": networks, "repeat": repeat},
        "notes": [
            f"{whole.result['images']:,} images in three simulated sets, {whole.result['scores']} scores, "
            f"{whole.result['comparisons']} paired comparisons; networks of 0.35 x the width and 0.5 x the depth of "
            "B0 at 64 pixels, as in the demo.",
            "Parts are differences between runs: with features extracted before, and without baselines.",
            f"Fastest of {repeat} rounds by CPU time; the slowest took {slowest / whole.cpu_seconds:.2f} times that.",
            f"Peak memory {whole.peak_mb:.0f} MB.",
        ],
    }


def _save_network(folder: Path, *, seed: int) -> None:
    network = build_efficientnet(0, seed=seed, image_size=_SIDE, width_coefficient=0.35, depth_coefficient=0.5)
    network.save_pretrained(folder)
    MicroscopyImageProcessor(do_resize=True, size={"height": _SIDE, "width": _SIDE}).save_pretrained(folder)


def _suite(root: Path, networks: int, *, cache: int, baselines: bool) -> dict[str, int]:
    record = run_suite(
        Suite(
            tasks=tuple((BENCHMARKS[task], root / "sets" / task) for task in TASKS),
            models=tuple(str(root / f"network-{number + 1}") for number in range(networks)),
            fuse=True,
            partner=str(root / "network-1"),
            baselines=baselines,
            random_nets=0,
            cache=root / f"features-{cache}",
        )
    ).record
    images = sum(len(BENCHMARKS[task].load(root / "sets" / task, RECIPES["corrected"])) for task in TASKS)
    return {"images": images, "scores": len(record.scores), "comparisons": len(record.comparisons)}
