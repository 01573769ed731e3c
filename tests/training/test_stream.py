import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training import train
from cytoimagenet_hf.training.stream import StreamSource, deal_rows
from cytoimagenet_hf.training.tables import load_tables
from tests.datasets import foreign
from tests.training.conftest import ROWS, write_shapes, write_spoiled


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


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_unequal_files_are_dealt_by_rows(processes: int) -> None:
    sizes = [100] * 51 + [64, 100, 100, 100, 100, 100, 71]  # 5,164 rows in one file and 571 in another
    order = np.random.default_rng(0).permutation(len(sizes)).tolist()
    parts = [deal_rows(sizes, processes=processes, rank=rank, order=order) for rank in range(processes)]
    rows = [[(piece.group, row) for piece in part for row in range(piece.first, piece.end)] for part in parts]
    assert max(map(len, rows)) - min(map(len, rows)) <= 1
    assert sorted(row for part in rows for row in part) == [
        (g, n) for g, size in enumerate(sizes) for n in range(size)
    ]


@given(sizes=st.lists(st.integers(0, 50), max_size=12), processes=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_row_is_dealt_once(sizes: list[int], processes: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(sizes)).tolist()
    parts = [deal_rows(sizes, processes=processes, rank=rank, order=order) for rank in range(processes)]
    rows = [(piece.group, row) for part in parts for piece in part for row in range(piece.first, piece.end)]
    assert sorted(rows) == [(group, row) for group, size in enumerate(sizes) for row in range(size)]


def test_what_an_epoch_covers_is_said(config) -> None:
    source = StreamSource(streamed(config, batch_size=20), rank=0, processes=2)
    assert source.coverage == (
        "streaming: an epoch draws 80 of 96 rows, each once, 40 on each of 2 processes; 16 rows do not fill a step, "
        "others in each epoch"
    )
    drawn = [item for rank in (0, 1) for epoch in (0, 1, 2) for item in ids_of(config, rank, epoch)]
    assert set(drawn) == {f"train-{number}" for number in range(96)}


def ids_of(config, rank: int, epoch: int) -> list[str]:
    source = StreamSource(streamed(config, batch_size=20), rank=rank, processes=2)
    return [item for batch in source.training(epoch) for item in batch.ids]


def test_labels_and_schemes_are_streamed_as_they_are_loaded(config) -> None:
    options: dict = {"subset": ["rings", "stripes"], "split_scheme": "published", "batch_size": 8}
    source = StreamSource(streamed(config, **options), rank=0, processes=1)
    tables = load_tables(config(**options))
    assert source.classes == tables["train"].classes == ("rings", "stripes")
    for name, batches in (("train", source.training(0)), ("validation", source.validation(8))):
        labels = {item: int(label) for batch in batches for item, label in zip(batch.ids, batch.labels, strict=True)}
        stored = dict(zip(tables[name].ids.tolist(), tables[name].labels.tolist(), strict=True))
        assert labels.items() <= stored.items()
        assert len(labels) >= len(stored) - 7
    with pytest.raises(InputError, match="category"):
        StreamSource(streamed(config, subset=["category:compound"]), rank=0, processes=1)


def test_any_dataset_is_streamed(config, tmp_path) -> None:
    root = foreign(tmp_path / "beans", label="rust", kind="string")
    source = StreamSource(streamed(config, dataset=str(root), label_column="rust"), rank=0, processes=1)
    assert source.classes == ("no", "yes")
    ids = [item for batch in source.training(0) for item in batch.ids]
    assert len(set(ids)) == len(ids) == 32
    (root / "data" / "validation-00000-of-00001.parquet").unlink()
    with pytest.raises(InputError, match="no validation split, and a stream draws none"):
        StreamSource(streamed(config, dataset=str(root), label_column="rust"), rank=0, processes=1)


def test_an_unreadable_row_stops_or_is_skipped(config, tmp_path) -> None:
    spoiled = write_spoiled(tmp_path / "stream", "train-70")
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
    assert fingerprint(write_spoiled(tmp_path / "other", "train-70")) != fingerprint(shapes)
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
