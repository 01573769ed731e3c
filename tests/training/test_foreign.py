"""Datasets that others have written, with images and labels alone, are trained on."""

import json
import shutil
from pathlib import Path

import datasets as hf
import numpy as np
import pytest
from PIL import Image

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.simulated import MARK, mark_simulated
from cytoimagenet_hf.training import train
from cytoimagenet_hf.training.data import decode
from cytoimagenet_hf.training.own import is_own
from cytoimagenet_hf.training.tables import load_tables
from tests.datasets import foreign


def test_images_and_labels_are_enough(config, tmp_path: Path) -> None:
    tables = load_tables(config(dataset=str(foreign(tmp_path / "beans"))))
    assert {name: (table.classes, len(table)) for name, table in tables.items()} == {
        "train": (("no", "yes"), 32),
        "validation": (("no", "yes"), 8),
    }
    assert tables["train"].ids[:2].tolist() == ["train-0", "train-1"]
    assert tables["validation"].labels.tolist() == [0, 1] * 4


@pytest.mark.parametrize(
    ("kind", "classes"), [("string", ("no", "yes")), ("int", ("3", "10")), ("bool", ("False", "True"))]
)
def test_classes_are_texts_or_numbers_too(config, tmp_path: Path, kind: str, classes: tuple[str, ...]) -> None:
    root = foreign(tmp_path / "d", image="img", label="wanted", kind=kind)
    tables = load_tables(config(dataset=str(root), label_column="wanted"))
    assert [table.classes for table in tables.values()] == [classes] * 2
    assert tables["train"].labels[:3].tolist() == [0, 1, 0]


@pytest.mark.parametrize("pixels", ["L", "RGB", "I;16", "list", "2d", "3d"])
def test_every_kind_of_image_becomes_gray_levels(config, tmp_path: Path, pixels: str) -> None:
    root = foreign(tmp_path / "d", pixels=pixels)
    settings = config(dataset=str(root), cache="none")
    gray = decode(load_tables(settings)["train"].encoded([1])[0], 24)
    row = hf.load_dataset("parquet", data_files=str(root / "data" / "train*"), split="train")[1]["image"]
    if pixels in ("L", "RGB"):
        np.testing.assert_array_equal(gray, np.asarray(row.convert("L")))
    else:
        assert gray.std() > 30  # of a range that nothing states: stretched, and merged
    if pixels in ("RGB", "3d"):
        assert train(settings)["rows"] == 8


def test_without_validation_a_part_of_train_is_drawn_and_test_is_left_alone(config, tmp_path: Path, capsys) -> None:
    root = foreign(tmp_path / "d", {"train": 40, "test": 10})
    tables = load_tables(config(dataset=str(root)))
    assert {name: len(table) for name, table in tables.items()} == {"train": 32, "validation": 8}
    assert "has no validation split: 8 of 40 rows are drawn" in capsys.readouterr().err
    everything = {*tables["train"].ids, *tables["validation"].ids}
    assert everything == {f"train-{row}" for row in range(40)}
    again = load_tables(config(dataset=str(root)))["validation"]
    assert again.ids.tolist() == tables["validation"].ids.tolist()
    asked = load_tables(config(dataset=str(root), validation_split="test"))
    assert {name: len(table) for name, table in asked.items()} == {"train": 40, "validation": 10}
    named = load_tables(config(dataset=f"hf:{root}:test", validation_split="train"))
    assert {name: len(table) for name, table in named.items()} == {"train": 10, "validation": 40}


def test_files_of_any_layout_are_trained_on_to_the_end(config, tmp_path: Path) -> None:
    root = foreign(tmp_path / "beans")
    for file in (root / "data").iterdir():
        file.rename(root / file.name)
    (root / "data").rmdir()
    assert train(config(dataset=str(root)))["rows"] == 8


def test_a_name_with_its_kind_leaves_the_same_record(config, shapes: Path, tmp_path: Path) -> None:
    mark_simulated(tmp_path / "named")
    copied = shutil.copytree(shapes, tmp_path / "named" / "shapes")
    train(config(dataset=f"hf:{copied}"))
    folder = tmp_path / "run" / "model"
    assert "training_sources" in json.loads((folder / "config.json").read_text())
    assert (folder / MARK).is_file()
    assert "datasets" not in (folder / "README.md").read_text().partition("---\n\n")[0]


def test_groups_stay_on_one_side(config, tmp_path: Path) -> None:
    rows = {
        "image": [Image.fromarray(np.full((8, 8), n, np.uint8)) for n in range(40)],
        "label": [n % 2 for n in range(40)],
        "donor": [f"d{n // 4}" for n in range(40)],
    }
    features = hf.Features(
        {"image": hf.Image(), "label": hf.ClassLabel(names=["a", "b"]), "donor": hf.Value("string")}
    )
    saved = hf.DatasetDict({"train": hf.Dataset.from_dict(rows, features=features)})
    saved.save_to_disk(str(tmp_path / "saved"))
    assert not is_own(str(tmp_path / "saved"))
    tables = load_tables(config(dataset=str(tmp_path / "saved"), group_column="donor"))
    donors = [{rows["donor"][int(name.partition("-")[2])] for name in table.ids} for table in tables.values()]
    assert not donors[0] & donors[1]
    assert sum(map(len, donors)) == 10


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        ({"label": None}, {}, "has no column 'label': --label-column names that of the classes"),
        ({}, {"image_column": "label"}, "column 'label' holds .*, no images; image hold"),
        ({}, {"image_column": "photo"}, "has no column 'photo': it has image, label"),
        ({}, {"label_column": "species"}, "has no column 'species'"),
        ({}, {"label_column": "image"}, "column 'image' is of type Image"),
        ({}, {"id_column": "name"}, "has no column 'name' of ids"),
        ({}, {"split": "extra"}, "has no split 'extra': --split names one of train, validation"),
        ({}, {"validation_split": "train"}, "is to be trained on and validated with"),
        ({"splits": {"train": 8, "validation": 0}}, {}, "split validation is empty"),
        ({}, {"configuration": "large"}, "large"),
    ],
)
def test_what_is_no_such_dataset_is_one_line(config, tmp_path: Path, made, options, message: str) -> None:
    root = foreign(tmp_path / "d", **made)
    with pytest.raises(InputError, match=message) as refused:
        load_tables(config(dataset=str(root), **options))
    assert "\n" not in str(refused.value)


def test_labels_outside_the_classes_are_named(config, tmp_path: Path) -> None:
    root = foreign(tmp_path / "d", kind="int")
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=["a", "b"])})
    rows = {"image": [Image.fromarray(np.zeros((8, 8), np.uint8))] * 3, "label": [0, 1, -1]}
    hf.Dataset.from_dict(rows, features=features).to_parquet(str(root / "data" / "train-00000-of-00001.parquet"))
    (root / "data" / "validation-00000-of-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"image '\w+-2' has label null, outside the map of 2 classes"):
        load_tables(config(dataset=str(root), validation_share=0.4))
