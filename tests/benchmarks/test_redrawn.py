"""Redrawn twins in the suite: by stage, paired, in the record, the tables and the figure."""

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.benchmarks.compare import MACRO, summarise_score
from cytoimagenet_hf.benchmarks.figures import training_curves
from cytoimagenet_hf.benchmarks.redrawn import training_gains
from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
from cytoimagenet_hf.benchmarks.table import result_tables
from cytoimagenet_hf.benchmarks.tasks.folder import configured
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.options.networks import EncoderOptions
from cytoimagenet_hf.scoring.results import EntryRecord, from_json
from tests.benchmarks.scores import score_of
from tests.networks.stand_ins import settled


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    settled(build_efficientnet(0, seed=9, width_coefficient=0.25, depth_coefficient=0.25)).save_pretrained(folder)
    MicroscopyImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Two classes of cells on seven plates, one brighter at its rim."""
    root, rng = tmp_path_factory.mktemp("cells"), np.random.default_rng(0)
    rows = ["file_name,plate"]
    for name in ("rim", "disc"):
        (root / name).mkdir()
        for number in range(14):
            pixels = rng.normal(300, 40, (48, 48))
            pixels[12:36, 12:36] += 800
            if name == "rim":
                pixels[18:30, 18:30] -= 700
            tifffile.imwrite(root / name / f"{number}.tif", pixels.clip(0).astype(np.uint16))
            rows.append(f"{name}/{number}.tif,p{number % 7}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root


def run(cells, network, **options):
    task = ((configured(k=3, name="cells"), cells),)
    return run_suite(Suite(tasks=task, models=(f"Net={network}",), **options))


def test_each_stage_stands_beside_its_twins(cells, network, tmp_path):
    results = run(cells, network, redrawn=2, cache=tmp_path)
    record = results.record
    assert record.names("model") == ["Net"]
    stages = [one.way for one in record.training]
    assert stages[0] == "as extracted"
    assert stages[1:] == [f"stage {n}" for n in range(1, len(stages))]  # its stem is as wide as its first stage
    assert len(stages) > 5
    assert len(record.names("redrawn")) == 2 * len(stages)
    by_way = {one.way: one for one in record.training}
    for way in ("as extracted", "stage 1"):
        one = by_way[way]
        suffix = "" if way == "as extracted" else f", {way}"
        trained = results.scores[f"Net{suffix}", "cells"]
        twins = [results.scores[f"Net redrawn {n}{suffix}", "cells"].correct for n in (0, 1)]
        assert one.trained == trained.correct.mean()
        assert one.redrawn == tuple(twin.mean() for twin in twins)
        assert one.gain.difference == pytest.approx(trained.correct.mean() - np.mean(twins))
        assert (one.gain.test, one.gain.groups) == ("group permutation", 7)
    assert from_json(record.to_json()) == record
    table = next(table for table in result_tables(record) if table.title == "What training gave")
    assert len(table.rows) == len(stages)
    assert training_curves(record).axes[0].get_title() == "cells"
    # Nothing is extracted again, and a stage of the suite is what --pooling of that stage gives.
    kept = {path.name for path in tmp_path.iterdir()}
    alone = run(cells, network, options=EncoderOptions(pooling="stage:2", pixels=False), redrawn=1, cache=tmp_path)
    one = alone.record.training
    assert [gain.way for gain in one] == ["as extracted"]
    assert one[0].trained == by_way["stage 2"].trained
    assert one[0].redrawn == by_way["stage 2"].redrawn[:1]
    assert kept < {path.name for path in tmp_path.iterdir()}


def test_macro_f1_is_compared_with_the_best_twin():
    truth, wrong = ["a", "b"] * 8, {"Net": 1, "t1": 8, "t2": 4}
    scores = {
        (name, "s"): score_of(truth, ["c"] * count + truth[count:], measure=MACRO) for name, count in wrong.items()
    }
    about = {"redrawn_of": "Net", "way": "as extracted"}
    entries = [EntryRecord("Net", "model"), EntryRecord("t1", "redrawn", about), EntryRecord("t2", "redrawn", about)]
    summaries = {
        key: summarise_score(score, task="s", entry=key[0], kind="model", seed=0) for key, score in scores.items()
    }
    (gain,) = training_gains(entries, scores, summaries, seed=0)
    assert gain.gain.difference == pytest.approx(summaries["Net", "s"].value - summaries["t2", "s"].value)
