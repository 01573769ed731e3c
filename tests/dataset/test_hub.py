"""What a push refuses before anything is sent: damaged data, and links out of the folder."""

import json
import os

import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256
from cytoimagenet_hf.dataset.hub import plan_push
from tests.datasets import write_dataset

SHARD = "data/train-00000-of-00001.parquet"


@pytest.fixture
def dataset(tmp_path):
    """A dataset whose manifest lists its files, and a private file beside it."""
    folder = write_dataset(tmp_path / "set", ["actin", "yeast"], {"train": [0, 1], "validation": [0]})
    files = {path.relative_to(folder).as_posix(): path for path in folder.glob("*/*.parquet")}
    listed = {
        name: {"bytes": path.stat().st_size, "rows": 1, "sha256": file_sha256(path)} for name, path in files.items()
    }
    data = {name: facts for name, facts in listed.items() if name.startswith("data/")}
    subsets = {toy: {name: listed[name] for name in listed if name.startswith(toy)} for toy in ("toy_20", "toy_50")}
    (folder / "manifest.json").write_text(json.dumps({"files": data, "channels": {}, "subsets": subsets}))
    (tmp_path / "private.parquet").write_bytes((folder / SHARD).read_bytes())
    return folder


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "private.json").write_text('{"key": "secret"}')
    return folder


def sent(folder, kind):
    return {file.path for file in plan_push(folder, "me/x", kind=kind, compare=False)}


def test_a_sound_dataset_is_planned_whole(dataset):
    assert {"README.md", "manifest.json", SHARD} <= sent(dataset, "dataset")


@pytest.mark.parametrize("name", [SHARD, "toy_20/train-00000-of-00001.parquet"])
def test_a_damaged_a_missing_and_a_foreign_file_are_named(dataset, name):
    content = (dataset / name).read_bytes()
    (dataset / name).write_bytes(content[:200] + b"\xff" + content[201:])
    with pytest.raises(InputError, match=f"{name}: content differs from what was published"):
        sent(dataset, "dataset")
    (dataset / name).unlink()
    with pytest.raises(InputError, match=f"{name}: absent"):
        sent(dataset, "dataset")
    (dataset / name).write_bytes(content)
    foreign = (dataset / name).with_name("train-00007-of-00009.parquet")
    foreign.write_bytes(content)
    with pytest.raises(InputError, match=f"{foreign.name}: not in the manifest"):
        sent(dataset, "dataset")


@pytest.mark.parametrize("content", ["{", '{"files": 3}', '{"files": {"data/a.parquet": {"bytes": 1}}}'])
def test_a_damaged_manifest_is_refused_and_another_programs_is_let_be(dataset, content):
    (dataset / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=r"manifest\.json is damaged"):
        sent(dataset, "dataset")
    (dataset / "manifest.json").write_text('{"name": "of a web page"}')
    assert SHARD in sent(dataset, "dataset")


def test_a_link_out_of_a_dataset_is_refused_as_file_and_as_folder(dataset, tmp_path):
    (dataset / "manifest.json").write_text("{}")
    link = dataset / "data" / "train-00001-of-00002.parquet"
    link.symlink_to(tmp_path / "private.parquet")
    with pytest.raises(InputError, match=f"{link.name} is a link that leads out of the folder"):
        sent(dataset, "dataset")
    link.unlink()
    (tmp_path / "elsewhere").mkdir()
    (dataset / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="figures is a link that leads out"):
        sent(dataset, "dataset")


def test_links_of_a_model_are_sent_only_where_they_stay_inside(model, tmp_path):
    (model / "NOTE.md").write_text("a note")
    (model / "README.md").symlink_to("NOTE.md")
    (model / "weights.bin").symlink_to(tmp_path / "private.json")  # does not travel
    assert sent(model, "model") == {"config.json", "model.safetensors", "NOTE.md", "README.md"}
    (model / "notes.json").symlink_to(tmp_path / "private.json")
    with pytest.raises(InputError, match=r"notes\.json is a link that leads out of the folder"):
        sent(model, "model")


def test_a_fifo_and_a_link_in_a_circle_end_at_once(model):
    os.mkfifo(model / "pipe.json")
    assert "pipe.json" not in sent(model, "model")
    (model / "loop.json").symlink_to("loop.json")
    with pytest.raises(InputError, match=r"loop\.json"):
        sent(model, "model")


def test_sharded_weights_travel_whole_or_not_at_all(model):
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    index = model / "model.safetensors.index.json"
    for named in ("model-00002-of-00002.safetensors", "../private.json"):
        index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": named}}))
        with pytest.raises(InputError, match=named):
            sent(model, "model")
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    assert index.name in sent(model, "model")
