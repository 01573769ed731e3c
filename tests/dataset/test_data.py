import os
import shutil
from pathlib import Path

import datasets as hf
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image
from torch.utils.data import DataLoader

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.load import (
    dataset_sources,
    label_names,
    load_cytoimagenet,
    require_columns,
    subset_labels,
)
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet, image_features
from tests.datasets import write_dataset, write_textures

LABELS = ["actin", "mine", "yeast"]
SHARD = "data/train-00000-of-00001.parquet"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(hf.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return write_dataset(tmp_path / "cytoimagenet", LABELS, {"train": [0, 1, 2, 1], "validation": [2, 0]})


def test_a_default_dataloader_takes_images_of_many_sizes_by_the_line_of_the_quick_start(folder):
    shard = folder / SHARD
    table = pq.read_table(shard)
    images = [Image.fromarray(np.full((8 + 3 * row, 9), 40 * row, np.uint8)) for row in range(len(table))]
    encoded = hf.Dataset.from_dict({"image": images}, features=hf.Features({"image": hf.Image()})).data["image"]
    pq.write_table(table.set_column(0, "image", encoded.cast(table.schema.field("image").type)), shard)
    dataset = hf.load_dataset(str(folder))
    processor = MicroscopyImageProcessor(do_resize=True, size={"height": 224, "width": 224})
    train = dataset["train"].with_transform(
        lambda rows: {**processor(rows["image"], return_tensors="pt"), "label": rows["label"]}
    )
    batch = next(iter(DataLoader(train, batch_size=4)))
    assert batch["pixel_values"].shape == (4, 3, 224, 224)
    assert batch["label"].tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("channels", [1, 2])
def test_rows_of_several_channels_through_a_dataloader_give_the_features_of_extraction(tmp_path, channels):
    rng = np.random.default_rng(0)
    images = [rng.gamma(2.0, 300, (channels, 40, 40)).astype(np.uint16) for _ in range(6)]
    kinds = hf.Features({"image": hf.Array3D((channels, 40, 40), "uint16"), "label": hf.Value("int64")})
    rows = hf.Dataset.from_dict({"image": images, "label": list(range(6))}, features=kinds)
    model = build_efficientnet(0, seed=0, width_coefficient=0.25, depth_coefficient=0.3)
    model.save_pretrained(tmp_path / "model")
    MicroscopyImageProcessor().save_pretrained(tmp_path / "model")
    processor = MicroscopyImageProcessor.from_pretrained(tmp_path / "model")
    processed = rows.with_transform(lambda of: {**processor(of["image"], return_tensors="pt"), "label": of["label"]})
    shape = (3, 40, 40) if channels == 1 else (channels, 3, 40, 40)
    assert processed[0]["pixel_values"].shape == shape
    assert processed[:4]["pixel_values"].shape == (4, *shape)
    features, labels = [], []
    with torch.inference_mode():
        for batch in DataLoader(processed, batch_size=4):
            assert batch["pixel_values"].shape == (len(batch["label"]), *shape)
            features.append(image_features(model.eval(), batch["pixel_values"]))
            labels += batch["label"].tolist()
    expected = extract_features(str(tmp_path / "model"), images, ids=map(str, range(6))).values
    assert labels == list(range(6))
    np.testing.assert_allclose(torch.cat(features).numpy(), expected, atol=1e-5)
    mapped = rows.map(lambda of: processor(of["image"], return_tensors="np"), batched=True, batch_size=4)
    np.testing.assert_array_equal(np.asarray(mapped["pixel_values"][5], np.float32), processed[5]["pixel_values"])


def test_plain_load_dataset_reads_the_folder_by_name_with_features_from_the_card(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder / "stray.json").write_text('{"not": "data"}')
    loaded = hf.load_dataset("cytoimagenet")
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 4, "validation": 2}
    assert loaded["train"].features["label"].names == LABELS
    assert loaded["train"][3]["image"].mode == "L"
    assert loaded["train"][3]["image"].getpixel((0, 0)) == 61


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "load",
    [
        lambda folder, **options: hf.load_dataset(str(folder), "toy_20", **options),
        lambda folder, **options: load_cytoimagenet(folder, subset="toy_20", **options),
        lambda folder, **options: load_cytoimagenet(folder, subset=["actin", "yeast"], **options),
    ],
    ids=["plain", "ours", "by labels"],
)
def test_a_toy_subset_has_its_own_classes_however_it_is_loaded(folder, load, streaming):
    loaded = load(folder, split="train", streaming=streaming)
    assert [(row["image_id"], row["label"]) for row in loaded] == [("train-0", 0), ("train-2", 1)]
    assert loaded.features["label"].names == ["actin", "yeast"]


