"""The speed benchmarks run from end to end at tiny sizes; what they say of speed is not looked at."""

import sys
from pathlib import Path

import pytest
import torch

from cytoimagenet_hf.benchmarks.table import Table
from cytoimagenet_hf.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def benches(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr("cytoimagenet_hf.features.exports._place", lambda: tmp_path)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "benches"]:
        del sys.modules[name]


@pytest.fixture
def gpu(benches):
    from benches import gpu

    return gpu


def test_repairs_are_measured_on_the_networks_of_a_finished_demo(benches, tmp_path, monkeypatch):
    from benches import repairs

    with pytest.raises(InputError, match="no finished demo"):
        repairs.run(tmp_path)
    (tmp_path / "results.json").write_text('{"seed": 3}')
    asked = []

    def table(suite, *, report):
        asked.append(suite)
        return Table("t", ("", "corrected", "published"), (("cyclops: Pretrained", "1.00", "·"),), "a note")

    monkeypatch.setattr(repairs, "repair_table", table)
    result = repairs.run(tmp_path)
    assert result["table"] == [{"set and network": "cyclops: Pretrained", "corrected": "1.00", "published": "·"}]
    assert result["demo"] == {"seed": 3}
    (suite,) = asked
    assert [model.partition("=")[0] for model in suite.models] == ["Pretrained", "Random"]
    assert suite.fuse
    assert suite.options.given() == {"pooling": "last", "pixels": False}


def test_bytes_of_maps_are_those_that_convolutions_give(gpu):
    assert gpu._bytes_of_maps(torch.nn.Conv2d(1, 2, 3), torch.rand(1, 1, 32, 32), 2) == 2 * 2 * 30 * 30


def test_a_part_that_fails_leaves_the_others(gpu, monkeypatch):
    def broken(*_):
        raise RuntimeError("CUDA error: out of memory")

    for name in ("_extraction", "_training", "_processes", "_resume"):
        monkeypatch.setattr(gpu, name, broken)
    result = gpu.run(repeat=1)
    notes = [row["note"] for row in result["table"]]
    assert sum("failed: RuntimeError: CUDA error" in note for note in notes) == 4
    assert notes[0].endswith("GB/s")
    assert not any(result["goals"].values())


def test_a_plate_on_the_internet_beside_the_disk(benches, monkeypatch):
    pytest.importorskip("obstore")
    from benches import common, remote

    monkeypatch.setattr(
        remote, "in_child", lambda function, *given, **options: common._measured(function, given, options)
    )
    result = remote.run(wells=2, sites=2, side=96, latency="5", objects=3000)
    disk, s3 = result["table"]
    assert (disk["way"], s3["way"]) == ("from the disk", "S3, 5 ms a request")
    assert s3["requests"] >= 20
    assert s3["fields/min"] > 0
    assert result["listing"]["objects"] == 3000
    assert "listing of 3,000 objects" in result["notes"][-1]
