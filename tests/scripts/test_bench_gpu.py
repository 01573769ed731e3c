"""`bench.py gpu` runs whole on a CPU at tiny sizes: the first accelerator that comes measures and does not debug."""

import torch

from scripts.benches import gpu


def test_every_part_runs_and_none_fails(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    # The compiler of a CPU takes a minute: what is tried here is that the compiled network trains.
    plain = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, **options: plain(network, backend="eager"))
    result = gpu.run(size=32, batch=8, images=16, files=8, processes=2, repeat=1, scale=0.2)
    rows = {row["what"]: row for row in result["table"]}
    assert [row for row in rows.values() if "failed" in row["note"]] == []
    rates = ("extraction, torch", "training, eager", "training, compiled")
    rates += ("files to features, 1 processes", "files to features, 2 processes")
    assert all(rows[what]["images/s"] > 0 for what in rates)
    assert rows["resumed training"]["note"].endswith(": 0")
    assert rows["SyncBatchNorm"]["note"] == "needs a GPU"
