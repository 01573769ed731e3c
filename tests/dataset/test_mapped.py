"""Rows of Parquet files by position: equal to what `pyarrow` reads, with pictures mapped or copied."""

import os
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import datasets as hf
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from builder.publish.files import open_writer
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.mapped import PICTURES, map_parquet

FEATURES = hf.Features(
    {
        "image": hf.Image(),
        "label": hf.ClassLabel(names=["a", "b"]),
        "image_id": hf.Value("string"),
        "planes": hf.List(hf.Image()),
    }
)

INFO = hf.DatasetInfo(features=FEATURES)


def make_rows(first: int, end: int) -> pa.Table:
    """Rows of which some have no image, and no, one or two planes."""

    def picture(number: int) -> Image.Image:
        return Image.fromarray(np.random.default_rng(number).integers(0, 255, (16, 20), dtype=np.uint8))

    numbers = range(first, end)
    columns = {
        "image": [picture(number) if number % 7 else None for number in numbers],
        "label": [number % 2 for number in numbers],
        "image_id": [f"i{number}" for number in numbers],
        "planes": [[picture(number + at) for at in range(number % 3)] for number in numbers],
    }
    return hf.Dataset.from_dict(columns, features=FEATURES).data.table.combine_chunks()


def write_mapped(path: Path, table: pa.Table) -> None:
    with open_writer(path, table.schema) as writer:
        writer.write_table(table.slice(0, 5))
        writer.write_table(table.slice(5))


def write_compressed(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)


def write_in_pages(path: Path, table: pa.Table) -> None:
    leaves = ["image.bytes", "planes.list.element.bytes"]
    encodings = dict.fromkeys(leaves, PICTURES)
    options = {"use_dictionary": False, "compression": "none", "data_page_size": 600, "write_batch_size": 1}
    pq.write_table(table, path, column_encoding=encodings, **options)


@pytest.fixture(params=[write_mapped, write_compressed, write_in_pages])
def files(request, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "0.parquet", tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for path, (first, end) in zip(paths, [(0, 10), (10, 10), (10, 17)], strict=True):
        request.param(path, make_rows(first, end))
    return paths


def in_a_worker(rows: hf.Dataset) -> hf.Dataset:
    """The rows as a worker of a DataLoader gets them."""
    return ForkingPickler.loads(ForkingPickler.dumps(rows))


OPERATIONS = {
    "rows by number": lambda rows: rows.select([12, 3, 3]),
    "shuffled": lambda rows: rows.shuffle(seed=1),
    "filtered": lambda rows: rows.filter(lambda label: label == 1, input_columns="label"),
    "with a column more": lambda rows: rows.add_column("more", list(range(17))),
    "twice": lambda rows: hf.concatenate_datasets([rows, rows]),
    "a test split": lambda rows: rows.train_test_split(0.3, seed=0)["test"],
    "sorted": lambda rows: rows.sort("image_id"),
    "renamed": lambda rows: rows.rename_column("image", "picture"),
    "fewer columns": lambda rows: rows.remove_columns("planes"),
    "flattened": lambda rows: rows.flatten(),
    "mapped": lambda rows: rows.map(lambda row: {"next": row["label"] + 1}),
    "in a worker": lambda rows: in_a_worker(rows.add_column("more", list(range(17))).select([3, 2])),
}


def test_whatever_is_done_to_the_rows_gives_what_it_gives_of_a_copy(files, tmp_path):
    rows = map_parquet(files, tmp_path / "cache" / "train.arrow", info=INFO)
    copied = hf.Dataset(pa.concat_tables([pq.read_table(file) for file in files]))
    for name, operation in {"as they are": lambda rows: rows, **OPERATIONS}.items():
        ours, expected = operation(rows), operation(copied)
        assert ours.features == expected.features, name
        assert ours.with_format("arrow")[:].to_pylist() == expected.with_format("arrow")[:].to_pylist(), name
    np.testing.assert_array_equal(rows[16]["image"], copied[16]["image"])


def test_pictures_of_a_published_file_are_not_copied(tmp_path):
    table, index = make_rows(1, 7), tmp_path / "cache" / "train.arrow"
    sizes = {}
    for write in (write_mapped, write_compressed):
        write(tmp_path / "0.parquet", table)
        map_parquet([tmp_path / "0.parquet"], index, info=INFO)
        sizes[write] = index.read_bytes().count(b"\x89PNG")
    assert sizes == {write_mapped: 0, write_compressed: 12}
    assert {path.name for path in index.parent.iterdir()} == {"train.arrow", "train.lock"}


def test_an_index_is_kept_until_a_file_changes(tmp_path):
    file, index = tmp_path / "0.parquet", tmp_path / "train.arrow"
    write_mapped(file, make_rows(1, 7))
    opened = map_parquet([file], index, info=INFO)
    written = index.stat().st_mtime_ns
    assert map_parquet([file], index, info=INFO)._fingerprint == opened._fingerprint
    assert index.stat().st_mtime_ns == written
    sent = ForkingPickler.dumps(opened)
    file.unlink()
    write_mapped(file, make_rows(2, 8))
    os.utime(file, (1, 1))
    with pytest.raises(InputError, match=r"0\.parquet has changed since it was opened"):
        ForkingPickler.loads(sent)
    again = map_parquet([file], index, info=INFO)
    assert again["image_id"][:] == [f"i{number}" for number in range(2, 8)]
    assert again._fingerprint != opened._fingerprint
    other = hf.Features(FEATURES | {"label": hf.ClassLabel(names=["c", "d"])})
    assert map_parquet([file], index, info=hf.DatasetInfo(features=other)).features == other


def test_rows_sent_before_the_index_was_written_anew_are_refused(tmp_path):
    file, index = tmp_path / "0.parquet", tmp_path / "train.arrow"
    write_mapped(file, make_rows(1, 7))
    sent = ForkingPickler.dumps(map_parquet([file], index, info=INFO).select([2, 1]))
    assert ForkingPickler.loads(sent)["image_id"][:] == ["i3", "i2"]
    write_mapped(tmp_path / "1.parquet", make_rows(2, 8))
    map_parquet([tmp_path / "1.parquet"], index, info=INFO)  # as another process does
    with pytest.raises(InputError, match=r"train\.arrow has changed since it was opened: load the dataset again"):
        ForkingPickler.loads(sent)


def other_stream(_: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema({"a": pa.int64()})):
        pass
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"hello" * 100,
        lambda content: content[:300],
        lambda content: content[:-200],
        lambda content: content.replace(b'"files"', b'"fries"'),
        other_stream,
    ],
)
def test_a_damaged_index_is_written_again(tmp_path, damage):
    file, index = tmp_path / "0.parquet", tmp_path / "train.arrow"
    write_mapped(file, make_rows(1, 7))
    map_parquet([file], index, info=INFO)
    whole = index.read_bytes()
    index.write_bytes(damage(whole))
    assert map_parquet([file], index, info=INFO)["image_id"][5] == "i6"
    assert index.read_bytes() == whole


