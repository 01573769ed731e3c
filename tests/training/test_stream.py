import json
from pathlib import Path

import datasets as hf
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training import train
from cytoimagenet_hf.training.stream import StreamSource
from tests.training.conftest import ROWS, write_shapes


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` waits five seconds for its reading threads after each pass over interleaved shards."""
    monkeypatch.setattr(hf.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


def streamed(config, **changed):
    return config(streaming=True, cache="none", **changed)


def test_processes_read_different_rows_and_none_twice(config) -> None:
    sources = [StreamSource(streamed(config, batch_size=24), rank=rank, processes=3) for rank in range(3)]
    assert sources[0].steps == ROWS["train"] // 24
    seen = [item for source in sources for batch in source.training(0) for item in batch.ids]
    assert len(seen) == 96
    assert set(seen) == {f"train-{number}" for number in range(96)}
    scored = [item for source in sources for batch in source.validation(8) for item in batch.ids]
    assert sorted(scored) == sorted(f"validation-{number}" for number in range(23))


def test_the_order_is_a_function_of_seed_and_epoch_and_can_be_entered_anywhere(config) -> None:
    source = StreamSource(streamed(config), rank=0, processes=1)
    whole = [batch.ids for batch in source.training(1)]
    assert [batch.ids for batch in source.training(1, start=4)] == whole[4:]
    assert [batch.ids for batch in source.training(2)] != whole
    again = StreamSource(streamed(config), rank=0, processes=1)
    assert [batch.ids for batch in again.training(1)] == whole


def test_workers_share_the_shards(config) -> None:
    source = StreamSource(
        streamed(config, workers=2), rank=0, processes=1
    )  # three shards: one or three workers, not two
    seen = [item for batch in source.training(0) for item in batch.ids]
    assert sorted(seen) == sorted(f"train-{number}" for number in range(96))


def test_shards_that_cannot_be_shared_are_refused(config) -> None:
    with pytest.raises(InputError, match="3 training shards cannot be shared evenly by 2 processes"):
        StreamSource(streamed(config), rank=0, processes=2)
    with pytest.raises(InputError, match="category"):
        StreamSource(streamed(config, subset=["category:compound"]), rank=0, processes=1)


def test_an_unreadable_row_stops_or_is_skipped(config, tmp_path) -> None:
    def spoil(row):
        return row | ({"image": {"bytes": b"no image", "path": None}} if row["image_id"] == "train-70" else {})

    spoiled = str(write_shapes(tmp_path / "stream", change=spoil))
    with pytest.raises(InputError, match="'train-70' cannot be decoded"):
        list(StreamSource(streamed(config, dataset=spoiled), rank=0, processes=1).training(0))
    skipping = StreamSource(streamed(config, dataset=spoiled, on_unreadable="skip"), rank=0, processes=1)
    assert sum(len(batch.ids) for batch in skipping.training(0)) == 95


def test_a_streamed_run_trains_and_scores_every_row(config) -> None:
    settings = streamed(config)
    assert train(settings)["rows"] == ROWS["validation"]
    (epoch,) = json.loads((Path(settings.output) / "history.json").read_text())
    assert (epoch["images"], epoch["skipped"]) == (ROWS["train"], 0)


def test_other_files_are_other_data(config, shapes, tmp_path) -> None:
    def fingerprint(folder) -> str:
        return StreamSource(streamed(config, dataset=str(folder)), rank=0, processes=1).fingerprint

    same = write_shapes(tmp_path / "same")
    assert fingerprint(same) == fingerprint(shapes)

    def spoil(row):
        return row | ({"image": {"bytes": b"other", "path": None}} if row["image_id"] == "train-70" else {})

    assert fingerprint(write_shapes(tmp_path / "other", change=spoil)) != fingerprint(shapes)
    # A published dataset states the hash of each file: a change of equal size is seen, too.
    by_hash = []
    others: dict[str, dict] = {name: {} for name in ("labels", "class_counts", "statistics", "sources")}
    for digest in ("a", "b"):
        files = {"data/train-00000-of-00003.parquet": {"sha256": digest}}
        (same / "manifest.json").write_text(json.dumps({"files": files, **others}))
        by_hash.append(fingerprint(same))
    assert len({*by_hash, fingerprint(shapes)}) == 3


def test_resuming_a_stream_of_other_data_is_refused(config, tmp_path) -> None:
    folder = write_shapes(tmp_path / "stream")
    train(streamed(config, dataset=str(folder)))
    write_shapes(folder, change=lambda row: row | {"compound": "another"})
    with pytest.raises(InputError, match="data: fingerprint"):
        train(streamed(config, dataset=str(folder), epochs=1), resume=True)
