"""`cytoimagenet extract`: what it lists, what it writes, what it says, and the five layouts of one plate."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.cli import main
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.tables import make_table, read_features, write_features
from scripts.simulate.plate_layouts import PLATE_LAYOUTS
from tests.features.plates import PATTERN, all_bytes, write_plate
from tests.images.plates import eight_fields


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    build_efficientnet(0, seed=0, width_coefficient=0.25, depth_coefficient=0.5).save_pretrained(folder)
    MicroscopyImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture
def run(capsys):
    """Run the command: exit code, output, and what went to the error stream."""

    def call(*arguments):
        code = main(["extract", *map(str, arguments)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_what_is_there_is_listed_without_a_model(tmp_path, run):
    plate = write_plate(tmp_path / "plate")
    (plate / "notes.txt").write_text("mine")
    (plate / "p1_B01_s1_er.tif").unlink()
    code, out, _ = run(plate, "--pattern", PATTERN, "--list", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["plates"] == {"p1": {"images": 8, "wells": 4, "sites": 2}}
    assert [channel["stain"] for channel in report["channels"]] == ["dna", "er"]
    assert report["rejected"] == [{"id": "p1/B01/1", "reason": "no file for channel er"}]
    assert any(entry["path"] == "notes.txt" for entry in report["ignored"])
    code, out, _ = run(plate, "--pattern", PATTERN, "--list")
    assert all(word in out for word in ("p1", "er", "no file for channel er"))


def test_rest_and_list_and_a_second_run_that_loads_no_network(tmp_path, model, run, monkeypatch):
    plate, output = write_plate(tmp_path / "plate", side=40), tmp_path / "out"
    (plate / "p1_B01_s1_er.tif").write_bytes(b"")
    arguments = (plate, "--pattern", PATTERN, "--model", model, "--output", output, "--json")
    code, out, _ = run(*arguments)
    summary = json.loads(out)
    assert (code, summary["images"], summary["kept"]) == (1, 8, 7)
    assert summary["rejected"][0]["id"] == "p1/B01/1"
    table = read_features(output)
    assert table.names[0].startswith("Image_dna_")
    assert table.about["model"] == str(model)
    before = all_bytes(output)
    monkeypatch.setattr("cytoimagenet_hf.networks.load_encoder", None)
    code, out, err = run(*arguments[:-1])
    assert (code, all_bytes(output)) == (1, before)
    assert "0 made now" in out
    assert "left out p1/B01/1" in err


def test_cells_are_rows_with_their_parents_place(tmp_path, model, run):
    plate, output = write_plate(tmp_path / "plate", wells=1, side=40), tmp_path / "out"
    cells = pd.DataFrame(
        {"Metadata_Well": ["B01", "B01", "B01"], "Metadata_Site": ["1", "1", "2"]}
        | {"Nuclei_Location_Center_X": [5.0, 12.0, 9.0], "Nuclei_Location_Center_Y": [4.0, 9.0, 9.0]}
        | {"ObjectNumber": [1, 2, 1]}
    )
    cells.to_csv(tmp_path / "nuclei.csv", index=False)
    asked = ("--cells", tmp_path / "nuclei.csv", "--cell-size", 40, "--normalize", "none")
    code, _, err = run(plate, "--pattern", PATTERN, "--model", model, "--output", output, *asked)
    assert code == 0, err
    frame = pd.read_parquet(output)
    assert frame["id"].tolist() == ["p1/B01/1/1", "p1/B01/1/2", "p1/B01/2/1"]
    assert frame["Metadata_Well"].tolist() == ["B01"] * 3
    assert read_features(output).about["normalize"] == "none"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "--model", "random:0", "--output", "out"), "does not exist"),
        (("plate",), "--model and --output"),
        (("plate", "--model", "random:0", "--output", "out", "--storage", "float8"), "storage"),
        (("plate", "--model", "random:0", "--output", "out", "--dtype", "int8"), "dtype"),
        (("plate", "--model", "random:0", "--output", "out", "--device", "nosuch"), "nosuch"),
        (("plate", "--model", "random:0", "--output", "out", "--normalize", "well"), "normalize"),
        (("plate", "--model", "random:0", "--output", "out", "--pooling", "none"), "pooling"),
        (("plate", "--model", "random:0", "--output", "out", "--dask", "tcp://127.0.0.1:9"), "Dask"),
    ],
)
def test_wrong_calls_are_one_line_and_write_nothing(tmp_path, run, monkeypatch, arguments, message):
    if message == "Dask":
        pytest.importorskip("distributed")
    write_plate(tmp_path / "plate", wells=1, sites=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cytoimagenet_hf.shards.executors.DASK_TIMEOUT", "0.5s")
    before = sorted(tmp_path.rglob("*"))
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before


def test_five_layouts_of_one_plate_give_equal_features_columns_and_metadata(tmp_path, model, run):
    pytest.importorskip("zarr")
    tables = {}
    for name in ("imagexpress", "phenix", "loaddata", "ometiff", "omezarr"):
        source = PLATE_LAYOUTS[name](tmp_path / name, "P-7", eight_fields(), seed=0)
        pattern = ("--pattern", "{plate}_{well}_s{site}.ome.tiff") if name == "ometiff" else ()
        code, _, err = run(source, *pattern, "--model", model, "--output", tmp_path / f"out-{name}", "--size", 40)
        assert code == 0, f"{name}: {err}"
        tables[name] = pd.read_parquet(tmp_path / f"out-{name}")
    first = tables["imagexpress"]
    assert list(first.columns) == ["id", "Metadata_Plate", "Metadata_Well", "Metadata_Site", "features"]
    assert first["Metadata_Well"].unique().tolist() == ["B02", "B11", "C02", "D10"]
    for name, table in tables.items():
        known = [column for column in table if column != "features"]
        pd.testing.assert_frame_equal(table[known], first[known], obj=name)
        np.testing.assert_allclose(np.stack(table["features"]), np.stack(first["features"]), atol=1e-6)
        assert read_features(tmp_path / f"out-{name}").names == read_features(tmp_path / "out-imagexpress").names


def test_a_table_is_read_without_torch(tmp_path):
    write_features(make_table(["a"], np.ones((1, 1), np.float32)), tmp_path / "t.csv")
    code = "import sys; from cytoimagenet_hf.tables import read_features; read_features('t.csv')"
    code += "; import cytoimagenet_hf.features.store; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