@pytest.mark.parametrize("subset", ["toy_20", "toy_50"])
def test_a_named_subset_reads_its_own_files_alone(folder, subset):
    for path in folder.glob("data/train-*"):
        path.write_bytes(b"not read")
    assert load_cytoimagenet(folder, subset=subset, split="train")["image_id"][:] == ["train-0", "train-2"]


def test_a_named_subset_of_a_dataset_without_its_files_goes_through_all_rows(folder):
    shutil.rmtree(folder / "toy_20")
    card = folder / "README.md"
    _, header, text = card.read_text().split("---\n", 2)
    content = yaml.safe_load(header)
    content["configs"] = [config for config in content["configs"] if config["config_name"] != "toy_20"]
    content["dataset_info"] = [info for info in content["dataset_info"] if info["config_name"] != "toy_20"]
    card.write_text(f"---\n{yaml.safe_dump(content)}---\n{text}")
    loaded = load_cytoimagenet(folder, subset="toy_20", split="train")
    assert (loaded["image_id"][:], loaded["label"][:]) == (["train-0", "train-2"], [0, 1])
    assert loaded.features["label"].names == ["actin", "yeast"]


def test_a_named_subset_under_the_published_split_has_the_same_classes(folder):
    loaded = load_cytoimagenet(folder, subset="toy_20", split_scheme="published")
    rows = {row["image_id"]: row["label"] for part in loaded.values() for row in part}
    assert rows == {"train-0": 0, "train-2": 1, "validation-0": 1, "validation-1": 0}
    for part in loaded.values():
        assert part.features["label"].names == ["actin", "yeast"]


@pytest.mark.parametrize("label", [-1, None])
def test_rows_without_a_class_are_refused_where_classes_are_needed(folder, label):
    features = hf.Features(
        {"image": hf.Image(), "label": hf.ClassLabel(names=["a", "b"]), "image_id": hf.Value("string")}
    )
    rows = {"image": [None] * 3, "label": [0, label, 1], "image_id": list("xyz")}
    with pytest.raises(InputError, match="here: 1 of 3 rows have no class in label"):
        require_columns(hf.Dataset.from_dict(rows, features=features), ("image", "label"), "here")
    rows["label"] = [0, 1, 1]
    require_columns(hf.Dataset.from_dict(rows, features=features), ("image", "label"), "here")
    with pytest.raises(InputError, match="no column plate"):
        require_columns(hf.Dataset.from_dict(rows, features=features), ("image", "plate"), "here")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_subset_keeps_its_rows_and_renumbers_its_classes(folder, streaming):
    loaded = load_cytoimagenet(folder, subset=["yeast", "mine"], split="train", streaming=streaming)
    assert [(row["image_id"], row["label"]) for row in loaded] == [("train-1", 0), ("train-2", 1), ("train-3", 0)]
    assert loaded.features["label"].names == ["mine", "yeast"]
    assert list(loaded.features) == list(hf.load_dataset(str(folder), split="train").features)


def test_rows_of_other_labels_are_left_out_while_files_are_streamed(folder, monkeypatch):
    asked = []
    plain = hf.load_dataset_builder

    def watched(*given, **options):
        asked.append(options.get("filters"))
        return plain(*given, **options)

    monkeypatch.setattr(hf, "load_dataset_builder", watched)
    loaded = load_cytoimagenet(folder, subset=["mine"], streaming=True)
    assert {split: [row["image_id"] for row in rows] for split, rows in loaded.items()} == {
        "train": ["train-1", "train-3"],
        "validation": [],
    }
    assert asked == [None, [("label", "in", [1])]]


def test_named_subsets_take_the_labels_that_are_there():
    assert subset_labels("toy_20", LABELS) == ["actin", "yeast"]


@pytest.mark.parametrize(
    ("subset", "message"),
    [("toy_30", "no subset 'toy_30'"), (["moon"], "no label ['moon']"), ([], "none of the labels")],
)
def test_subsets_that_cannot_be_are_refused(subset, message):
    with pytest.raises(InputError) as error:
        subset_labels(subset, LABELS)
    assert message in str(error.value)


def test_an_unknown_split_names_those_there_are(folder):
    with pytest.raises(InputError, match=r"it has \['train', 'validation'\]"):
        load_cytoimagenet(folder, split="test")


def test_a_folder_without_shards_says_how_to_build_them(tmp_path):
    (tmp_path / "empty").mkdir()
    for call in (load_cytoimagenet, label_names):
        with pytest.raises(InputError, match="python -m builder build"):
            call(tmp_path / "empty")


