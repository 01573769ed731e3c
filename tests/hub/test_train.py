"""Train from a dataset on the Hub, and push the model to it, over HTTP."""

import json

import pytest

from tests.datasets import foreign
from tests.hub.loopback import READ_TOKEN, Repository

RUN = """
import json, sys
from cytoimagenet_hf.training import TrainConfig, train
small = {{"width_coefficient": 0.125, "depth_coefficient": 0.125}}
config = TrainConfig.from_dict({{"output": "run", "image_size": 32, "batch_size": 8, "epochs": 2, "workers": 0,
    "trackers": [], "bn_batches": 0, "model_config": small}} | {options!r})
print(json.dumps(train(config)))
"""


@pytest.fixture
def beans(hub, tmp_path):
    """A dataset of 16 and 8 rows, with a tag at which it had 8 and 8."""
    for revision, rows in (("v1", 8), ("main", 16)):
        root = foreign(tmp_path / revision, {"train": rows, "validation": 8})
        files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.parquet")}
        repository = hub.repositories.setdefault(("datasets", "me/beans"), Repository(private=False))
        repository.revisions[revision] = files
        repository.revisions[repository.commit_id(revision)] = files
    return "me/beans"


@pytest.mark.parametrize("streaming", [False, True])
def test_a_revision_of_a_dataset_is_trained_on(client, beans, streaming: bool) -> None:
    options = {"dataset": f"hf:{beans}@v1", "epochs": 1, "streaming": streaming}
    client(RUN.format(options=options))
    history = client("import json; print(json.load(open('run/history.json'))[0]['images'])")
    assert history.split()[-1] == "8"


def test_a_revision_that_does_not_exist_is_one_line(client, beans) -> None:
    code, errors = client(
        "import sys; from cytoimagenet_hf.cli import main; sys.exit(main(['extract', 'hf:me/beans@v9', '--list']))",
        check=False,
    )
    assert (code, len(errors.strip().splitlines())) == (2, 1), errors
    assert "v9" in errors


def test_the_model_is_pushed_at_the_end_and_on_the_way(hub, client, beans) -> None:
    printed = client(RUN.format(options={"dataset": beans, "push_to_hub": "me/net", "push_every": 1}))
    assert "push_refused" not in json.loads(printed.splitlines()[-1])
    files = hub.files("models", "me/net")
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"} <= set(files)
    assert b"me/net" in files["README.md"]
    assert hub.repositories["models", "me/net"].private
    assert sum(line == "POST /api/models/me/net/commit/main" for line in hub.log) == 2


def test_a_push_that_is_refused_is_known_before_the_training(client, beans) -> None:
    code, errors = client(
        RUN.format(options={"dataset": beans, "push_to_hub": "me/net"}), check=False, token=READ_TOKEN
    )
    assert code
    assert "InputError: the Hub refused me/net (403)" in errors
