"""What makes features good, on real cells: networks trained on other real images, several ways of taking features.

python scripts/study.py --real ../shared/real --work runs/study

Writes docs/benchmarks/study.json, from which docs/study.md is made. Neither task's own images enter training; groups
(plates, fields) are left out whole. What stands in --work, such as a trained network, is not made again.

With --held the default alone is scored on further cells, which no choice was made on: study_held.json.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from benches.common import machine
from studies.entries import DEFAULT, WAYS, score_task
from studies.real import build_corpus, lay_out

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import write_json

ROOT = Path(__file__).resolve().parents[1]
NETWORK: dict[str, Any] = {"width_coefficient": 0.35, "depth_coefficient": 0.5}  # minutes on two cores
VARIANTS = 350
"""Combinations of training and features that were scored on these cells before this table, most of them once."""


def main(
    real: Annotated[Path, typer.Option(help="Folder of real images.")],
    work: Annotated[Path, typer.Option(help="Folder for networks and features.")] = Path("runs/study"),
    output: Annotated[Path, typer.Option(help="JSON to write.")] = ROOT / "docs" / "benchmarks" / "study.json",
    seeds: Annotated[int, typer.Option(help="Networks, with seeds 0, 1, ….")] = 3,
    epochs: Annotated[int, typer.Option(help="Of training.")] = 8,
    image_size: Annotated[int, typer.Option(help="Side of the training images.")] = 64,
    held: Annotated[
        Path | None,
        typer.Option(help="Folder with further cells, bbbc021/ and yeast/, laid out as in --work: the default alone."),
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
        ways, output = tuple(way for way in WAYS if way.name == DEFAULT), output.with_stem(f"{output.stem}_held")
        if not tasks:
            raise InputError(f"{held} has neither bbbc021/ nor yeast/")
    corpus = build_corpus(real, work / "corpus", side=image_size, seed=0)
    networks: dict[bool, list[Path]] = {True: [], False: []}
    for seed in range(seeds):
        log(f"network {seed}")
        networks[True].append(_trained(corpus, work / f"run-{seed}", seed=seed, epochs=epochs, image_size=image_size))
        networks[False].append(_untrained(networks[True][-1], work / f"untrained-{seed}", seed=100 + seed))
    found = [
        score_task(task, networks, cache=work / "features", log=log, ways=ways, classifiers=held is None)
        for task in tasks
    ]
    content: dict[str, Any] = {
        "tasks": found,
        "options": {"seeds": seeds, "epochs": epochs, "image_size": image_size, "model_config": NETWORK},
        "variants": VARIANTS,
        "seconds": time.perf_counter() - started,
        "machine": machine(),
    }
    write_json(output, content)
    for task in found:
        gain = task["default_minus_best"]
        log(
            f"{task['title']}: default {100 * gain['mean']:+.1f} points [{100 * gain['low']:+.1f}, "
            f"{100 * gain['high']:+.1f}] over {task['best_baseline']}"
        )


def _trained(corpus: Path, run: Path, *, seed: int, epochs: int, image_size: int) -> Path:
    if not (run / "model").is_dir():
        from cytoimagenet_hf.training import TrainConfig, train

        options = {"recipe": "modern", "dataset": str(corpus), "output": str(run), "seed": seed, "epochs": epochs}
        options |= {"image_size": image_size, "cache": "ram", "evaluate_every": epochs, "trackers": []}
        train(TrainConfig.from_dict({**options, "model_config": NETWORK}), resume=True)
    return run / "model"


def _untrained(trained: Path, target: Path, *, seed: int) -> Path:
    if not (target / "config.json").is_file():
        from cytoimagenet_hf.models import MicroscopyImageProcessor, build_efficientnet

        MicroscopyImageProcessor.from_pretrained(trained).save_pretrained(target)
        build_efficientnet(0, seed=seed, **NETWORK).save_pretrained(target)
    return target


if __name__ == "__main__":
    typer.run(main)
