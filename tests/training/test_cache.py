import io
import json

import numpy as np
import pytest
from PIL import Image

from cytoimagenet_hf.core.ahead import map_ahead
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training.data import RowSource, decode, open_cache
from cytoimagenet_hf.training.tables import load_tables
from tests.training.conftest import write_spoiled


@pytest.fixture
def train_table(config):
    return load_tables(config())["train"]


def spoiled(folder):
    """The shapes with one image cut short, which opens but cannot be decoded."""
    stored = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)).save(stored, "PNG")
    return write_spoiled(folder, "train-5", content=stored.getvalue()[:200])


def test_decoding_is_pillows_bilinear() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    expected = np.asarray(Image.fromarray(pixels).resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(decode(stored.getvalue(), 16), expected)
    for bad in (None, b"", b"no image", stored.getvalue()[:300]):
        with pytest.raises(InputError, match="cannot be decoded"):
            decode(bad, 16)


def caches_of(tables, folder, *, skip=False):
    return {
        name: open_cache(table, name=name, size=32, folder=folder, workers=2, skip=skip)
        for name, table in tables.items()
    }


def test_the_cache_gives_what_decoding_gives(config, tmp_path) -> None:
    tables = load_tables(config())
    caches = caches_of(tables, tmp_path / "cache")
    cached = RowSource(tables, config(), caches=caches, rank=1, processes=2)
    direct = RowSource(tables, config(workers=1), caches=None, rank=1, processes=2)
    batches = list(zip(cached.training(3, start=2), direct.training(3, start=2), strict=True))
    assert len(batches) == 96 // 16 - 2
    for cached, decoded in batches:
        assert cached.ids == decoded.ids
        assert cached.pixels.shape == (8, 32, 32)
        assert (cached.pixels == decoded.pixels).all()
        assert (cached.labels == decoded.labels).all()


def test_it_is_written_once_and_again_only_for_other_data(train_table, tmp_path) -> None:
    def opened():
        return open_cache(train_table, name="train", size=16, folder=tmp_path, workers=2, skip=False)

    first = opened().images.clone()
    (file,) = tmp_path.glob("*.u8")
    written = file.stat().st_mtime_ns
    assert (opened().warm().images == first).all()
    assert file.stat().st_mtime_ns == written
    record = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps(record | {"fingerprint": "of other data"}))
    file.write_bytes(b"\0" * file.stat().st_size)
    assert (opened().images == first).all()  # decoded anew
    file.write_bytes(file.read_bytes()[:-1])  # cut short
    assert (opened().images == first).all()


def test_an_unreadable_row_stops_and_leaves_nothing(config, tmp_path) -> None:
    table = load_tables(config(dataset=spoiled(tmp_path / "spoiled")))["train"]
    with pytest.raises(InputError, match=r"image 'train-5' cannot be decoded .* --on-unreadable skip"):
        open_cache(table, name="train", size=16, folder=tmp_path / "cache", workers=2, skip=False)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_row_stops_without_a_cache(config, tmp_path, workers) -> None:
    settings = config(dataset=spoiled(tmp_path / "spoiled"), workers=workers)
    source = RowSource(load_tables(settings), settings, caches=None, rank=0, processes=1)
    with pytest.raises(InputError, match=r"spoiled, split train: image 'train-5' cannot be decoded"):
        list(source.training(0))


def test_skipped_rows_are_missing_from_their_batch_alone(config, tmp_path) -> None:
    settings = config(dataset=spoiled(tmp_path / "spoiled"), on_unreadable="skip")
    tables = load_tables(settings)
    caches = caches_of(tables, tmp_path / "cache", skip=True)
    both = [RowSource(tables, settings, caches=use, rank=0, processes=1) for use in (caches, None)]
    cached, direct = (list(source.training(0)) for source in both)
    assert sum(len(batch.ids) for batch in cached) == 95
    short = next(batch for batch in cached if len(batch.ids) == 15)
    assert len(set(short.slots.tolist())) == 15
    assert [batch.ids for batch in cached] == [batch.ids for batch in direct]
    assert [batch.slots.tolist() for batch in cached] == [batch.slots.tolist() for batch in direct]


def test_work_ahead_keeps_the_order_and_passes_errors_on() -> None:
    assert list(map_ahead(lambda n: n * n, range(10))) == [n * n for n in range(10)]
    with pytest.raises(ZeroDivisionError):
        list(map_ahead(lambda n: 1 // n, [1, 0]))
