"""The spread of the demo's scores, from records made by hand."""

import json

import pytest

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.results import Comparison, EntryRecord, ResultsRecord, ScoreRecord
from scripts.benches.spread import run


def _demo(folder, *, seed, right):
    def score(entry, kind, right):
        share = right / 100
        return ScoreRecord("t", "cells", entry, kind, 100, right, share, 0.1, (0.0, 1.0), None, None, None, {}, (), ())

    gain = Comparison(
        "cells", "histogram", "Pretrained", 100, 0.05, None, 0, 0, "exact McNemar", None, None, None, None, None
    )
    record = ResultsRecord(
        {},
        {},
        (EntryRecord("Pretrained", "model"), EntryRecord("Random 1", "model"), EntryRecord("Random 2", "model")),
        (score("Pretrained", "model", right), score("Random 1", "model", 30), score("Random 2", "model", 40)),
        gains=(gain,),
    )
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({"seed": seed, "benchmarks": record.to_json()}))
    return folder


def test_a_column_per_seed_and_the_range_of_the_gains(tmp_path):
    (row,) = run([_demo(tmp_path / "a", seed=0, right=70), _demo(tmp_path / "b", seed=1, right=60)])["table"]
    assert (row["seed 0"], row["seed 1"]) == (pytest.approx(70), pytest.approx(60))
    assert (row["over untrained, least"], row["over untrained, most"]) == (pytest.approx(20), pytest.approx(30))
    assert row["over pixels, least"] == pytest.approx(5)


def test_folders_without_a_demo_and_repeated_seeds_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no finished demo"):
        run([tmp_path])
    demo = _demo(tmp_path / "a", seed=0, right=70)
    with pytest.raises(InputError, match="seed 0, as another"):
        run([demo, demo])
