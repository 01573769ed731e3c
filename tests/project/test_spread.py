"""The spread of the demo's scores, from records made by hand."""

import json

import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.scoring.results import EntryRecord, ResultsRecord, ScoreRecord
from scripts.benches.spread import run


def _demo(folder, *, seed, right):
    def score(entry, kind, right):
        share = right / 100
        return ScoreRecord("t", "cells", entry, kind, 100, right, share, 0.1, (0.0, 1.0), None, None, None, {}, (), ())

    shares = {"Pretrained": right, "Default": right + 10, "Random 1": 30, "Random 2": 40}
    record = ResultsRecord(
        {},
        {},
        (*(EntryRecord(name, "model") for name in shares), EntryRecord("histogram", "baseline")),
        (*(score(name, "model", share) for name, share in shares.items()), score("histogram", "baseline", 65)),
    )
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({"seed": seed, "benchmarks": record.to_json()}))
    return folder


def test_a_column_per_seed_and_the_range_of_the_gains(tmp_path):
    table = run([_demo(tmp_path / "a", seed=0, right=70), _demo(tmp_path / "b", seed=1, right=60)])["table"]
    assert [(row["features"], row["set"]) for row in table] == [
        ("default", "cells"),
        ("what the network pools", "cells"),
    ]
    default, pooled = table
    assert (pooled["seed 0"], pooled["seed 1"]) == (pytest.approx(70), pytest.approx(60))
    assert (pooled["over untrained, least"], pooled["over untrained, most"]) == (pytest.approx(20), pytest.approx(30))
    assert (pooled["over pixels, least"], pooled["over pixels, most"]) == (pytest.approx(-5), pytest.approx(5))
    assert (default["over pixels, least"], default["over pixels, most"]) == (pytest.approx(5), pytest.approx(15))


def test_folders_without_a_demo_and_repeated_seeds_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no finished demo"):
        run([tmp_path])
    demo = _demo(tmp_path / "a", seed=0, right=70)
    with pytest.raises(InputError, match="seed 0, as another"):
        run([demo, demo])