def test_an_index_that_is_there_needs_no_folder_to_write_in(tmp_path):
    file, index = tmp_path / "0.parquet", tmp_path / "train.arrow"
    write_mapped(file, make_rows(1, 7))
    map_parquet([file], index, info=INFO)
    (tmp_path / "train.lock").unlink()
    (tmp_path / "train.lock").mkdir()  # no lock can be taken
    assert len(map_parquet([file], index, info=INFO)) == 6


def test_pictures_in_a_column_of_another_type_than_the_features_state(tmp_path):
    file = tmp_path / "0.parquet"
    pictures = make_rows(1, 4)["image"].combine_chunks().field("bytes")
    options = {"use_dictionary": False, "compression": "none"}
    encodings = dict.fromkeys(("image", "name"), PICTURES)
    table = pa.table({"image": pictures, "name": pa.array([b"x", None, b"z"])})
    pq.write_table(table, file, column_encoding=encodings, **options)
    features = hf.Features({"image": hf.Image(), "name": hf.Value("string")})
    rows = map_parquet([file], tmp_path / "train.arrow", info=hf.DatasetInfo(features=features))
    assert rows["name"][:] == ["x", None, "z"]
    assert [row["bytes"] for row in rows.cast_column("image", hf.Image(decode=False))["image"]] == pictures.to_pylist()


def test_a_damaged_file_and_one_of_other_columns_are_refused_by_name(tmp_path):
    file = tmp_path / "0.parquet"
    write_mapped(file, make_rows(1, 7))
    fewer = hf.Features({name: kind for name, kind in FEATURES.items() if name != "label"})
    with pytest.raises(InputError, match=r"0\.parquet cannot be read as a shard: .*Couldn't cast"):
        map_parquet([file], tmp_path / "train.arrow", info=hf.DatasetInfo(features=fewer))
    pq.write_table(pa.table({"image": [None], "label": ["z"]}), file)
    others = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=["a"])})
    with pytest.raises(InputError, match=r"0\.parquet cannot be read as a shard: .*Invalid string class label z"):
        map_parquet([file], tmp_path / "train.arrow", info=hf.DatasetInfo(features=others))
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"0\.parquet cannot be read as a shard"):
        map_parquet([file], tmp_path / "train.arrow", info=INFO)
    assert not (tmp_path / "train.arrow").exists()


def test_a_cache_that_cannot_be_written_is_said_with_its_setting(tmp_path):
    file = tmp_path / "0.parquet"
    write_mapped(file, make_rows(1, 3))
    with pytest.raises(InputError, match=r"cannot keep an index of the dataset .* set HF_DATASETS_CACHE"):
        map_parquet([file], file / "train.arrow", info=INFO)
