"""What makes features good, on real cells: networks trained on other real images, several ways of taking features.

python scripts/study.py --real ../shared/real --work runs/study

Writes docs/benchmarks/study.json, from which docs/study.md is made. Neither task's own images enter training; groups
(plates, fields) are left out whole. What stands in --work, such as a trained network, is not made again.

With --held the default, and the same of networks trained on gain pixels, are scored on further cells, which no choice
was made on: study_held.json.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from benches.common import machine, write_rows
from studies.entries import HELD, WAYS, score_task
from studies.networks import TRAININGS, make_networks
from studies.real import SCALINGS, build_corpus, lay_out

from cytoimagenet_hf.core.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
NETWORK: dict[str, Any] = {"width_coefficient": 0.35, "depth_coefficient": 0.5}  # minutes on two cores
VARIANTS = 350
"""Combinations of training and features that were scored on these cells before the default was fixed, most of them
once."""


def main(
    real: Annotated[Path, typer.Option(help="Folder of real images.")],
    work: Annotated[Path, typer.Option(help="Folder for networks and features.")] = Path("runs/study"),
    output: Annotated[Path, typer.Option(help="JSON to write.")] = ROOT / "docs" / "benchmarks" / "study.json",
    seeds: Annotated[int, typer.Option(help="Networks, with seeds 0, 1, ….")] = 3,
    epochs: Annotated[int, typer.Option(help="Epochs of each training.")] = 8,
    image_size: Annotated[int, typer.Option(help="Side of the training images.")] = 64,
    held: Annotated[
        Path | None,
        typer.Option(help="Folder with further cells, bbbc021/ and yeast/, laid out as in --work."),
    ] = None,
) -> None:
    """Train, extract and score.

    Example: python scripts/study.py --real ../shared/real
    """
    started = time.perf_counter()

    def log(line: str) -> None:
        typer.echo(f"{time.perf_counter() - started:6.0f} s  {line}")

    tasks, ways = lay_out(real, work), WAYS
    if held is not None:
        tasks = [replace(task, root=held / task.name) for task in tasks if (held / task.name).is_dir()]
        ways, output = HELD, output.with_stem(f"{output.stem}_held")
        if not tasks:
            raise InputError(f"{held} has neither bbbc021/ nor yeast/")
    corpora = {
        scaling: build_corpus(real, work / f"corpus-{scaling}", scaling=scaling, side=image_size, seed=0)
        for scaling in SCALINGS
    }
    networks: dict[str, list[Path]] = {}
    shared: dict[str, Any] = {"seeds": seeds, "epochs": epochs, "image_size": image_size, "model_config": NETWORK}
    for training in TRAININGS:
        if training.name in {way.training for way in ways}:
            log(f"networks: {training.name}")
            networks[training.name] = make_networks(training, corpora, work / "networks", **shared)
    found = [
        score_task(task, networks, cache=work / "features", log=log, ways=ways, classifiers=held is None)
        for task in tasks
    ]
    content: dict[str, Any] = {
        "tasks": found,
        "trainings": {training.name: training.says for training in TRAININGS if training.name in networks},
        "options": shared,
        "variants": VARIANTS,
        "seconds": time.perf_counter() - started,
        "machine": machine(),
    }
    write_rows(output, content)
    for task in found:
        gain = task["default_minus_best"]
        log(
            f"{task['title']}: default {100 * gain['mean']:+.1f} points [{100 * gain['low']:+.1f}, "
            f"{100 * gain['high']:+.1f}] over {task['best_baseline']}"
        )


if __name__ == "__main__":
    typer.run(main)
