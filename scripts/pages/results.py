"""The numbers in README and in the journey of profiles, each from the JSON file of its measurement."""

import json
from typing import Any

from cytoimagenet_hf.training.config import RECIPES, TrainConfig

from .blocks import table
from .numbers import FOLDER
from .sentences import gains, primes, row
from .study import points

COMPOUNDS = ("Wortmannin", "LY294002")
"""Of the real plate, BBBC013."""


def measured(name: str) -> dict[str, Any]:
    """The content of one measurement."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def results() -> str:
    """README's tables: what is measured on real data, and apart from it what is measured on drawn or random data."""
    keras, screen = measured("keras_parity"), measured("screen")
    default, pooled = screen["table"][0], row(screen, "`--pooling last")
    alone = row(screen, "the pixel statistics")
    real = [
        (
            f"Real plate BBBC013 ({', '.join(COMPOUNDS)}): are the controls apart?",
            f"Z′ {_of_both(default, 'Z')}",
            f"pixel statistics alone {_of_both(alone, 'Z')}; the network's usual pooled output {_range(pooled)}",
        ),
        (
            "… do the wells follow the dose, by rank?",
            f"correlation {_of_both(default, 'Spearman')}",
            f"pixel statistics alone {_of_both(alone, 'Spearman')}; pooled output {_of_both(pooled, 'Spearman')}",
        ),
    ]
    real += _studied(measured("study"))
    spread = measured("spread")
    low, high = gains(spread, "default", "pixels")
    worst, most = gains(spread, "what the network pools", "pixels")
    extract, render, knn = (measured(name) for name in ("extract", "render", "knn"))
    select, archive = (measured(name) for name in ("select", "import"))
    ours, loop = row(extract, "ours, openvino", side=64), row(extract, "transformers, one", side=64)
    batches = row(extract, "transformers, batches", side=64)
    large, best = row(extract, "ours, openvino", side=1080), row(extract, "transformers, one", side=1080)
    faster, bound = ([one[name] for one in render["table"]] for name in ("faster", "times the bound"))
    first = row(archive, "import")
    simulated = [
        (
            "Three simulated benchmarks, three seeds: default features against the best of histograms and texture",
            f"{low:+d} to {high:+d} points".replace("-", "−"),
            f"the network's usual pooled output: {worst:+d} to {most:+d}".replace("-", "−"),
        ),
        (
            "Features of 64 × 64 images",
            f"{ours['images/s']:,.0f} a second",
            f"plain transformers: {batches['images/s']:,.0f} in batches, {loop['images/s']:,.0f} one by one",
        ),
        (
            "Features of 1080 × 1080 images",
            f"{large['images/s']:.1f} a second",
            f"plain transformers: {best['images/s']:.1f}, one by one",
        ),
        (
            "Exact neighbours, 20,000 × 20,000",
            f"{row(knn, 'this package')['seconds']:.1f} s",
            f"torch by hand {row(knn, 'torch')['seconds']:.1f} s, scikit-learn "
            f"{row(knn, 'scikit-learn')['seconds']:.1f} s, faiss {row(knn, 'faiss')['seconds']:.1f} s",
        ),
        (
            "Choosing labels of 2.7 million fields of view",
            f"{row(select, 'select, corrected')['seconds']:.1f} s",
            f"reading and writing the table alone {row(select, 'floor')['seconds']:.1f} s; "
            f"the paper's algorithm {row(select, 'published algorithm')['seconds'] / 60:.0f} min",
        ),
        (
            "Raw fields to stored images",
            f"{min(bound):.1f} to {max(bound):.1f} times the least possible time",
            f"the paper's code, with equal pixels: {min(faster):.0f} to {max(faster):.0f} times as slow as ours",
        ),
        (
            "Importing an archive of 890,737 images",
            f"{first['seconds'] / 60:.0f} min, {first['peak MB'] / 1000:.1f} GB of memory",
            "",
        ),
        (
            "Features of weights in the published Keras format",
            f"within {max(one['largest difference'] for one in keras['table']):.6f}",
            "Keras itself",
        ),
    ]
    return "\n".join(
        [
            "**Real cells**",
            "",
            table(("", "default features", "to compare"), real),
            "",
            "**Simulated cells, and speed on drawn or random data (two CPU cores)**",
            "",
            table(("", "measured", "to compare"), simulated),
        ]
    )


def _studied(study: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What networks add to pixel statistics, pooled over the sets of real cells."""
    default = study["decision"]["default over pixels, all sets"]
    beside = [entry for entry in study["pooled"] if entry["network"] == "ImageNet" and "pixels" in entry["features"]]
    best = max(beside, key=lambda entry: float(entry["low"]))
    return [
        (
            f"{default['sets']} sets of single cells, whole plates or fields left out: points of accuracy over pixel "
            "statistics alone",
            _interval(default),
            f"the clearest of {len(beside)} ways with ImageNet's network, {best['features']}: {_interval(best)} "
            "([all of them](docs/study.md))",
        )
    ]


def _interval(entry: dict[str, Any]) -> str:
    return points(entry).replace("-", "−")


def recipes() -> str:
    """The options in which the training recipes differ and what each reaches, for the journey of pretraining."""
    published, compared = TrainConfig().to_dict(), measured("recipes")
    options = [(f"`{name}`", _shown(published[name]), _shown(value)) for name, value in RECIPES["modern"].items()]
    scores = [f"{100 * row(compared, recipe)['accuracy']:.0f} %" for recipe in ("published", "modern")]
    gained = ", ".join(f"{100 * gain:+.0f}" for gain in compared["modern_minus_published"])
    epochs, seeds = compared["options"]["epochs"], len(compared["modern_minus_published"])
    reached = (f"accuracy after {epochs} epochs, mean of {seeds} seeds", *scores)
    head = ("option", "`published`", "`modern`")
    return f"{table(head, [*options, reached])}\n\nSeed by seed the gain is {gained} points."


def _shown(value: Any) -> str:
    if value is None:  # of the precision, which the launcher then decides
        return "as launched"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value}"


def settings() -> str:
    """The table of settings on the real plate, for the journey of profiles."""
    rows = [
        (
            line["features"],
            *(_mean_and_range(line, f"Z' {name}") for name in COMPOUNDS),
            _of_both(line, "Spearman", ", "),
        )
        for line in measured("screen")["table"]
    ]
    head = ("features", *(f"Z′ {name}" for name in COMPOUNDS), "rank correlation with the dose")
    return table(head, rows, numbers=3)


def _of_both(line: dict[str, Any], measure: str, between: str = " and ") -> str:
    column = "Z'" if measure == "Z" else measure
    return between.join(_minus(line[f"{column} {name}"]) for name in COMPOUNDS)


def _mean_and_range(line: dict[str, Any], column: str) -> str:
    low, high = (_minus(line[f"{column}, {end}"]) for end in ("lowest", "highest"))
    mean = _minus(line[column])
    return mean if low == high else f"{mean} ({low} to {high})"


def _range(line: dict[str, Any]) -> str:
    """From the lowest to the highest Z' of both compounds."""
    return f"{_minus(min(primes(line)))} to {_minus(max(primes(line)))}"


def _minus(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
