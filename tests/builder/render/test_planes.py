"""The configuration `channels`: the same rows with their planes, equal to the gray images when merged."""

import dataclasses
import json
from dataclasses import replace

import datasets as hf
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from datasets import load_dataset

from builder import recipe as recipes
from builder.decode import decode_stored
from builder.publish import publish
from builder.render import render
from builder.sources.filter import SourceFilter
from builder.verify import verify
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.load import load_cytoimagenet
from cytoimagenet_hf.dataset.planes import channel_features, merge_planes, read_planes
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.training import TrainConfig
from cytoimagenet_hf.training.data import RowSource, decode
from cytoimagenet_hf.training.tables import load_tables
from tests.builder.tiny_builds import annotation, cells, tiny_build, write_tables
from tests.datasets import write_dataset
from tests.tiny_encoder import tiny_encoder

SMALL = recipes.load("corrected", {"min_images": "1"})


def table(output, folder):
    rows = [row for path in sorted(output.glob(f"{folder}/*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["image_id"]: row for row in rows}


def built(tmp_path, recipe=SMALL, **options):
    raw, output = tiny_build(tmp_path, fields=16, side=200)
    (raw / "tiny" / "tiny-0004_w0.tif").unlink()
    trimmed = np.pad(cells(5, side=150)[0], ((200, 30), (60, 300)))
    for channel in range(2):
        tifffile.imwrite(raw / "tiny" / f"tiny-0005_w{channel}.tif", trimmed)
    render(raw, output, recipe=recipe, seed=1, workers=1, keep_channels=True, **options)
    publish(output, recipe=recipe, seed=1)
    return raw, output.rename(tmp_path / "cytoimagenet")


def test_the_same_rows_and_the_same_images_when_merged(tmp_path):
    raw, output = built(tmp_path)
    gray, planes = table(output, "data"), table(output, "channels")
    assert list(gray) == list(planes)
    same = set(channel_features([])) & set(gray[next(iter(gray))]) - {"sha256"}
    assert {"label", "licence", "plate", "x_min", "crop", "idx", "width", "channels_missing"} <= same
    for image_id, row in planes.items():
        assert {name: row[name] for name in same} == {name: gray[image_id][name] for name in same}
        assert row["merges_to_gray"]
        assert np.array_equal(merge_planes(row), decode_stored(gray[image_id]["image"]["bytes"]))
        assert "|".join(row["stains"]) == gray[image_id]["channels"]
    whole = planes["tiny-0003-0"] if "tiny-0003-0" in planes else next(iter(planes.values()))
    field = tifffile.imread(raw / "tiny" / f"{whole['idx']}_w1.tif")
    box = (slice(whole["y_min"], whole["y_max"]), slice(whole["x_min"], whole["x_max"]))
    assert np.array_equal(read_planes(whole)[1], field[box])  # native: the very numbers of the file
    assert {len(row["stains"]) for row in planes.values()} == {1, 2}
    report = verify(output)
    assert (report.intact, report.images_decoded) == (True, 2 * len(gray))


def test_it_loads_by_name_and_streams_with_equal_splits(tmp_path, monkeypatch):
    _, output = built(tmp_path)
    monkeypatch.chdir(output.parent)
    loaded = load_dataset("cytoimagenet", "channels", cache_dir=str(tmp_path / "cache"))
    gray = load_dataset("cytoimagenet", cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].features == channel_features(["drug 0", "drug 1"])
    for split in ("train", "validation"):
        for name in ("image_id", "label"):
            assert list(loaded[split][name]) == list(gray[split][name])
    row, image = loaded["train"][0], gray["train"][0]["image"]
    assert np.asarray(row["planes"][0]).dtype == np.uint16
    assert np.array_equal(merge_planes(row), np.asarray(image))
    stream = load_dataset("cytoimagenet", "channels", split="validation", streaming=True)
    assert [row["image_id"] for row in stream] == list(loaded["validation"]["image_id"])


def test_licences_filter_both_configurations(tmp_path):
    raw, output = tmp_path / "raw", tmp_path / "output"
    (raw / "bbbc013").mkdir(parents=True)
    (raw / "kag_hpa").mkdir()
    rows = []
    for number in range(12):
        source = ("bbbc013", "kag_hpa")[number % 2]
        for channel, plane in enumerate(cells(number, side=80)):
            tifffile.imwrite(raw / source / f"{number}_{channel}.tif", plane)
        rows.append(annotation(f"{source}-{number}", [f"{source}/{number}_{c}.tif" for c in range(2)]))
    write_tables(output, rows, {row["idx"]: "cell" for row in rows})
    render(raw, output, recipe=SMALL, seed=0, workers=1, keep_channels=True)
    publish(output, recipe=SMALL, seed=0, sources=SourceFilter(licences=["cc-by"]))
    gray, planes = table(output, "data"), table(output, "channels")
    assert {row["dir_name"] for row in planes.values()} == {"bbbc013"}
    assert list(gray) == list(planes)


def test_eight_bits_come_near_and_say_so(tmp_path):
    _, output = built(tmp_path, dataclasses.replace(SMALL, channel_depth="8-bit"))
    gray = table(output, "data")
    for image_id, row in table(output, "channels").items():
        assert {plane.dtype for plane in read_planes(row)} == {np.dtype(np.uint8)}
        merged, stored = merge_planes(row), decode_stored(gray[image_id]["image"]["bytes"])
        assert np.abs(merged.astype(int) - stored).mean() < 4
        assert row["merges_to_gray"] == np.array_equal(merged, stored)


@pytest.mark.parametrize("kind", ["colour", "float", "deep"])
def test_planes_that_are_no_8_or_16_bit_gray(tmp_path, kind):
    raw, output = tmp_path / "raw", tmp_path / "output"
    raw.mkdir()
    plane = cells(0, side=100)[0]
    content = {
        "colour": np.dstack([plane >> 4, plane >> 5, plane >> 6]).astype(np.uint8),
        "float": (plane / 4096).astype(np.float32),
        "deep": plane.astype(np.int32) - 70_000,
    }[kind]
    tifffile.imwrite(raw / "w0.tif", content, photometric="rgb" if kind == "colour" else "minisblack")
    write_tables(output, [annotation("tiny-1", ["w0.tif"])], {"tiny-1": "drug"})
    render(raw, output, recipe=SMALL, seed=0, workers=1, keep_channels=True)
    publish(output, recipe=SMALL, seed=0)
    row = table(output, "channels")["tiny-1"]
    stored = decode_stored(table(output, "data")["tiny-1"]["image"]["bytes"])
    merged = merge_planes(row)
    assert row["merges_to_gray"] == np.array_equal(merged, stored)
    assert np.abs(merged.astype(int) - stored).max() <= 1
    assert row["merges_to_gray"] or kind == "float"


def test_planes_come_and_go_with_the_option_and_the_gray_images_stay(tmp_path):
    raw, output = tiny_build(tmp_path, fields=12, side=80)
    render(raw, output, recipe=SMALL, seed=1, workers=1)
    publish(output, recipe=SMALL, seed=1)
    before = {path.name: path.read_bytes() for path in output.glob("data/*")}
    shards = {path.name: path.read_bytes() for path in output.glob("shards/shard-*")}
    assert not (output / "channels").exists()
    render(raw, output, recipe=SMALL, seed=1, workers=1, keep_channels=True)
    publish(output, recipe=SMALL, seed=1)
    assert {path.name: path.read_bytes() for path in output.glob("data/*")} == before
    assert {path.name: path.read_bytes() for path in output.glob("shards/shard-*")} == shards
    planes = {path.name: path.read_bytes() for path in output.glob("channels/*")}
    changed = raw / "tiny" / "tiny-0003_w0.tif"
    tifffile.imwrite(changed, tifffile.imread(changed)[::-1].copy(), software="another time")
    render(raw, output, recipe=SMALL, seed=1, workers=1, keep_channels=True)
    publish(output, recipe=SMALL, seed=1)
    assert {path.name: path.read_bytes() for path in output.glob("channels/*")} != planes
    assert verify(output).intact
    manifest = json.loads((output / "manifest.json").read_text())
    assert sum(facts["rows"] for facts in manifest["channels"].values()) == 12
    for path in output.glob("shards/channels-*"):
        path.unlink()
    publish(output, recipe=SMALL, seed=1)
    assert not (output / "channels").exists()


def test_the_trainer_takes_each_plane_as_an_image_with_the_label_of_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    _, output = built(tmp_path)
    planes = table(output, "channels")
    config = TrainConfig(dataset=str(output), output=str(tmp_path / "run"), configuration="channels", batch_size=4)
    tables = load_tables(config)
    ids = {name for part in tables.values() for name in part.ids.tolist()}
    assert ids == {f"{image_id}/{n}" for image_id, row in planes.items() for n in range(len(row["stains"]))}
    for part in tables.values():
        owners = [planes[name.rpartition("/")[0]] for name in part.ids.tolist()]
        assert part.labels.tolist() == [row["label"] for row in owners]
        for n, (name, stored) in enumerate(zip(part.ids.tolist(), part.encoded(range(len(part))), strict=True)):
            row, place = owners[n], int(name.rpartition("/")[2])
            low, high = row["plane_low"][place], row["plane_high"][place]
            field = read_planes(row)[place].astype(float) / row["plane_scale"][place] + row["plane_offset"][place]
            expected = np.clip((field - low) / (high - low), 0, 1) * 255
            assert np.abs(decode(stored, row["width"]) - expected).max() <= 1
    source = RowSource(tables, replace(config, image_size=32, workers=0), caches=None, rank=0, processes=1)
    batch = next(source.training(0))
    assert batch.pixels.shape == (4, 32, 32)
    assert load_tables(replace(config, configuration="default"))["train"].fingerprint != tables["train"].fingerprint
    with pytest.raises(InputError, match="streaming reads gray images"):
        replace(config, streaming=True)


def test_encoders_get_all_planes_of_a_row_named_by_their_stains(tmp_path, monkeypatch):
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    _, output = built(tmp_path)
    planes = table(output, "channels")
    images = {image.id: image for image in find_images(output, image_column="planes")}
    assert set(images) == set(planes)
    for image_id, image in images.items():
        assert set(image.channels) == {"actin", "nucleus"}
        if len(planes[image_id]["stains"]) < 2:
            assert image.reason_against()  # a stain that its field lacks
            continue
        by_stain = dict(zip(planes[image_id]["stains"], read_planes(planes[image_id]), strict=True))
        for stain, pixels in zip(image.channels, image.read(), strict=True):
            assert pixels.dtype == np.uint16
            assert np.array_equal(pixels, by_stain[stain])
    (nuclei,) = {image.channels for image in find_images(output, image_column="planes", channels="nucleus")}
    assert nuclei == ("nucleus",)


def test_features_of_all_stains_come_from_the_planes_that_load_dataset_gives(tmp_path, monkeypatch):
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    _, output = built(tmp_path)
    rows = [row for part in load_dataset(str(output), "channels").values() for row in part]
    encoder = tiny_encoder()
    whole = [image for image in find_images(output, image_column="planes") if not image.reason_against()]
    features = extract_features(encoder, whole, ids=[image.id for image in whole])
    assert len(features.ids) == sum(len(row["stains"]) == 2 for row in rows) > 20
    (order,) = {image.channels for image in whole}
    of_image = dict(zip(features.ids, features.values, strict=True))
    for row in rows:
        if len(row["stains"]) < 2:
            assert row["image_id"] not in of_image
            continue
        planes = dict(zip(row["stains"], map(np.asarray, row["planes"]), strict=True))
        stack = np.stack([planes[stain] for stain in order])[None]
        expected = encoder.encode(stack, stains=list(order))[0]
        np.testing.assert_allclose(of_image[row["image_id"]], expected, rtol=1e-4, atol=1e-5)


def test_a_dataset_without_planes_says_how_to_keep_them(tmp_path, monkeypatch):
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = write_dataset(tmp_path / "gray", ["actin"], {"train": [0], "validation": [0]})
    for ask in (
        lambda: load_cytoimagenet(folder, configuration="channels"),
        lambda: find_images(folder, image_column="planes"),
    ):
        with pytest.raises(InputError, match="--keep-channels"):
            ask()
