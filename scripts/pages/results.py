"""The numbers in README, each from the JSON file of its measurement."""

import json
from pathlib import Path
from typing import Any

from .numbers import FOLDER
from .sentences import gains, row

PLATE = FOLDER.parent / "images" / "bbbc013.json"
"""What `cytoimagenet profile` recorded of the real plate."""


def measured(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The content of one measurement."""
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return content


def results(folder: Path = FOLDER) -> str:
    """README's table: what, measured, and what it stands beside."""
    extract, render, knn = (measured(name, folder) for name in ("extract", "render", "knn"))
    select, archive, keras = (measured(name, folder) for name in ("select", "import", "keras_parity"))
    screen = json.loads(PLATE.read_text(encoding="utf-8"))["screen"]
    z_primes = " and ".join(_minus(one["z_prime"]) for one in screen["separations"])
    correlations = " and ".join(_minus(one["spearman"]) for one in screen["dose_responses"])
    low, high = gains(measured("spread", folder), "untrained")
    worst, most = gains(measured("spread", folder), "pixels")
    ours, loop = row(extract, "ours, openvino", side=64), row(extract, "transformers, one", side=64)
    fields, published = row(select, "select, corrected"), row(select, "published algorithm")
    faster = [one["faster"] for one in render["table"]]
    first = row(archive, "import")
    lines = [
        ("", "measured", "beside it"),
        (
            "A real plate, BBBC013: do features separate the controls?",
            f"Z′ {z_primes}",
            "0.5 is enough to screen with",
        ),
        ("… and do they follow the dose?", f"rank correlation {correlations}", "1 is perfect"),
        (
            "Simulated benchmarks, three seeds: gain of the demo's network in points",
            f"{low:+d} to {high:+d} over untrained networks",
            f"{worst:+d} to {most:+d} over histograms and texture",
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
            f"within {max(one['largest difference'] for one in keras['table']):.0e}",
            "Keras itself",
        ),
    ]
    head, *body = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|---|---|---|", *body])


def _minus(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
