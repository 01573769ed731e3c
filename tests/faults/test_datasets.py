"""What reads a built dataset: damaged ones, and names of none."""

import pytest

from tests.faults.folders import DATASETS, PICTURES, snapshot
from tests.faults.names import DATASETS as NAMES
from tests.faults.names import MODELS, REPOSITORIES
from tests.running import bounded, call, refused, unchanged

READERS = {
    "leaks": ("leaks", "{data}"),
    "explore": ("explore", "{data}", "--json"),
    "diversity": ("diversity", "{data}", "--model", "{sound}/model", "--output", "{tmp}/out"),
    "extract": ("extract", "{data}", "--model", "{sound}/model", "--output", "{tmp}/out"),
}
HARMLESS = {
    *(("leaks", name) for name in ("no_image", "label_is_text", "card_is_binary", "card_is_no_yaml")),
    *(("extract", name) for name in ("no_label", "label_is_text", "card_is_binary", "card_is_no_yaml")),
    *((reader, name) for reader in ("explore", "diversity") for name in ("card_is_binary", "card_is_no_yaml")),
    *((reader, "no_label") for reader in ("leaks",)),
    *((reader, name) for reader in ("leaks", "explore") for name in ("damaged_shard", "damaged_lengths")),
}
"""What a reader has no need of may be missing, or damaged: leaks and explore --json open no picture."""
RECORDED = {("extract", "damaged_shard"), ("extract", "damaged_lengths"), ("diversity", "damaged_shard")}
"""A picture that cannot be decoded is a recorded rejection; without lengths, all pictures after the first are."""


@pytest.mark.parametrize("name", [*DATASETS, *PICTURES])
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_dataset(reader, name, sound, copied, tmp_path):
    folder = copied("dataset")
    {**DATASETS, **PICTURES}[name](folder)
    arguments = [text.format(data=folder, sound=sound, tmp=tmp_path) for text in READERS[reader]]
    outcome = call("cytoimagenet", *arguments)
    if (reader, name) in HARMLESS or name in PICTURES:
        bounded(outcome)
        return
    if (reader, name) in RECORDED:
        bounded(outcome)
        assert outcome.code in (0, 1)
        assert "cannot be decoded" in outcome.said
        assert str(folder) in outcome.said
        return
    refused(outcome, "dataset")
    assert not list(tmp_path.glob("out/*.parquet"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reader", READERS)
def test_a_name_of_no_dataset(reader, name, sound, tmp_path):
    (tmp_path / "a_file.txt").write_text("text\n")
    (tmp_path / "empty").mkdir()
    given = NAMES[name].format(file=tmp_path / "a_file.txt", empty=tmp_path / "empty")
    before = snapshot(tmp_path)
    arguments = [text.format(data=given, sound=sound, tmp=tmp_path) for text in READERS[reader]]
    outcome = call("cytoimagenet", *arguments)
    refused(outcome)
    unchanged(before, snapshot(tmp_path))


@pytest.mark.parametrize("name", MODELS)
def test_a_name_of_no_model(name, sound, tmp_path):
    import torch

    (tmp_path / "a_file.txt").write_text("text\n")
    (tmp_path / "empty").mkdir()
    torch.save({"weights": torch.ones(2)}, tmp_path / "weights.pt")
    given = MODELS[name].format(file=tmp_path / "a_file.txt", empty=tmp_path / "empty", pickle=tmp_path / "weights.pt")
    outcome = call("cytoimagenet", "extract", sound / "plate", "--model", given, "--output", tmp_path / "out")
    refused(outcome)
    assert not list(tmp_path.glob("out/*.parquet"))


@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_name_of_no_repository(name, sound):
    refused(call("cytoimagenet", "push", "model", sound / "model", REPOSITORIES[name], "--dry-run"))
