"""Train from a dataset on the Hub, and push the model to it, over HTTP."""

import json

import pytest

from tests.datasets import foreign
from tests.hub.loopback import READ_TOKEN, Repository

RUN = """
import contextlib, io, json, sys
from cytoimagenet_hf.cli import main
from cytoimagenet_hf.training import TrainConfig, train

def run(output, **options):
    small = {"width_coefficient": 0.125, "depth_coefficient": 0.125}
    base = {"output": output, "image_size": 32, "batch_size": 8, "epochs": 1, "workers": 0, "trackers": []}
    result = train(TrainConfig.from_dict(base | {"bn_batches": 0, "model_config": small} | options))
    return result, json.load(open(f"{output}/history.json"))

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


def test_a_revision_is_trained_on_and_the_model_pushed_on_the_way_and_at_the_end(hub, client, beans) -> None:
    printed = client(
        RUN
        + """
result, history = run("whole", dataset="hf:me/beans@v1", epochs=2, push_to_hub="me/net", push_every=1)
_, streamed = run("streamed", dataset="me/beans", revision="v1", streaming=True)
said = io.StringIO()
with contextlib.redirect_stderr(said):
    code = main(["extract", "hf:me/beans@v9", "--list"])
print(json.dumps([history[0]["images"], streamed[0]["images"], "push_refused" in result, code, said.getvalue()]))
"""
    )
    whole, streamed, refused, code, said = json.loads(printed.splitlines()[-1])
    assert (whole, streamed, refused) == (8, 8, False)  # of 16 rows today
    files = hub.files("models", "me/net")
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"} <= set(files)
    assert b"me/net" in files["README.md"]
    assert hub.repositories["models", "me/net"].private
    assert sum(line == "POST /api/models/me/net/commit/main" for line in hub.log) == 2
    assert code == 2
    assert "v9" in said
    assert len(said.strip().splitlines()) == 1


def test_a_push_that_is_refused_is_known_before_the_training(client, beans) -> None:
    code, errors = client(RUN + "run('net', dataset='me/beans', push_to_hub='me/net')", check=False, token=READ_TOKEN)
    assert code
    assert "InputError: the Hub refused me/net (403)" in errors
