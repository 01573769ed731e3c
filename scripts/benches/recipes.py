"""`modern` against `published` on a dataset's own validation split, at equal epochs, over several seeds."""

import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.training import RECIPES, TrainConfig, train

_SCORES = ("accuracy", "top_7_accuracy", "f1_macro", "loss", "rows")


def run(
    dataset: Annotated[str, typer.Option(help="Built dataset; its split decides what is compared.")],
    runs: Annotated[Path, typer.Option(help="Folder of the runs; one that is complete is read, not repeated.")],
    seeds: Annotated[int, typer.Option(help="Runs of each recipe, with seeds 0, 1, ….")] = 3,
    epochs: Annotated[int, typer.Option(help="Of every run.")] = 12,
    image_size: Annotated[int, typer.Option(help="Side of the images.")] = 64,
    width: Annotated[float, typer.Option(help="Width coefficient of the network.")] = 0.35,
    depth: Annotated[float, typer.Option(help="Depth coefficient of the network.")] = 0.5,
) -> dict[str, Any]:
    """Train every recipe with every seed and compare.

    Example: python scripts/bench.py recipes --dataset demo/cytoimagenet --runs runs/recipes
    """
    options = {
        "image_size": image_size,
        "epochs": epochs,
        "cache": "ram",
        "trackers": [],
        "model_config": {"width_coefficient": width, "depth_coefficient": depth},
    }
    shared = options | {"dataset": dataset, "cache_dir": str(runs / "cache")}
    scores = {
        (recipe, seed): _scores(runs / f"{recipe}-{seed}", shared | {"recipe": recipe, "seed": seed})
        for seed in range(seeds)
        for recipe in RECIPES
    }
    accuracy = {key: run["accuracy"] for key, run in scores.items()}
    gains = [accuracy["modern", seed] - accuracy["published", seed] for seed in range(seeds)]
    return {
        "table": [_summary(recipe, [scores[recipe, seed] for seed in range(seeds)]) for recipe in RECIPES],
        "runs": [{"recipe": recipe, "seed": seed, **run} for (recipe, seed), run in scores.items()],
        "modern_minus_published": gains,
        "options": options,
        "notes": [f"modern - published, seed by seed: {', '.join(f'{gain:+.1%}' for gain in gains)}"],
    }


def _scores(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Metrics of one run, trained unless its results are there."""
    if not (folder / "metrics.json").is_file():
        train(TrainConfig.from_dict({**options, "output": str(folder)}), resume=True)
    metrics = read_json_file(folder / "metrics.json")
    return {name: metrics[name] for name in _SCORES}


def _summary(recipe: str, scores: list[dict[str, Any]]) -> dict[str, Any]:
    means = {name: statistics.mean(run[name] for run in scores) for name in _SCORES[:3]}
    spread = statistics.pstdev([run["accuracy"] for run in scores])
    return {"recipe": recipe, "runs": len(scores), **means, "sd of accuracy": spread}
