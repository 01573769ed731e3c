"""Rows of datasets that others have written, as images."""

from pathlib import Path

import numpy as np
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.images import DatasetName, parse_name, split_of_folder
from cytoimagenet_hf.images import find_images
from tests.datasets import foreign


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("me/beans", DatasetName("me/beans")),
        ("hf:me/beans", DatasetName("me/beans")),
        ("hf:me/beans:test", DatasetName("me/beans", None, "test")),
        ("hf:me/beans:large:test", DatasetName("me/beans", "large", "test")),
        ("hf:me/beans:large:", DatasetName("me/beans", "large")),
        ("hf:me/beans@refs/pr/1", DatasetName("me/beans", None, None, "refs/pr/1")),
        ("hf:me/beans:large:test@v1", DatasetName("me/beans", "large", "test", "v1")),
    ],
)
def test_names_are_read_and_written(text: str, name: DatasetName) -> None:
    assert parse_name(text) == name
    whole = DatasetName(name.path, name.configuration, None, name.revision)
    assert parse_name(name.rows_of_all) == whole


def test_a_folder_may_hold_the_signs_of_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "beans@2:raw"
    folder.mkdir()
    assert parse_name(f"hf:{folder}:test") == DatasetName(str(folder), None, "test")
    assert parse_name(str(folder)) == DatasetName(str(folder))


@pytest.mark.parametrize("text", ["hf:", "hf:me/beans:a:b:c"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a name of a dataset"):
        parse_name(text)


def test_words_of_splits_are_those_of_datasets() -> None:
    named = {"train": ["train", "Training", "train_1"], "validation": ["valid", "val", "dev", "my-validation"]}
    named["test"] = ["test", "testing", "eval", "Evaluation", "test images"]
    for split, folders in named.items():
        assert [split_of_folder(folder) for folder in folders] == [split] * len(folders)
    assert [split_of_folder(folder) for folder in ("trainer", "latest", "device", "a")] == [None] * 4


def test_rows_without_ids_are_known_by_their_place(tmp_path: Path) -> None:
    root = foreign(tmp_path / "d", {"train": 3, "test": 2})
    images = find_images(root)
    assert [image.id for image in images] == ["test-0", "test-1", "train-0", "train-1", "train-2"]
    assert [image.metadata["label"] for image in images] == ["no", "yes", "no", "yes", "no"]
    assert [image.id for image in find_images(f"hf:{root}:test")] == ["test-0", "test-1"]


@pytest.mark.parametrize(
    ("pixels", "shapes"),
    [
        ("L", [((24, 24), np.uint8)]),
        ("RGB", [((24, 24, 3), np.uint8)]),
        ("I;16", [((24, 24), np.uint16)]),
        ("2d", [((24, 24), np.uint16)]),
        ("3d", [((24, 24), np.uint16)] * 2),
        ("list", [((24, 24), np.uint8)] * 2),
    ],
)
def test_every_kind_of_image_is_read_at_its_own_depth(tmp_path: Path, pixels: str, shapes: list) -> None:
    root = foreign(tmp_path / "d", {"train": 2}, image="photo", pixels=pixels)
    first, second = find_images(root)
    assert [(plane.shape, plane.dtype) for plane in first.read()] == shapes
    assert first.channels == tuple(str(n + 1) for n in range(len(shapes)))
    assert not np.array_equal(first.read()[0], second.read()[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_column": "photo"}, "has no column 'photo': it has image, label"),
        ({"image_column": "label"}, "column 'label' holds .*, no images"),
        ({"id_column": "name"}, "has no column 'name' of ids"),
        ({"label_column": "species"}, "has no column 'species'"),
    ],
)
def test_columns_that_are_not_there_are_named(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_images(foreign(tmp_path / "d", {"train": 2}), **options)


def test_a_split_or_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    root = foreign(tmp_path / "d", {"train": 2})
    with pytest.raises(InputError, match="has no split 'test': it has train"):
        find_images(f"hf:{root}:test")
    with pytest.raises(InputError, match="large"):
        find_images(f"hf:{root}:large:train")