def test_an_absent_folder_is_said(tmp_path):
    with pytest.raises(InputError, match="neither a folder nor a dataset on the Hub"):
        load_cytoimagenet(tmp_path / "absent")


def test_class_names_come_from_the_schema_alone(folder):
    assert label_names(folder) == LABELS


def test_the_sources_of_a_dataset_are_those_of_its_rows(tmp_path):
    folder = write_textures(tmp_path / "textures", per_class=3, side=8)
    assert dataset_sources(folder) == ["source0", "source1", "source2"]
    table = pq.read_table(folder / SHARD)
    assert dataset_sources(folder, subset=["dots"]) == ["source0", "source1", "source2"]
    dots_of_one = table.filter(pc.or_(pc.equal(table["label"], 1), pc.equal(table["dir_name"], "source0")))
    pq.write_table(dots_of_one, folder / SHARD)
    (folder / "data" / "validation-00000-of-00001.parquet").unlink()
    assert dataset_sources(folder, subset=["dots"]) == ["source0"]
    pq.write_table(table.drop_columns("dir_name"), folder / SHARD)
    assert dataset_sources(folder) is None


def test_a_rebuilt_folder_is_read_anew_even_under_the_same_card(folder):
    before = load_cytoimagenet(folder, split="train")["label"][:]
    card = (folder / "README.md").read_text()
    write_dataset(folder, LABELS, {"train": [2, 2, 0, 1], "validation": [2, 0]})
    (folder / "README.md").write_text(card)
    assert (before, load_cytoimagenet(folder, split="train")["label"][:]) == ([0, 1, 2, 1], [2, 2, 0, 1])


def cached_bytes():
    return sum(path.stat().st_size for path in Path(hf.config.HF_DATASETS_CACHE).rglob("*.arrow"))


def test_one_index_is_kept_whatever_becomes_of_the_folder(folder):
    load_cytoimagenet(folder)
    one = cached_bytes()
    shard = folder / SHARD
    for second in range(3):  # copied again or touched
        os.utime(shard, (1e9 + second, 1e9 + second))
        loaded = load_cytoimagenet(folder, split="train")
    assert cached_bytes() == one
    assert loaded["image_id"][:] == [f"train-{row}" for row in range(len(loaded))]
    table = pq.read_table(shard)
    pq.write_table(table.take([3, 2, 1, 0]), shard)
    assert load_cytoimagenet(folder, split="train")["image_id"][:] == ["train-3", "train-2", "train-1", "train-0"]
    for label in label_names(folder):  # of one folder there is one, whichever rows are asked for
        load_cytoimagenet(folder, subset=[label])
    assert len(list(Path(hf.config.HF_DATASETS_CACHE).rglob("*.arrow"))) == 2


def test_a_file_that_numbers_its_classes_otherwise_is_refused_by_name(folder):
    shard = folder / "data" / "validation-00000-of-00001.parquet"
    rows = hf.Dataset.from_parquet(str(shard))
    names = rows.features["label"].names[::-1]
    turned = rows.cast(hf.Features(rows.features | {"label": hf.ClassLabel(names=names)}))
    turned.to_parquet(shard)
    for options in ({}, {"streaming": True}, {"subset": [names[0]]}):
        with pytest.raises(InputError, match=r"validation-00000-of-00001\.parquet numbers its classes otherwise"):
            load_cytoimagenet(folder, **options)


def swap_names_in_the_card(folder):
    first, second = label_names(folder)[:2]
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(
        text.replace(f"'0': {first}", "'0': SWAP").replace(f"'1': {second}", f"'1': {first}")
    )


def write_record(record):
    """Makes damage of a shard whose record of columns is this."""

    def damage(folder):
        table = pq.read_table(folder / SHARD)
        pq.write_table(table.replace_schema_metadata({b"huggingface": record}), folder / SHARD)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / SHARD).unlink(), r"lacks a file that its card names .*train-.*builder verify"),
        (lambda folder: os.truncate(folder / SHARD, 500), "python -m builder verify"),
        (
            lambda folder: pq.write_table(pq.read_table(folder / SHARD).slice(0, 2), folder / SHARD),
            "split train has 2 rows where its card states 4: python -m builder verify",
        ),
        (swap_names_in_the_card, r"README\.md numbers its classes otherwise"),
        *(
            (write_record(record), r"train-00000-of-00001\.parquet")
            for record in (b"5", b'{"info": 3}', b'{"info": {"features": [1]}}', b"\xff")
        ),
    ],
)
def test_a_damaged_dataset_is_refused_by_name(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message):
        load_cytoimagenet(folder)
