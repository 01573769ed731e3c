"""The dataset repository: loads by name and streaming, both splits, nothing lost, bytes that repeat."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from datasets import load_dataset

import builder.publish.run
from builder import recipe as recipes
from builder.publish import publish
from builder.publish.files import ROW_GROUP_ROWS, plan_files
from builder.render import render
from builder.verify import verify
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.leaks import leak_report
from cytoimagenet_hf.dataset.schema import dataset_features
from tests.builder.tiny_builds import annotation, cells, stated, tiny_build, write_tables

SMALL = recipes.load("corrected", {"min_images": "4", "max_images": "70"})


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A published build of 40 fields in 2 classes, in a folder of the dataset's name."""
    root = tmp_path_factory.mktemp("publish")
    raw, output = tiny_build(root, fields=40)
    output = output.rename(root / "cytoimagenet")
    render(raw, output, recipe=SMALL, seed=1, workers=1)
    summary = publish(output, recipe=SMALL, seed=1)
    assert (summary.rows_in, summary.kept, summary.rejected) == (160, 140, {"over_max_images": 20})
    return output


def rendered(root: Path, **how: int) -> Path:
    """The folder of a build that is rendered and not yet published."""
    raw, output = tiny_build(root, **how)
    render(raw, output, recipe=SMALL, seed=1, workers=1)
    return output


def data_hashes(output: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in output.glob("data/*")}


