"""Short extractions from start to end: `auto` beside each fixed backend, the first time and again."""

import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benches.common import in_child
from benches.extract import cells, network
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.runtimes import RUNTIMES

GOAL = 0.95
"""Of the best fixed choice, at least."""


def run(
    model: str = "random:0",
    sides: list[int] = [64, 224, 1080],  # noqa: B006
    counts: list[int] = [48, 144, 1000],  # noqa: B006
    most: Annotated[
        int, typer.Option(help="Megapixels beyond which a row is left out: 1,000 of 1080² take hours.")
    ] = 200,
    threads: int = 2,
) -> dict[str, Any]:
    """Seconds of `extract_features` with the start and export of its backend, the network loaded before.

    Example: python scripts/bench.py short --sides 224 --counts 48 --counts 144
    """
    ways = ["auto", "torch", *(name for name in RUNTIMES if importlib.util.find_spec(name) is not None)]
    table: list[dict[str, Any]] = []
    for side, count in ((side, count) for side in sides for count in counts if side * side * count <= most * 1e6):
        with tempfile.TemporaryDirectory() as name:
            rounds = []
            for _ in range(2):  # exports and what was measured stay from the first to the second
                taken = {}
                for way in ways:
                    os.environ["HF_ASSETS_CACHE"] = str(Path(name) / way)
                    taken[way] = in_child(extract, model, way, side, count, threads).result
                rounds.append(taken)
        best = [min(seconds for way, (seconds, _) in taken.items() if way != "auto") for taken in rounds]
        table += [
            {"side": side, "images": count, "way": way, "ran": rounds[1][way][1]}
            | {"first s": rounds[0][way][0], "of the best, first": best[0] / rounds[0][way][0]}
            | {"again s": rounds[1][way][0], "of the best, again": best[1] / rounds[1][way][0]}
            for way in ways
        ]
    shares = [row[f"of the best, {turn}"] for row in table if row["way"] == "auto" for turn in ("first", "again")]
    return {
        "table": table,
        "goals": {f"auto at least {GOAL} of the best fixed choice": min(shares) >= GOAL},
        "notes": [
            "first: nothing was exported or measured before; again: in another process, with what the first left.",
            f"{model}; {threads} threads; each run in a process of its own, imports and loading the network left out.",
        ],
    }


def extract(model: str, way: str, side: int, count: int, threads: int) -> tuple[float, str]:
    """Seconds, and the backend that ran; called in a process of its own."""
    torch.set_num_threads(threads)
    _, encoder = network(model)
    images = list(cells(side, count))
    started = time.perf_counter()
    table = extract_features(encoder, images, ids=[f"image-{number:05d}" for number in range(count)], backend=way)
    return time.perf_counter() - started, str(table.about["backend"])
