"""Folders, sizes and records that once ended in a fault: each is refused by name, or done right."""

import json
import shutil
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest

from cytoimagenet_hf.core import boundary
from tests.running import call, refused

ROOT = Path(__file__).parents[2]
RECORD = {
    "config": {},
    "versions": {},
    "entries": [],
    "scores": [],
    "comparisons": [],
    "gains": [],
    "controls_note": "",
}
KERAS = {
    "links_in_a_circle": lambda file: file.update({"a": h5py.SoftLink("/b"), "b": h5py.SoftLink("/a")}),
    "a_layer_that_is_itself": lambda file: file.update({"layer": h5py.SoftLink("/layer")}),
    "a_layer_elsewhere": lambda file: file.update({"layer": h5py.ExternalLink("other.h5", "/")}),
    "a_layer_that_is_an_array": lambda file: file.update({"layer": np.zeros(3)}),
}


@pytest.mark.parametrize("name", KERAS)
def test_keras_files_with_links_are_refused(name, tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"a" if name == "links_in_a_circle" else b"layer"])
        KERAS[name](file)
    refused(call("cytoimagenet", "convert-keras", tmp_path / "weights.h5", "--output", tmp_path / "out"), "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", boundary.EXTRAS)
def test_advice_names_an_extra_that_there_is(package):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    said = boundary.explain(ModuleNotFoundError(name=package))
    assert said is not None
    assert said.split("[")[1].removesuffix("]'") in extras


@pytest.mark.parametrize("config", [[], 3, {"recipe": "corrected"}, {"recipe": [1]}])
def test_a_record_of_other_settings_makes_no_leaderboard(config, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(RECORD | {"config": config}))
    outcome = call("cytoimagenet", "leaderboard", tmp_path / "results.json", "--output", tmp_path / "page.html")
    refused(outcome, "results.json")


def test_the_demos_results_make_a_leaderboard(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"seed": 0, "benchmarks": RECORD}))
    outcome = call("cytoimagenet", "leaderboard", tmp_path / "results.json", "--output", tmp_path / "page.html")
    assert outcome.code == 0
    assert (tmp_path / "page.html").is_file()


def test_a_model_is_found_in_a_folder_with_a_blank(sound, tmp_path):
    model = shutil.copytree(sound / "model", tmp_path / "my model = best, 1")
    outcome = call("cytoimagenet", "extract", sound / "plate", "--model", model, "--output", tmp_path / "out")
    assert outcome.code == 0, outcome.said


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--image-size", "16"), "image_size 16 does not fit this network"),
        (("--model-config", "depth_coefficient=10000"), "depth_coefficient is 10000"),
        (("--model-config", "width_coefficient=0"), "width_coefficient is 0"),
    ],
)
def test_networks_that_cannot_be_are_refused_before_data_is_read(option, words, sound, tmp_path):
    small = (
        ("--model-config", "width_coefficient=0.125", "depth_coefficient=0.125") if "--image-size" in option else ()
    )
    outcome = call(
        *("train", "--dataset", sound / "dataset", "--output", tmp_path / "run", "--trackers"),
        *(*option, *small),
    )
    refused(outcome, words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("field", ["depth_coefficient", "num_hidden_layers"])
def test_a_configuration_of_ten_thousand_layers_is_refused_at_once(field, copied, sound, tmp_path):
    model = copied("model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {field: 1e4}))
    outcome = call("cytoimagenet", "extract", sound / "plate", "--model", model, "--output", tmp_path / "out")
    refused(outcome, field)


def test_an_index_of_weights_that_names_a_file_elsewhere_is_refused(copied, sound, tmp_path):
    model = copied("model")
    (model / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    index = {"metadata": {}, "weight_map": {"a": "../elsewhere.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    outcome = call("cytoimagenet", "extract", sound / "plate", "--model", model, "--output", tmp_path / "out")
    refused(outcome, "../elsewhere.safetensors")


@pytest.mark.parametrize("dose", ["1 uM", "one"])
def test_a_concentration_that_is_text_is_named_with_its_row(dose, copied, tmp_path):
    data = copied("bbbc021")
    table = data / "BBBC021_v1_image.csv"
    table.write_text(table.read_text().replace(",taxol,1.0,", f',taxol,"{dose}",'))
    (tmp_path / "wells.csv").write_text("Metadata_Plate,Metadata_Well,f1,f2\nWeek1_1,B02,1,2\nWeek1_1,B03,2,1\n")
    outcome = call(
        *("cytoimagenet", "benchmark", "--task", "bbbc021", "--data", data, "--features", tmp_path / "wells.csv"),
        *("--scaler", "all"),
    )
    refused(outcome, "BBBC021_v1_image.csv", dose)


@pytest.mark.parametrize(
    "split", ["--group image", "--group width", "--group x_min", "--group nosuch", "--split-scheme row"]
)
def test_a_split_goes_by_text_alone_and_is_refused_before_anything_is_made(split, tmp_path):
    (tmp_path / "raw").mkdir()
    outcome = call("builder", "build", "--raw", tmp_path / "raw", "--output", tmp_path / "out", *split.split())
    refused(outcome, split)
    assert not (tmp_path / "out").exists()