def test_it_loads_by_name_offline_with_features_from_the_card(built, tmp_path, monkeypatch):
    monkeypatch.chdir(built.parent)
    loaded = load_dataset("cytoimagenet", cache_dir=str(tmp_path))
    assert loaded["train"].features == dataset_features(["drug 0", "drug 1"])
    assert {name: len(part) for name, part in loaded.items()} == {"train": 126, "validation": 14}
    row = loaded["train"][0]
    assert row["image"].mode == "L"
    pixels = np.asarray(row["image"])
    assert row["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert (row["width"], row["height"]) == (pixels.shape[1], pixels.shape[0])
    assert row["path"] == f"/cytoimagenet/drug_{row['label']}"
    assert leak_report(loaded).leak_free


def test_it_streams(built, tmp_path, monkeypatch):
    monkeypatch.chdir(built.parent)
    stream = load_dataset("cytoimagenet", streaming=True, split="validation", cache_dir=str(tmp_path))
    rows = [(row["image_id"], row["label"], row["sha256"], np.asarray(row["image"]).tobytes()) for row in stream]
    loaded = load_dataset("cytoimagenet", split="validation", cache_dir=str(tmp_path))
    assert rows == [
        (row["image_id"], row["label"], row["sha256"], np.asarray(row["image"]).tobytes()) for row in loaded
    ]
    assert len({image_id for image_id, *_ in rows}) == 14


def test_the_published_split_is_a_configuration_over_the_same_files(built, tmp_path):
    default = load_dataset(str(built), cache_dir=str(tmp_path))
    published = load_dataset(str(built), "published", cache_dir=str(tmp_path))
    assert {name: len(part) for name, part in published.items()} == {"train": 126, "validation": 14}
    everything = [{*part["train"]["image_id"], *part["validation"]["image_id"]} for part in (default, published)]
    assert everything[0] == everything[1]
    assert leak_report(published).groups_on_both_sides > 0


def test_a_named_subset_is_a_configuration_with_its_own_files_classes_and_codes(tmp_path):
    raw, output = tiny_build(tmp_path, fields=40)
    rows = pq.read_table(output / "annotations.parquet").to_pylist()
    # "dmso" and "yeast" are in both subsets, "coco" in toy_50 alone, "drug" in none.
    names = ("coco", "dmso", "drug", "yeast")
    write_tables(output, rows, {row["idx"]: names[n % 4] for n, row in enumerate(rows)})
    render(raw, output, recipe=SMALL, seed=1, workers=1)
    publish(output, recipe=SMALL, seed=1)
    of = {"toy_20": ["dmso", "yeast"], "toy_50": ["coco", "dmso", "yeast"]}
    whole = load_dataset(str(output), cache_dir=str(tmp_path / "cache"))
    for subset, classes in of.items():
        toy = load_dataset(str(output), subset, cache_dir=str(tmp_path / "cache"))
        assert toy["train"].features == dataset_features(classes)
        for split, part in toy.items():
            rows_of_classes = [n for n, code in enumerate(whole[split]["label"]) if names[code] in classes]
            expected = whole[split].select(rows_of_classes)
            for column in ("image_id", "sha256", "filename", "idx"):
                assert part[column][:] == expected[column][:]
            assert [classes[code] for code in part["label"]] == [names[code] for code in expected["label"]]
            stream = load_dataset(str(output), subset, split=split, streaming=True)
            assert stream.features == dataset_features(classes)
            assert [row["image_id"] for row in stream] == part["image_id"][:]
    manifest = json.loads((output / "manifest.json").read_text())
    assert {name: sum(facts["rows"] for facts in files.values()) for name, files in manifest["subsets"].items()} == {
        "toy_20": 80,
        "toy_50": 120,
    }
    assert "3 of the author's 50 classes" in (output / "README.md").read_text()
    report = verify(output)
    assert report.intact
    assert report.images_decoded == 160 + 80 + 120
    (output / "toy_50" / "train-00000-of-00001.parquet").write_bytes(b"left by another build")
    assert set(verify(output, quick=True).problems) >= {"toy_50/train-00000-of-00001.parquet"}
    # Without its labels a subset leaves nothing behind.
    publish(output, recipe=replace(SMALL, max_images=40), seed=1)
    shutil.rmtree(output / "shards")
    write_tables(output, rows, {row["idx"]: f"drug {n % 2}" for n, row in enumerate(rows)})
    render(raw, output, recipe=SMALL, seed=1, workers=1)
    publish(output, recipe=SMALL, seed=1)
    assert not list(output.glob("toy_*"))


def test_file_names_count_in_binary_per_label(built):
    rows = [
        row
        for path in built.glob("data/*")
        for row in pq.read_table(path, columns=["label", "filename", "image_id", "image"]).to_pylist()
    ]
    for label in (0, 1):
        of_label = sorted((row["image_id"], row["filename"]) for row in rows if row["label"] == label)
        assert [name for _, name in of_label] == [f"drug_{label}-{number:07b}.png" for number in range(70)]
    assert all(row["image"]["path"] == row["filename"] for row in rows)


def test_row_groups_hold_so_many_images(built, tmp_path, monkeypatch):
    def sizes(output: Path) -> dict[str, list[int]]:
        files = {path.name: pq.read_metadata(path) for path in output.glob("data/*")}
        return {name: [file.row_group(n).num_rows for n in range(file.num_row_groups)] for name, file in files.items()}

    assert ROW_GROUP_ROWS == 250
    assert all(len(groups) == 1 for groups in sizes(built).values())
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    monkeypatch.setattr("builder.publish.files.ROW_GROUP_ROWS", 50)
    publish(copy, recipe=SMALL, seed=2)
    for groups in sizes(copy).values():
        assert all(group == 50 for group in groups[:-1])
        assert 0 < groups[-1] <= 50
    assert max(map(len, sizes(copy).values())) > 1


def test_pictures_stand_in_the_file_as_they_are(built):
    for path in built.glob("data/*"):
        metadata = pq.read_metadata(path)
        picture = metadata.row_group(0).column(0)
        assert (picture.path_in_schema, picture.compression) == ("image.bytes", "UNCOMPRESSED")
        assert metadata.row_group(0).column(2).compression == "SNAPPY"
        assert not picture.has_dictionary_page
        assert b"huggingface" in pq.read_schema(path).metadata
        rows = pq.read_table(path, columns=["image"])["image"].to_pylist()
        content = path.read_bytes()
        assert all(row["bytes"] in content for row in rows)


def test_manifest_and_rejections_account_for_every_image(built):
    manifest = json.loads((built / "manifest.json").read_text())
    assert manifest["class_counts"] == {"drug 0": 70, "drug 1": 70}
    assert sum(facts["rows"] for facts in manifest["files"].values()) == 140
    for name, facts in manifest["files"].items():
        content = (built / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (facts["bytes"], facts["sha256"])
    rejected = pq.read_table(built / "rejected.parquet").to_pylist()
    assert {row["stage"] for row in rejected} == {"publish"}
    kept = {
        i for path in built.glob("data/*") for i in pq.read_table(path, columns=["image_id"])["image_id"].to_pylist()
    }
    assert len(kept) == 140
    assert kept.isdisjoint(row["image_id"] for row in rejected)
    assert len(rejected) == 20


def test_publishing_again_writes_the_same_bytes_and_removes_what_is_stale(built):
    before = data_hashes(built)
    (built / "data" / "train-00000-of-00009.parquet").write_bytes(b"of an earlier build")
    (built / ".data.tmp").mkdir()
    publish(built, recipe=SMALL, seed=1)
    assert data_hashes(built) == before
    assert not list(built.glob(".data*"))


def test_publishing_again_what_stands_writes_no_data(tmp_path):
    output = rendered(tmp_path, fields=12)

    def state():
        return {path.name: path.stat().st_mtime_ns for path in [*output.glob("data/*"), output / "manifest.json"]}

    summary = publish(output, recipe=SMALL, seed=1)
    before, card = state(), (output / "README.md").read_bytes()
    (output / "README.md").unlink()
    again = publish(output, recipe=SMALL, seed=1)
    assert stated(again) == stated(summary)
    assert state() == before
    assert (output / "README.md").read_bytes() == card
    publish(output, recipe=SMALL, seed=2)
    other = state()
    assert other != before
    damaged = next(iter(sorted(output.glob("data/*"))))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + b"?")
    publish(output, recipe=SMALL, seed=2)
    assert damaged.read_bytes() == content


def test_shards_cut_elsewhere_give_the_same_dataset(built, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("annotations.parquet", "selection.parquet"):
        shutil.copy(built / name, copy / name)
    monkeypatch.setattr("builder.shards._shard_rows", lambda rows: 3)
    render(built.parent / "raw", copy, recipe=SMALL, seed=1, workers=1)
    assert len(list(copy.glob("shards/shard-*"))) == 14
    publish(copy, recipe=SMALL, seed=1)
    assert data_hashes(copy) == data_hashes(built)


def test_plates_stay_on_one_side(tmp_path):
    output = rendered(tmp_path, fields=60, side=80, plates=30)
    publish(output, recipe=SMALL, seed=1, group="plate")
    sides: dict[str, set[str]] = {"train": set(), "validation": set()}
    for path in output.glob("data/*"):
        sides[path.name.split("-")[0]] |= set(pq.read_table(path, columns=["plate"])["plate"].to_pylist())
    assert not sides["train"] & sides["validation"]
    assert len(sides["train"]) + len(sides["validation"]) == 30
    assert sides["validation"]
    with pytest.raises(InputError, match="--group"):
        publish(output, recipe=SMALL, seed=1, group="platte")


def test_planted_copies_are_grouped_and_a_conflict_follows_the_recipe(tmp_path):
    raw, output = tmp_path / "raw", tmp_path / "output"
    raw.mkdir()
    rows, labels = [], {}
    for number in range(24):
        idx = f"tiny-{number:02d}"
        # Fields 20-21 copy field 0 (same label, other label); 22 is field 1 with a little noise.
        source = {20: 0, 21: 0, 22: 1}.get(number, number)
        plane = cells(source, side=100, channels=1)[0]
        tifffile.imwrite(raw / f"{idx}.tif", plane)
        if number == 22:
            tifffile.imwrite(raw / f"{idx}.tif", plane + np.arange(100, dtype=np.uint16) % 3)
        rows.append(annotation(idx, [f"{idx}.tif"]))
        labels[idx] = "b" if number == 21 or number in range(10, 20) else "a"
    write_tables(output, rows, labels)
    render(raw, output, recipe=SMALL, seed=0, workers=1)
    summary = publish(output, recipe=SMALL, seed=0)
    assert summary.details["exact_copies"] == {"groups": 1, "images": 3, "across_labels": 1, "across_sources": 0}
    assert summary.details["near_duplicates"] == {"groups": 2, "images": 5, "across_labels": 1, "across_sources": 0}
    assert summary.rejected == {"duplicate_conflict": 2}
    keep_all = recipes.load("corrected", {"min_images": "4", "duplicate_conflict": "keep"})
    assert publish(output, recipe=keep_all, seed=0).details["leaks"]["copies_conflicting_label"] == 0
    sides = {
        path.name.split("-")[0]
        for path in output.glob("data/*")
        if {"tiny-00", "tiny-20", "tiny-21"} & set(pq.read_table(path, columns=["idx"])["idx"].to_pylist())
    }
    assert len(sides) == 1  # copies stand together


def test_the_recipe_of_the_paper_splits_row_by_row(tmp_path):
    output = rendered(tmp_path, fields=30)
    summary = publish(output, recipe=SMALL, seed=1, split_scheme="published")
    assert summary.details["leaks"]["groups_on_both_sides"] > 0
    assert load_dataset(str(output), cache_dir=str(tmp_path / "cache"))["train"].num_rows == 108


def test_what_cannot_be_published_is_said(tmp_path):
    raw, output = tiny_build(tmp_path, fields=20, side=80)
    with pytest.raises(InputError, match="render"):
        publish(output, recipe=SMALL, seed=0)
    render(raw, output, recipe=SMALL, seed=0, workers=1)
    with pytest.raises(InputError, match=r"none of the 20 .*min_images is 500"):
        publish(output, recipe=recipes.RECIPES["corrected"], seed=0)
    with pytest.raises(InputError, match="scheme"):
        publish(output, recipe=SMALL, seed=0, split_scheme="random")
    assert not (output / "data").exists()
    shard = sorted(output.glob("shards/shard-*"))[0]
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(InputError, match="1 of 3 shards"):
        publish(output, recipe=SMALL, seed=0)


def test_labels_that_would_share_a_folder_are_refused(tmp_path):
    raw, output = tiny_build(tmp_path, fields=20, side=80)
    rows = pq.read_table(output / "annotations.parquet").to_pylist()
    write_tables(output, rows, {row["idx"]: ("a b", "a_b")[n % 2] for n, row in enumerate(rows)})
    render(raw, output, recipe=SMALL, seed=0, workers=1)
    with pytest.raises(InputError, match="share the folder a_b"):
        publish(output, recipe=SMALL, seed=0)


def test_large_images_close_row_groups_and_files_earlier(monkeypatch):
    monkeypatch.setattr("builder.publish.files._ROW_GROUP_BYTES", 50)
    monkeypatch.setattr("builder.publish.files._FILE_BYTES", 100)
    files = plan_files(["train"] * 9 + ["validation"], ["train"] * 9 + ["train"], [20] * 10)
    assert [(file.name, file.groups) for file in files] == [
        ("train-00000-of-00002.parquet", (3, 3)),
        ("train-00001-of-00002.parquet", (3,)),
        ("validation-00000-of-00001.parquet", (1,)),
    ]


def test_killed_while_publishing_the_old_dataset_stands_and_a_rerun_ends_the_same(tmp_path, monkeypatch):
    output = rendered(tmp_path, fields=40)
    publish(output, recipe=SMALL, seed=1)
    reference = tmp_path / "reference"
    shutil.copytree(output, reference)
    publish(reference, recipe=SMALL, seed=2)
    old, new = data_hashes(output), data_hashes(reference)
    assert old != new
    for place, expected in (
        ("builder.publish.files.CellWriter.add", old),
        ("builder.publish.data_files._replace_folder", old),
        ("builder.publish.run.write_companions", new),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(place, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
            process = multiprocessing.get_context("fork").Process(
                target=publish, args=(output,), kwargs={"recipe": SMALL, "seed": 2}
            )
            process.start()
            process.join()
        assert process.exitcode == -signal.SIGKILL, place
        assert data_hashes(output) == expected, place
        assert not (output / "README.md").exists()  # what describes the data goes before them
    publish(output, recipe=SMALL, seed=2)
    assert data_hashes(output) == new
    assert {path.name for path in output.iterdir()} == {path.name for path in reference.iterdir()}


def test_rows_meet_what_was_assigned_to_them_by_id(tmp_path, monkeypatch):
    output = rendered(tmp_path, fields=20, side=80)
    publish(output, recipe=SMALL, seed=1)
    before = data_hashes(output)
    rightly = builder.publish.run._assigned

    def reversed_rows(*given):
        table = rightly(*given)
        return table.take(list(reversed(range(len(table)))))

    monkeypatch.setattr("builder.publish.run._assigned", reversed_rows)
    with pytest.raises(RuntimeError, match="holds other images than those that were assigned"):
        publish(output, recipe=SMALL, seed=2)
    assert data_hashes(output) == before
