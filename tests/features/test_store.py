"""The resumable folder: interrupted, changed, damaged, contested, the bytes are those of one quiet run."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.folder import cached_features, extract_to_folder
from cytoimagenet_hf.features.store import locked
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.tables import read_features
from tests.features.plates import all_bytes, interrupted, plate_images, write_plate
from tests.tiny_encoder import tiny_encoder

SETTINGS = Extraction(shard_size=3, batch_size=4, workers=0)


@pytest.fixture
def plate(tmp_path):
    return write_plate(tmp_path / "plate")


def extract(images, output, *, settings=SETTINGS, **options):
    return extract_to_folder(tiny_encoder(), images, output, settings=settings, **options)


def test_interrupted_at_every_shard_and_resumed_gives_the_same_bytes(plate, tmp_path):
    (plate / "p1_B02_s1_er.tif").write_bytes(b"damaged")
    images = plate_images(plate)
    whole = extract(images, tmp_path / "whole")
    assert (whole.images, whole.kept, whole.shards, whole.shards_made_now) == (8, 7, 3, 3)
    assert [rejection.id for rejection in whole.rejected] == ["p1/B02/1"]
    for stop in range(3):
        output = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            extract(interrupted(images, at=3 * stop), output)
        resumed = extract(images, output)
        assert (resumed.shards_made_now, resumed.rejected) == (3 - stop, whole.rejected)
        assert all_bytes(output) == all_bytes(tmp_path / "whole")


def test_a_finished_folder_is_one_table_with_metadata_that_pandas_reads(plate, tmp_path):
    images = plate_images(plate)
    extract(images, tmp_path / "out")
    table = read_features(tmp_path / "out")
    direct = extract_features(tiny_encoder(), images)
    assert table.ids.tolist() == [image.id for image in images]
    np.testing.assert_allclose(table.values, direct.values, atol=1e-6)
    assert table.names == direct.names
    assert table.names[0] == "Image_dna_tiny_0000"
    frame = pd.read_parquet(tmp_path / "out")
    assert list(frame.columns) == ["id", "Metadata_Plate", "Metadata_Well", "Metadata_Site", "features"]
    assert frame["Metadata_Well"].tolist() == [f"B{well:02d}" for well in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert np.stack(frame["features"]).tolist() == table.values.tolist()
    assert extract(images, tmp_path / "out").shards_made_now == 0
    extract(images, tmp_path / "half", settings=replace(SETTINGS, storage="float16"))
    np.testing.assert_allclose(read_features(tmp_path / "half").values, table.values, rtol=1e-3, atol=1e-4)


def test_a_changed_image_is_noticed_and_its_shard_alone_made_again(plate, tmp_path):
    extract(plate_images(plate), tmp_path / "out")
    before = all_bytes(tmp_path / "out")
    tifffile.imwrite(plate / "p1_B01_s1_dna.tif", np.full((20, 20), 7, np.uint16))
    summary = extract(plate_images(plate), tmp_path / "out")
    assert (summary.shards_made_now, summary.shards_changed) == (1, 1)
    after = all_bytes(tmp_path / "out")
    changed = [name for name in after if after[name] != before[name]]
    assert changed == ["_shard-00000-of-00003.json", "features-00000-of-00003.parquet"]
    extract(plate_images(plate), tmp_path / "fresh")
    assert all_bytes(tmp_path / "fresh") == after


def test_a_damaged_or_lost_shard_is_made_again(plate, tmp_path):
    images, output = plate_images(plate), tmp_path / "out"
    extract(images, output)
    before = all_bytes(output)
    shard = output / "features-00001-of-00003.parquet"
    shard.write_bytes(before[shard.name][:-50] + bytes(50))
    (output / "features-00002-of-00003.parquet").unlink()
    (output / "_shard-00000-of-00003.json").write_text("{")
    assert extract(images, output).shards_made_now == 3
    assert all_bytes(output) == before


def test_a_third_of_the_files_damaged_leaves_the_rest_and_a_list(plate, tmp_path):
    files = sorted(plate.iterdir())[::3]
    for place, file in enumerate(files):
        file.write_bytes(b"" if place % 2 else file.read_bytes()[:100])
    hit = {file.name.rpartition("_")[0] for file in files}
    summary = extract(plate_images(plate), tmp_path / "out")
    assert summary.kept + len(summary.rejected) == summary.images == 8
    assert len(summary.rejected) == len(hit) == 6
    listed = json.loads((tmp_path / "out" / "_rejected.json").read_text())
    assert [entry["id"] for entry in listed] == [rejection.id for rejection in summary.rejected]
    assert all(".tif" in entry["reason"] for entry in listed)
    assert len(pd.read_parquet(tmp_path / "out")) == len(read_features(tmp_path / "out")) == 2


def test_a_shard_without_usable_images_and_none_at_all(plate, tmp_path):
    for file in sorted(plate.iterdir())[:6]:
        file.write_bytes(b"damaged")
    summary = extract(plate_images(plate), tmp_path / "out")
    assert (summary.kept, len(summary.rejected), summary.shards) == (5, 3, 3)
    assert len(read_features(tmp_path / "out")) == len(pd.read_parquet(tmp_path / "out")) == 5
    assert extract(plate_images(plate), tmp_path / "out").shards_made_now == 0
    with pytest.raises(InputError, match=r"none of the 3 images.*'p1/B01/1'"):
        extract(plate_images(plate)[:3], tmp_path / "none")


def test_a_folder_of_something_else_is_left_alone(plate, tmp_path):
    images, output = plate_images(plate), tmp_path / "out"
    extract(images, output)
    before = all_bytes(output)
    with pytest.raises(InputError, match="model_fingerprint"):
        extract_to_folder(tiny_encoder(factor=2), images, output, settings=SETTINGS)
    with pytest.raises(InputError, match="ids, images"):
        extract(images[:5], output)
    with pytest.raises(InputError, match="normalize"):
        extract_to_folder(tiny_encoder(normalize="none"), images, output, settings=SETTINGS)
    assert all_bytes(output) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        extract(images, tmp_path / "mine")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_two_processes_do_not_write_one_folder(plate, tmp_path):
    with locked(tmp_path / "out"), pytest.raises(InputError, match="another process"):
        extract(plate_images(plate), tmp_path / "out")


def test_out_of_memory_ends_the_run_without_a_refusal_and_it_continues(plate, tmp_path):
    images, full = plate_images(plate), tmp_path / "full"
    full.touch()
    encoder = tiny_encoder(failing=full)
    with pytest.raises(RuntimeError, match="allocate"):
        extract_to_folder(encoder, images, tmp_path / "out", settings=SETTINGS)
    assert list((tmp_path / "out").glob("features-*")) == []
    full.unlink()
    assert extract_to_folder(encoder, images, tmp_path / "out", settings=SETTINGS).kept == 8


def test_other_channels_than_the_rest_refuse_an_image_not_the_plate(plate, tmp_path):
    images = plate_images(plate)
    odd = replace(images[0], channels=("dna",), planes=images[0].planes[:1])
    summary = extract([odd, *images[1:]], tmp_path / "out")
    assert [rejection.id for rejection in summary.rejected] == [odd.id]
    assert "dna, er" in summary.rejected[0].reason


def test_cells_of_one_column_have_one_type_in_every_shard(plate, tmp_path):
    images = plate_images(plate)
    mixed = [
        replace(image, metadata=dict(image.metadata) | ({"dose": 1 if place < 6 else 0.5} if place > 3 else {}))
        for place, image in enumerate(images)
    ]
    mixed[7] = replace(mixed[7], metadata=dict(mixed[7].metadata) | {"compound": "x"})
    extract(mixed, tmp_path / "out")
    frame = pd.read_parquet(tmp_path / "out")
    assert frame["Metadata_dose"].tolist()[4:] == [1, 1, 0.5, 0.5]
    assert frame["Metadata_compound"].isna().sum() == 7


def test_a_dask_cluster_makes_the_same_table_and_refuses_other_weights(plate, tmp_path):
    distributed = pytest.importorskip("distributed")
    (plate / "p1_B02_s1_er.tif").write_bytes(b"damaged")
    images = plate_images(plate)
    local = extract(images, tmp_path / "local")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        settings = replace(SETTINGS, dask=cluster.scheduler_address)
        with pytest.raises(InputError, match="other weights"):
            extract(images, tmp_path / "other", load=partial(tiny_encoder, factor=2), settings=settings)
        summary = extract(images, tmp_path / "dask", load=partial(tiny_encoder), settings=settings)
    assert summary == local
    assert (summary.kept, summary.shards_made_now) == (7, 3)
    here, there = (read_features(tmp_path / name) for name in ("local", "dask"))
    assert here.ids.tolist() == there.ids.tolist()
    np.testing.assert_allclose(there.values, here.values, rtol=1e-6)
    pd.testing.assert_frame_equal(there.metadata, here.metadata)


def test_processes_of_several_devices_make_the_same_bytes(plate, tmp_path):
    images, two = plate_images(plate), replace(SETTINGS, device="cpu,cpu")
    extract(images, tmp_path / "one")
    extract(images, tmp_path / "two", load=partial(tiny_encoder), settings=two)
    assert all_bytes(tmp_path / "one") == all_bytes(tmp_path / "two")


def test_a_cache_is_keyed_by_network_and_pixels(plate, tmp_path):
    images, cache = plate_images(plate), tmp_path / "cache"
    table, rejected = cached_features(tiny_encoder(), images, cache=cache)
    assert (len(table), rejected) == (8, ())
    cached_features(tiny_encoder(), images, cache=cache)
    assert len(list(cache.iterdir())) == 1
    cached_features(tiny_encoder(), plate_images(write_plate(tmp_path / "other", gain=2)), cache=cache)
    assert len(list(cache.iterdir())) == 2
    cached_features(tiny_encoder(), images, cache=cache, settings=Extraction(batch_size=2))
    assert len(list(cache.iterdir())) == 3  # a choice that can change a number is no reason to reject


@pytest.mark.parametrize("what", ["removed", "empty", "linked"])
def test_a_folder_that_is_taken_away_meanwhile_is_not_written_into_again(what, plate, tmp_path):
    output, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    calls = iter(range(100))

    def take_away(images):
        if next(calls) == 4:  # within the second shard
            output.rename(tmp_path / "moved")
            if what != "removed":
                output.mkdir() if what == "empty" else output.symlink_to(elsewhere)

    with pytest.raises(InputError, match="was removed"):
        extract(plate_images(plate), output, advance=take_away)
    assert not list(elsewhere.iterdir())
    assert not output.exists() or not list(output.iterdir())
    assert len(list((tmp_path / "moved").glob("features-*"))) == 1
