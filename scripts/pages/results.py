"""The numbers in README and in the journey of profiles, each from the JSON file of its measurement."""

import json
from pathlib import Path
from typing import Any

from cytoimagenet_hf.training.config import RECIPES, TrainConfig

from .numbers import FOLDER
from .sentences import gains, row

COMPOUNDS = ("Wortmannin", "LY294002")
"""Of the real plate, BBBC013."""


def measured(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The content of one measurement."""
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return content


def results(folder: Path = FOLDER) -> str:
    """README's table: what, measured, and what it stands beside."""
    extract, render, knn = (measured(name, folder) for name in ("extract", "render", "knn"))
    select, archive, keras = (measured(name, folder) for name in ("select", "import", "keras_parity"))
    screen = measured("screen", folder)
    default, pooled = screen["table"][0], row(screen, "`--pooling last")
    alone = row(screen, "the pixel statistics")
    spread = measured("spread", folder)
    low, high = gains(spread, "default", "pixels")
    worst, most = gains(spread, "what the network pools", "pixels")
    ours, loop = row(extract, "ours, openvino", side=64), row(extract, "transformers, one", side=64)
    fields, published = row(select, "select, corrected"), row(select, "published algorithm")
    faster = [one["faster"] for one in render["table"]]
    first = row(archive, "import")
    lines = [
        ("", "measured", "to compare"),
        (
            f"A real plate, BBBC013 ({', '.join(COMPOUNDS)}): do features separate the controls?",
            f"Z′ {_of_both(default, 'Z')}",
            f"the same networks' usual pooled output: {_range(pooled)}; "
            f"pixel statistics alone: {_of_both(alone, 'Z')}",
        ),
        (
            "… and do they follow the dose, by rank?",
            f"correlation {_of_both(default, 'Spearman')}",
            f"the same networks' usual pooled output: {_of_both(pooled, 'Spearman')}",
        ),
        (
            "Simulated benchmarks, three seeds: gain over the best of histograms and texture",
            f"{low:+d} to {high:+d} points".replace("-", "−"),
            f"the same networks' usual pooled output: {worst:+d} to {most:+d}".replace("-", "−"),
        ),
        (
            "Features of 64 × 64 images, two CPU cores",
            f"{ours['images/s']:,.0f} a second",
            f"plain transformers, one by one: {loop['images/s']:,.0f}",
        ),
        (
            "Choosing labels of 2.7 million fields of view",
            f"{fields['seconds']:.1f} s",
            f"the paper's algorithm: {published['seconds'] / 60:.0f} min",
        ),
        (
            "Raw fields to stored images",
            f"{min(faster):.0f} to {max(faster):.0f} times as fast",
            "the paper's code, with equal pixels",
        ),
        (
            "Exact neighbours, 20,000 × 20,000",
            f"{row(knn, 'this package')['seconds']:.1f} s",
            f"scikit-learn {row(knn, 'scikit-learn')['seconds']:.1f} s, faiss {row(knn, 'faiss')['seconds']:.1f} s",
        ),
        (
            "The published archive, 890,737 images, imported",
            f"{first['seconds'] / 60:.0f} min, {first['peak MB'] / 1000:.1f} GB of memory",
            "",
        ),
        (
            "Features of the published Keras weights",
            f"within {max(one['largest difference'] for one in keras['table']):.6f}",
            "Keras itself",
        ),
    ]
    head, *body = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|---|---|---|", *body])


def recipes(folder: Path = FOLDER) -> str:
    """The options in which the training recipes differ and what each reaches, for the journey of pretraining."""
    published, found = TrainConfig().to_dict(), measured("recipes", folder)
    lines = ["| option | `published` | `modern` |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {_shown(published[name])} | {_shown(value)} |" for name, value in RECIPES["modern"].items()
    ]
    scores = " | ".join(f"{100 * row(found, recipe)['accuracy']:.0f} %" for recipe in ("published", "modern"))
    gained = ", ".join(f"{100 * gain:+.0f}" for gain in found["modern_minus_published"])
    epochs, seeds = found["options"]["epochs"], len(found["modern_minus_published"])
    lines.append(f"| accuracy after {epochs} epochs, mean of {seeds} seeds | {scores} |")
    return "\n".join([*lines, "", f"Seed by seed the gain is {gained} points."])


def _shown(value: Any) -> str:
    if value is None:  # of the precision, which the launcher then decides
        return "as launched"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value}"


def settings(folder: Path = FOLDER) -> str:
    """The table of settings on the real plate, for the journey of profiles."""
    lines = [
        f"| features | {' | '.join(f'Z′ {name}' for name in COMPOUNDS)} | rank correlation with the dose |",
        "|---|--:|--:|--:|",
    ]
    for one in measured("screen", folder)["table"]:
        primes = " | ".join(_mean_and_range(one, f"Z' {name}") for name in COMPOUNDS)
        lines.append(f"| {one['features']} | {primes} | {_of_both(one, 'Spearman', ', ')} |")
    return "\n".join(lines)


def _of_both(line: dict[str, Any], measure: str, between: str = " and ") -> str:
    column = "Z'" if measure == "Z" else measure
    return between.join(_minus(line[f"{column} {name}"]) for name in COMPOUNDS)


def _mean_and_range(line: dict[str, Any], column: str) -> str:
    low, high = (_minus(line[f"{column}, {end}"]) for end in ("lowest", "highest"))
    mean = _minus(line[column])
    return mean if low == high else f"{mean} ({low} to {high})"


def _range(line: dict[str, Any]) -> str:
    """From the lowest to the highest Z' of both compounds."""
    low, high = (
        pick(line[f"Z' {name}, {end}"] for name in COMPOUNDS) for pick, end in ((min, "lowest"), (max, "highest"))
    )
    return f"{_minus(low)} to {_minus(high)}"


def _minus(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
