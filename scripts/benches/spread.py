"""How far the demo's scores differ between seeds: one run tells the machinery, not the number."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.scoring.results import ResultsRecord, from_json

ENTRIES = {"Default": "default", "Pretrained": "what the network pools"}
"""Entry of the demo → what its features are."""


def run(
    demos: Annotated[list[Path], typer.Argument(help="Folders of finished demos with different seeds.")],
) -> dict[str, Any]:
    """The pretrained network on every benchmark set, by seed, and its least and largest gain over others.

    Example: python scripts/bench.py spread demo demo-1 demo-2
    """
    records: dict[int, ResultsRecord] = {}
    for folder in demos:
        try:
            content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder} holds no finished demo: run scripts/demo.py --output {folder} --seed N"
            ) from error
        if content["seed"] in records:
            raise InputError(f"{folder} has seed {content['seed']}, as another demo has: give each a seed of its own")
        records[content["seed"]] = from_json(content["benchmarks"], where=str(folder))
    rows = [_row(records, entry, name) for entry in ENTRIES for name in next(iter(records.values())).sets]
    return {
        "table": rows,
        "notes": [
            "kNN accuracy in %, and the gain in points over the best of three untrained networks (pooled as the paper "
            "does) and over the best features of pixels; each seed draws other images, weights and folds",
            "simulated images: the same seed differs by some points between processors, too",
        ],
    }


def _row(records: Mapping[int, ResultsRecord], entry: str, name: str) -> dict[str, Any]:
    """One entry on one set: its score by seed, and the range of its gains."""
    gains: dict[str, list[float]] = {"untrained": [], "pixels": []}
    values: dict[str, float] = {}
    for seed, record in sorted(records.items()):
        scores = record.by_entry()
        score = scores[entry, name].value
        values[f"seed {seed}"] = 100 * score
        untrained = [one for one in record.names("model") if one.startswith("Random")]
        for over, others in (("untrained", untrained), ("pixels", record.names("baseline"))):
            gains[over].append(100 * (score - max(scores[other, name].value for other in others)))
    ends = {
        f"over {over}, {end}": pick(points)
        for over, points in gains.items()
        for end, pick in (("least", min), ("most", max))
    }
    return {"set": name, "features": ENTRIES[entry], **values, **ends}
