"""The resumable folder and the command: interrupted and started again, the table is the same."""

import json
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
import torch
import typer
from typer.testing import CliRunner

from cytoimagenet_hf.cli import main
from cytoimagenet_hf.commands.convert_keras import command
from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features import as_matrix, extract_features, metadata_of, read_features
from cytoimagenet_hf.features.items import find_images
from cytoimagenet_hf.features.shards import extract_to_folder
from cytoimagenet_hf.models import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.models.backbones import load_backbone
from tests.closeness import assert_same_outputs


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("model")
    build_efficientnet(0, seed=0, width_coefficient=0.25, depth_coefficient=0.5).save_pretrained(folder)
    MicroscopyImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture
def plate(tmp_path):
    """Eleven fields of two channels, of two sizes; a01 … a11."""
    folder = tmp_path / "plate"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(1, 12):
        size = (36, 40) if number % 3 else (40, 40)
        for channel in (1, 2):
            tifffile.imwrite(folder / f"a{number:02d}_w{channel}.tif", rng.integers(0, 4000, size).astype(np.uint16))
    return folder


def all_bytes(folder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def assert_same_folder(found, expected) -> None:
    """The same files: the records byte for byte, the shards with the same schema, ids and features."""
    assert all_records(found) == all_records(expected)
    for file in expected.glob("*.parquet"):
        ours, theirs = pq.read_table(found / file.name), pq.read_table(file)
        assert ours.schema.equals(theirs.schema, check_metadata=True)
        assert ours["id"] == theirs["id"]
        assert_same_outputs(as_matrix(ours), as_matrix(theirs))


def all_records(folder) -> dict[str, bytes | None]:
    return {file.name: None if file.suffix == ".parquet" else file.read_bytes() for file in folder.iterdir()}


def exit_code(arguments, monkeypatch) -> int:
    monkeypatch.setattr(sys, "argv", ["cytoimagenet", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_interrupted_at_every_shard_and_resumed_gives_the_same_table(model, plate, tmp_path) -> None:
    items = find_images(plate, channels="{well}_w{c}.tif")
    (plate / "a05_w2.tif").write_bytes(b"damaged")
    options = {"shard_size": 3, "batch_size": 4, "channels": ["dna", "actin"]}
    whole = extract_to_folder(load_backbone(model), items, tmp_path / "whole", **options)
    assert (whole.images, whole.kept, whole.shards, whole.shards_made_now) == (11, 10, 4, 4)
    assert [refusal.id for refusal in whole.refused] == ["a05"]
    for stop in range(4):
        output = tmp_path / f"stopped-{stop}"
        poisoned = [_Stop(item.id) if number == 3 * stop else item for number, item in enumerate(items)]
        with pytest.raises(KeyboardInterrupt):
            extract_to_folder(load_backbone(model), poisoned, output, **options)
        resumed = extract_to_folder(load_backbone(model), items, output, **options)
        assert resumed.shards_made_now == 4 - stop
        assert resumed.refused == whole.refused
        assert_same_folder(output, tmp_path / "whole")


class _Stop:
    """An image during whose reading the run is interrupted."""

    def __init__(self, name) -> None:
        self.id = name

    def read(self):
        raise KeyboardInterrupt


def test_folder_is_one_table_equal_to_direct_extraction(model, plate, tmp_path) -> None:
    items = find_images(plate, channels="{well}_w{c}.tif")
    extract_to_folder(load_backbone(model), items, tmp_path / "out", shard_size=4, batch_size=64)
    table = read_features(tmp_path / "out")
    direct = extract_features(str(model), [item.read for item in items], ids=[item.id for item in items])
    assert table["id"].to_pylist() == [f"a{number:02d}" for number in range(1, 12)]
    np.testing.assert_allclose(as_matrix(table), as_matrix(direct), atol=1e-7)
    half = extract_to_folder(load_backbone(model), items, tmp_path / "half", storage="float16")
    assert half.features == 640
    np.testing.assert_allclose(as_matrix(read_features(tmp_path / "half")), as_matrix(direct), rtol=1e-3, atol=1e-6)


def test_a_shard_without_usable_images_and_none_at_all(model, plate, tmp_path) -> None:
    items = find_images(plate, channels="{well}_w{c}.tif")
    for number in (1, 2, 3):
        (plate / f"a{number:02d}_w1.tif").write_bytes(b"damaged")
    summary = extract_to_folder(load_backbone(model), items, tmp_path / "out", shard_size=3)
    assert (summary.kept, len(summary.refused), summary.shards) == (8, 3, 4)
    assert read_features(tmp_path / "out").num_rows == 8
    with pytest.raises(InputError, match="none of the 3 images"):
        extract_to_folder(load_backbone(model), items[:3], tmp_path / "none")


def test_a_folder_of_something_else_is_left_alone(model, plate, tmp_path) -> None:
    items, backbone = find_images(plate, channels="{well}_w{c}.tif"), load_backbone(model)
    extract_to_folder(backbone, items, tmp_path / "out")
    before = all_bytes(tmp_path / "out")
    with pytest.raises(InputError, match="method"):
        extract_to_folder(backbone, items, tmp_path / "out", method="merge-raw")
    with pytest.raises(InputError, match="ids, images"):
        extract_to_folder(backbone, items[:5], tmp_path / "out")
    assert all_bytes(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        extract_to_folder(backbone, items, tmp_path / "mine")


def test_command_reports_what_it_left_out(model, plate, tmp_path, monkeypatch, capsys) -> None:
    (plate / "a05_w2.tif").unlink()
    arguments = ["extract", str(plate), "--channels", "{well}_w{c}.tif", "--stains", "dna,actin"]
    arguments += ["--model", str(model), "--output", str(tmp_path / "out"), "--json"]
    assert exit_code(arguments, monkeypatch) == 1
    summary = json.loads(capsys.readouterr().out)
    assert (summary["images"], summary["kept"]) == (11, 10)
    assert summary["refused"] == [{"id": "a05", "reason": "lacks the file of channel 2"}]
    made_by = metadata_of(read_features(tmp_path / "out"))
    assert made_by["channels"] == ["dna", "actin"]
    assert made_by["model"] == str(model)


def test_command_refuses_wrong_calls(model, tmp_path, monkeypatch, capsys) -> None:
    arguments = ["extract", str(tmp_path / "none"), "--model", str(model), "--output", str(tmp_path / "out")]
    assert exit_code(arguments, monkeypatch) == 2
    assert "no folder, table, glob" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_convert_keras_command(tmp_path) -> None:
    app = typer.Typer()
    app.command()(command)
    (tmp_path / "text.h5").write_text("not HDF5")
    outcome = CliRunner().invoke(app, [str(tmp_path / "text.h5"), "--output", str(tmp_path / "out")])
    assert isinstance(outcome.exception, InputError)
    assert not (tmp_path / "out").exists()


def test_images_of_a_table_and_of_a_dataset(plate, tmp_path) -> None:
    rows = pd.DataFrame({"id": ["x", "y"], "dna": ["a01_w1.tif", "a02_w1.tif"], "actin": ["a01_w2.tif", "a02_w2.tif"]})
    rows.to_csv(plate / "table.csv", index=False)
    items = find_images(plate / "table.csv", channels="dna,actin")
    assert [item.id for item in items] == ["x", "y"]
    assert [file.name for file in items[1].read()] == ["a02_w1.tif", "a02_w2.tif"]
    joined = rows.assign(path=rows["dna"] + "|" + rows["actin"])[["id", "path"]]
    joined.to_parquet(tmp_path / "table.parquet")
    items = find_images(tmp_path / "table.parquet", root=plate)
    assert [file.name for file in items[0].read()] == ["a01_w1.tif", "a01_w2.tif"]
    rows.assign(dna="../../secret.tif").to_csv(plate / "table.csv", index=False)
    with pytest.raises(InputError, match="points outside"):
        find_images(plate / "table.csv", channels="dna,actin")
    with pytest.raises(InputError, match="no column 'gfp'"):
        find_images(plate / "table.csv", channels="gfp")
    rows.assign(id="x").to_csv(plate / "table.csv", index=False)
    with pytest.raises(InputError, match="'x' occurs twice"):
        find_images(plate / "table.csv", channels="dna")


def test_images_of_a_built_dataset(tmp_path) -> None:
    import datasets

    pixels = np.random.default_rng(0).integers(0, 255, (8, 9), np.uint8)
    features = datasets.Features({"image_id": datasets.Value("string"), "image": datasets.Image(mode="L")})
    rows = datasets.Dataset.from_dict({"image_id": ["b", "a"], "image": [pixels, pixels.T]}, features=features)
    (tmp_path / "built" / "data").mkdir(parents=True)
    rows.to_parquet(tmp_path / "built" / "data" / "train-00000-of-00001.parquet")
    items = find_images(tmp_path / "built")
    assert [item.id for item in items] == ["a", "b"]
    np.testing.assert_array_equal(np.asarray(items[1].read()), pixels)
    assert [item.id for item in find_images(f"hf:{tmp_path / 'built'}:train")] == ["a", "b"]


def test_images_of_folders_globs_and_patterns(plate, tmp_path) -> None:
    assert len(find_images(plate)) == 22
    assert [item.id for item in find_images(f"{plate}/a0[12]_w1.tif")] == ["a01_w1", "a02_w1"]
    (plate / "a01_w1.png").write_bytes(b"")
    assert {"a01_w1.png", "a01_w1.tif"} <= {item.id for item in find_images(plate)}
    nested = tmp_path / "screen" / "week1"
    nested.mkdir(parents=True)
    for channel in (10, 2):
        (nested / f"B02-s3-c{channel}.tif").write_bytes(b"")
    (item,) = find_images(tmp_path / "screen", channels="{well}-s{site}-c{c}.tif")
    assert item.id == "week1/B02-3"
    assert [file.name for file in item.read()] == ["B02-s3-c2.tif", "B02-s3-c10.tif"]
    with pytest.raises(InputError, match="no images"):
        find_images(nested, channels="{well}_{c}.png")
    with pytest.raises(InputError, match="once"):
        find_images(nested, channels="{well}.tif")
