"""Push a dataset and load it again with the real clients over HTTP."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builder.publish.files import open_writer
from cytoimagenet_hf.dataset.hub import rename_card
from tests.datasets import write_dataset
from tests.hub.loopback import READ_TOKEN

REPOSITORY = "me/cytoimagenet"
SHARDS = ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet")


@pytest.fixture
def dataset(tmp_path):
    folder = write_dataset(
        tmp_path / "cytoimagenet", ["actin", "yeast"], {"train": [0, 0, 1, 1], "validation": [0, 1]}
    )
    (folder / "annotations.parquet").write_bytes(b"stays at home")
    return folder


def test_a_pushed_dataset_is_private_and_loads_whole_streaming_and_by_subset(hub, client, push, dataset):
    push("dataset", dataset, REPOSITORY, "--tag", "v1")
    assert hub.repositories["datasets", REPOSITORY].private
    assert "annotations.parquet" not in hub.files("datasets", REPOSITORY)
    assert not hub.ranges
    printed = client(
        "import json\n"
        "from datasets import load_dataset\n"
        "from cytoimagenet_hf.dataset.load import load_cytoimagenet\n"
        "stream = load_dataset('me/cytoimagenet', streaming=True, split='train')\n"
        "streamed = [(row['idx'], row['image'].size) for row in stream]\n"
        "whole = load_dataset('me/cytoimagenet', revision='v1')\n"
        "columns = load_dataset('me/cytoimagenet', split='train', columns=['label', 'idx'])\n"
        "toy = load_dataset('me/cytoimagenet', 'toy_20')\n"
        "subset = load_cytoimagenet('me/cytoimagenet', subset=['yeast'], revision='v1')\n"
        "print(json.dumps([{k: len(v) for k, v in whole.items()}, whole['train'].features['label'].names,\n"
        "    streamed, columns.column_names, {k: len(v) for k, v in toy.items()},\n"
        "    subset['train']['idx'][:], subset['train']['label'][:]]))"
    )
    sizes, names, streamed, columns, toy, kept, codes = json.loads(printed.splitlines()[-1])
    assert sizes == toy == {"train": 4, "validation": 2}
    assert names == ["actin", "yeast"]
    assert streamed == [[f"train-{row}", [8, 8]] for row in range(4)]
    assert columns == ["label", "idx"]
    assert kept == ["train-2", "train-3"]
    assert codes == [0, 0]
    # Streaming reads a shard's footer and its row groups, by range.
    assert {path for path, _, _ in hub.ranges} >= {SHARDS[0]}


def test_a_second_push_sends_only_what_changed_and_removes_stale_shards(hub, push, dataset):
    push("dataset", dataset, REPOSITORY)
    sent = len(hub.uploaded)
    again = json.loads(push("dataset", dataset, REPOSITORY, "--json"))
    assert {file["status"] for file in again} == {"same"}
    assert len(hub.uploaded) == sent
    shard = dataset / SHARDS[1]
    shard.rename(shard.with_name("validation-00000-of-00002.parquet"))
    push("dataset", dataset, REPOSITORY)
    assert len(hub.uploaded) == sent  # the same bytes under another name are known to the store
    paths = set(hub.files("datasets", REPOSITORY))
    assert "data/validation-00000-of-00002.parquet" in paths
    assert SHARDS[1] not in paths


def test_a_second_push_in_chunks_sends_little_more_than_the_change(hub, push, tmp_path):
    folder = write_dataset(tmp_path / "noise", ["mine"], {"train": [0] * 12})
    shard = folder / SHARDS[0]
    table = pq.read_table(shard)
    pictures = [np.random.default_rng(number).bytes(53_000) for number in range(12)]

    def push_them():
        images = pa.array([{"bytes": content, "path": None} for content in pictures], table.schema.field("image").type)
        with open_writer(shard, table.schema) as writer:
            writer.write_table(table.set_column(0, "image", images))
        hub.xet.received.clear()
        push("dataset", folder, REPOSITORY, xet=True)
        assert hub.files("datasets", REPOSITORY)[SHARDS[0]] == shard.read_bytes()
        return sum(hub.xet.received)

    assert push_them() > 12 * 53_000
    pictures[7] = np.random.default_rng(12).bytes(53_000)
    # Beside the picture what is left of the chunks, of at most 128 KiB, that it begins and ends in.
    assert 53_000 < push_them() < 53_000 + 2 * 131_072 + 40_000


def test_a_tag_keeps_what_was_pushed_under_it(hub, client, push, dataset):
    push("dataset", dataset, REPOSITORY, "--tag", "v1")
    write_dataset(dataset, ["actin", "yeast"], {"train": [1], "validation": [0]})
    push("dataset", dataset, REPOSITORY)
    printed = client(
        "from cytoimagenet_hf.dataset.load import load_cytoimagenet\n"
        "for revision in ('v1', None):\n"
        "    print(len(load_cytoimagenet('me/cytoimagenet', revision=revision, split='train')))"
    )
    assert printed.split() == ["4", "1"]
    code, errors = push("dataset", dataset, REPOSITORY, "--tag", "v1", check=False)
    assert code == 2
    assert "choose another tag" in errors


def test_what_is_not_there_is_said_with_the_next_step(client, push, dataset):
    push("dataset", dataset, REPOSITORY)
    attempt = (
        "from cytoimagenet_hf.dataset.load import load_cytoimagenet\n"
        "for name, revision in (('me/cytoimagenet', 'v9'), ('me/nothing', None)):\n"
        "    try: load_cytoimagenet(name, revision=revision)\n"
        "    except ValueError as error: print(error)"
    )
    missing_revision, missing_repository = client(attempt).splitlines()
    assert "v9" in missing_revision
    assert "me/nothing" in missing_repository
    assert "hf auth login" in missing_repository


def test_a_dry_run_lists_files_and_sizes_and_sends_nothing(hub, push, dataset):
    planned = json.loads(push("dataset", dataset, REPOSITORY, "--dry-run", "--json"))
    toys = [shard.replace("data", name) for name in ("toy_20", "toy_50") for shard in SHARDS]
    assert {file["path"]: file["status"] for file in planned} == dict.fromkeys(
        ("README.md", "manifest.json", *SHARDS, *toys), "new"
    )
    sizes = {file["path"]: file["size"] for file in planned}
    card = rename_card((dataset / "README.md").read_text(), REPOSITORY)
    assert 'load_dataset("me/cytoimagenet")' in card or "load_dataset" not in card
    assert sizes.pop("README.md") == len(card.encode())
    assert all(size == (dataset / path).stat().st_size for path, size in sizes.items())
    assert not hub.repositories
    assert not hub.uploaded


def test_a_push_killed_twice_is_completed_by_calling_it_again(hub, start, push, tmp_path):
    dataset = write_dataset(tmp_path / "other", ["here", "there"], {"train": [0, 0, 1, 1], "validation": [0, 1]})
    for arrived in (0, 1):  # killed before any shard has arrived, then after the first
        hub.faults.stall_after = arrived
        hub.stalled.clear()
        interrupted = start("cytoimagenet_hf", "push", "dataset", dataset, REPOSITORY)
        assert hub.stalled.wait(60)
        interrupted.kill()
        interrupted.communicate()
        assert len(hub.uploaded) == arrived
        assert not hub.files("datasets", REPOSITORY)  # a commit is all or nothing
    hub.faults.stall_after = None
    push("dataset", dataset, REPOSITORY)
    stored = hub.files("datasets", REPOSITORY)
    assert all(stored[path] == (dataset / path).read_bytes() for path in SHARDS)
    assert len(hub.uploaded) == len(SHARDS)  # what had arrived was not sent again


def test_a_connection_that_breaks_is_tried_again(hub, push, dataset):
    hub.faults.broken_uploads = 1
    push("dataset", dataset, REPOSITORY)
    assert hub.faults.broken_uploads == 0
    assert set(SHARDS) <= set(hub.files("datasets", REPOSITORY))


@pytest.mark.parametrize(
    ("token", "stale", "status", "advice"),
    [
        ("hf_unknown", False, 401, "log in"),
        (READ_TOKEN, False, 403, "write access"),
        (None, True, 412, "push again"),
    ],
)
def test_refusals_say_what_to_do_next(hub, push, dataset, token, stale, status, advice):
    hub.faults.stale = stale
    options = {} if token is None else {"token": token}
    code, errors = push("dataset", dataset, REPOSITORY, check=False, **options)
    assert code == 2
    assert f"({status})" in errors
    assert advice in errors.replace("\n", " ")
    assert "Traceback" not in errors


def test_what_is_no_dataset_is_refused_before_anything_is_sent(hub, push, tmp_path):
    (tmp_path / "empty").mkdir()
    code, errors = push("dataset", tmp_path / "empty", REPOSITORY, check=False)
    assert code == 2
    assert "README.md" in errors
    assert not hub.log
