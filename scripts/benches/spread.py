"""How far the demo's scores differ between seeds: one run tells the machinery, not the number."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.results import ResultsRecord, from_json

from .common import machine


def run(
    demos: Annotated[list[Path], typer.Argument(help="Folders of finished demos with different seeds.")],
) -> dict[str, Any]:
    """The pretrained network on every benchmark set, by seed, and its least and largest gain over the others.

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
    rows = []
    for name in next(iter(records.values())).sets:
        values = {seed: 100 * record.by_entry()["Pretrained", name].value for seed, record in sorted(records.items())}
        untrained = [_gain(record, name) for record in records.values()]
        pixels = [
            100 * gain.difference
            for record in records.values()
            for gain in record.gains
            if (gain.second, gain.set) == ("Pretrained", name)
        ]
        rows.append(
            {
                "set": name,
                **{f"seed {seed}": value for seed, value in values.items()},
                "over untrained, least": min(untrained),
                "over untrained, most": max(untrained),
                "over pixels, least": min(pixels),
                "over pixels, most": max(pixels),
            }
        )
    return {
        "table": rows,
        "notes": [
            "kNN accuracy of the demo's pretrained network in %, then its gain in points over the best of three "
            "untrained networks and over the best features of pixels; each seed draws other images, weights and folds",
            "simulated images: the same seed differs by some points between processors, too",
        ],
        "machine": machine(),
    }


def _gain(record: ResultsRecord, name: str) -> float:
    scores = record.by_entry()
    others = [scores[entry, name].value for entry in record.names("model") if entry.startswith("Random")]
    return 100 * (scores["Pretrained", name].value - max(others))
