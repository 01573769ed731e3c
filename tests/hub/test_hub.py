"""Push and load with the real clients over HTTP, each in a process of its own: the endpoint is read at import."""

import json
import os
import subprocess
import sys

import pytest

from tests.datasets import write_dataset
from tests.hub.loopback import TOKEN, serve


@pytest.fixture
def hub():
    with serve() as running:
        yield running


@pytest.fixture
def client(hub, tmp_path):
    """Run a Python program, or a `cytoimagenet` command, as a user of this Hub; returns what it printed."""

    def run(*arguments, token=TOKEN, check=True):
        environment = os.environ | {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": token,
        }
        command = [sys.executable, *(["-c", *arguments] if len(arguments) == 1 else ["-m", *arguments])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
        if check:
            assert done.returncode == 0, done.stderr[-3000:]
            return done.stdout
        return done

    return run


@pytest.fixture
def dataset(tmp_path):
    folder = write_dataset(
        tmp_path / "cytoimagenet", ["actin", "yeast"], {"train": [0, 0, 1, 1], "validation": [0, 1]}
    )
    (folder / "annotations.parquet").write_bytes(b"stays at home")
    return folder


def push(client, folder, *options, **keywords):
    return client("cytoimagenet_hf", "push", "dataset", str(folder), "me/cytoimagenet", *options, **keywords)


def test_a_pushed_dataset_is_private_and_loads_whole_streaming_and_by_subset(hub, client, dataset):
    push(client, dataset, "--tag", "v1")
    assert hub.repositories["datasets", "me/cytoimagenet"].private
    assert "annotations.parquet" not in hub.files("datasets", "me/cytoimagenet")
    printed = client(
        "import json\n"
        "from datasets import load_dataset\n"
        "from cytoimagenet_hf.data import load_cytoimagenet\n"
        "whole = load_dataset('me/cytoimagenet', revision='v1')\n"
        "stream = load_dataset('me/cytoimagenet', streaming=True, split='train')\n"
        "columns = load_dataset('me/cytoimagenet', split='train', columns=['label', 'idx'])\n"
        "subset = load_cytoimagenet('me/cytoimagenet', subset=['yeast'])\n"
        "print(json.dumps([{k: len(v) for k, v in whole.items()}, whole['train'].features['label'].names,\n"
        "    [row['idx'] for row in stream], columns.column_names,\n"
        "    subset['train']['idx'][:], subset['train']['label'][:]]))"
    )
    sizes, names, streamed, columns, kept, codes = json.loads(printed.splitlines()[-1])
    assert sizes == {"train": 4, "validation": 2}
    assert names == ["actin", "yeast"]
    assert streamed == ["train-0", "train-1", "train-2", "train-3"]
    assert columns == ["label", "idx"]
    assert kept == ["train-2", "train-3"]
    assert codes == [0, 0]


def test_a_second_push_sends_only_what_changed_and_removes_stale_shards(hub, client, dataset):
    push(client, dataset)
    sent = len(hub.uploaded)
    again = json.loads(push(client, dataset, "--json"))
    assert {file["status"] for file in again} == {"same"}
    assert len(hub.uploaded) == sent
    shard = dataset / "data" / "validation-00000-of-00001.parquet"
    shard.rename(shard.with_name("validation-00000-of-00002.parquet"))
    push(client, dataset)
    assert len(hub.uploaded) == sent  # the same bytes under another name are known to the store
    paths = set(hub.files("datasets", "me/cytoimagenet"))
    assert "data/validation-00000-of-00002.parquet" in paths
    assert "data/validation-00000-of-00001.parquet" not in paths


def test_a_dry_run_lists_files_and_sizes_and_sends_nothing(hub, client, dataset):
    planned = json.loads(push(client, dataset, "--dry-run", "--json"))
    assert {file["path"]: file["status"] for file in planned} == {
        "README.md": "new",
        "manifest.json": "new",
        "data/train-00000-of-00001.parquet": "new",
        "data/validation-00000-of-00001.parquet": "new",
    }
    assert all(file["size"] == (dataset / file["path"]).stat().st_size for file in planned)
    assert not hub.repositories
    assert not hub.uploaded


def test_a_push_interrupted_twice_is_completed_by_calling_it_again(hub, client, dataset):
    push(client, dataset, "--dry-run")
    for attempt in (1, 2):
        hub.faults.broken_uploads = 10**6
        failed = push(client, dataset, check=False)
        assert failed.returncode != 0, f"attempt {attempt} should have been cut off"
        assert not [path for path in hub.files("datasets", "me/cytoimagenet") if path.endswith(".parquet")]
    hub.faults.broken_uploads = 0
    push(client, dataset)
    stored = hub.files("datasets", "me/cytoimagenet")
    for path in ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"):
        assert stored[path] == (dataset / path).read_bytes()


@pytest.mark.parametrize(("status", "advice"), [(401, "log in"), (403, "write access"), (412, "push again")])
def test_refusals_say_what_to_do_next(hub, client, dataset, status, advice):
    push(client, dataset)
    hub.faults.status = status
    failed = push(client, dataset, check=False)
    assert failed.returncode == 2
    assert advice in failed.stderr
    assert "Traceback" not in failed.stderr


def test_what_is_no_dataset_is_refused_before_anything_is_sent(hub, client, tmp_path):
    (tmp_path / "empty").mkdir()
    failed = push(client, tmp_path / "empty", check=False)
    assert failed.returncode == 2
    assert "README.md" in failed.stderr
    assert not hub.log
