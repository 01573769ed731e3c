"""`modern` against `published` on a dataset's own validation split, at equal epochs, over several seeds.

python scripts/compare_recipes.py --dataset demo/cytoimagenet --output runs/recipes

Writes docs/benchmarks/recipes.json: every run's accuracy, and the differences seed by seed. A run that is complete in
--output is read, not repeated.
"""

import json
import statistics
from pathlib import Path
from typing import Annotated, Any

import typer
from benches.common import machine, show, write_rows

from cytoimagenet_hf.training import RECIPES, TrainConfig

ROOT = Path(__file__).resolve().parents[1]


def main(
    dataset: Annotated[str, typer.Option(help="Built dataset; its split decides what is compared.")],
    output: Annotated[Path, typer.Option(help="Folder of the runs.")],
    seeds: Annotated[int, typer.Option(help="Runs of each recipe, with seeds 0, 1, ….")] = 3,
    epochs: Annotated[int, typer.Option(help="Of every run.")] = 12,
    image_size: Annotated[int, typer.Option(help="Side of the images.")] = 64,
    width: Annotated[float, typer.Option(help="Width coefficient of the network.")] = 0.35,
    depth: Annotated[float, typer.Option(help="Depth coefficient of the network.")] = 0.5,
    result: Annotated[Path, typer.Option(help="JSON to write.")] = ROOT / "docs" / "benchmarks" / "recipes.json",
) -> None:
    """Train every recipe with every seed and compare.

    Example: python scripts/compare_recipes.py --dataset demo/cytoimagenet --output runs/recipes
    """
    shared = {
        "dataset": dataset,
        "image_size": image_size,
        "epochs": epochs,
        "cache": "ram",
        "cache_dir": str(output / "cache"),
        "trackers": [],
        "model_config": {"width_coefficient": width, "depth_coefficient": depth},
    }
    runs = [
        {
            "recipe": recipe,
            "seed": seed,
            **_scores(output / f"{recipe}-{seed}", shared | {"recipe": recipe, "seed": seed}),
        }
        for seed in range(seeds)
        for recipe in RECIPES
    ]
    table = [_summary(recipe, [run for run in runs if run["recipe"] == recipe]) for recipe in RECIPES]
    by_seed = {(run["recipe"], run["seed"]): run["accuracy"] for run in runs}
    gains = [by_seed["modern", seed] - by_seed["published", seed] for seed in range(seeds)]
    content = {
        "table": table,
        "runs": runs,
        "modern_minus_published": gains,
        "options": {name: value for name, value in shared.items() if name not in ("dataset", "cache_dir")},
        "notes": [f"modern - published, seed by seed: {', '.join(f'{gain:+.1%}' for gain in gains)}"],
        "machine": machine(),
    }
    write_rows(result, content)
    show(content, title=f"recipes at {epochs} epochs")


def _scores(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Metrics of one run, trained unless its results are there."""
    if not (folder / "metrics.json").is_file():
        from cytoimagenet_hf.training import train

        train(TrainConfig.from_dict({**options, "output": str(folder)}), resume=True)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return {name: metrics[name] for name in ("accuracy", "top_7_accuracy", "f1_macro", "loss", "rows")}


def _summary(recipe: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("accuracy", "top_7_accuracy", "f1_macro")
    means = {name: statistics.mean(run[name] for run in runs) for name in names}
    return {
        "recipe": recipe,
        "runs": len(runs),
        **means,
        "sd of accuracy": statistics.pstdev([run["accuracy"] for run in runs]),
    }


if __name__ == "__main__":
    typer.run(main)
