"""COOS-7 in both of its forms."""

import h5py
import numpy as np
import pytest

from cytoimagenet_hf.benchmarks import RECIPES
from cytoimagenet_hf.benchmarks.tasks.coos7 import CLASSES, COOS7
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import make_table

RECIPE = RECIPES["corrected"]


@pytest.fixture
def hdf5_root(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("COOS7_v1.0_training.hdf5", "COOS7_v1.0_test1.hdf5", "COOS7_v1.0_test3.hdf5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["data"] = rng.integers(0, 4000, (14, 2, 8, 8)).astype(np.uint16)
            file["labels"] = np.arange(14) % 7
    return tmp_path


def test_folders_give_one_score_per_test_set(simulated, class_features):
    items = COOS7.load(simulated / "coos7", RECIPE)
    assert items[0].id.startswith("train/")
    assert [plane.shape for plane in items[0].read()] == [(64, 64), (64, 64)]
    # The smallest set has fewer than 11 training cells per class.
    scores = COOS7.score(class_features("coos7", noise=0.01), items, RECIPE, 0, k=3)
    assert [score.name for score in scores] == [f"coos7/test{n}" for n in (1, 2, 3, 4)]
    assert all(score.correct.all() for score in scores)


def test_hdf5_planes_are_read_one_by_one(hdf5_root):
    items = COOS7.load(hdf5_root, RECIPE)
    assert {item.metadata["split"] for item in items} == {"train", "test1", "test3"}
    assert items[3].id == "train/000003"
    with h5py.File(hdf5_root / "COOS7_v1.0_training.hdf5") as file:
        protein, nucleus = items[3].read()
        np.testing.assert_array_equal(protein, file["data"][3, 0])
        np.testing.assert_array_equal(nucleus, file["data"][3, 1])


def test_hdf5_keys_are_arguments(hdf5_root):
    with pytest.raises(InputError, match=r"no 'images', only \['data', 'labels'\]"):
        COOS7.load(hdf5_root, RECIPE, image_key="images")


def test_missing_sets_and_channels_are_named(tmp_path, simulated):
    with pytest.raises(InputError, match=r"no set; train and at least one test set.*Zenodo"):
        COOS7.load(tmp_path, RECIPE)
    folder = tmp_path / "train" / "Golgi"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"Golgi has no \*_protein\.tif"):
        COOS7.load(tmp_path, RECIPE)
    (folder / "1_protein.tif").touch()
    with pytest.raises(InputError, match="1_nucleus"):
        COOS7.load(tmp_path, RECIPE)


def test_one_class_is_no_task(hdf5_root):
    for name in hdf5_root.iterdir():
        with h5py.File(name, "a") as file:
            file["labels"][...] = 0
    items = COOS7.load(hdf5_root, RECIPE)
    table = make_table([item.id for item in items], np.ones((len(items), 2)))
    with pytest.raises(InputError, match="only one class"):
        COOS7.score(table, items, RECIPE, 0)


@pytest.mark.parametrize(
    ("files", "labels"),
    [
        ({"train": "COOS7_v1.0_training.hdf5", "test1": "COOS7_v1.0_testing_1.hdf5"}, np.arange(14)[:, None] % 7),
        ({"train": "COOS7_v1.1_train.hdf5", "test1": "COOS7_v1.1_test1.hdf5"}, (np.arange(14) % 7).astype(float)),
        ({"train": "train.h5", "test1": "TEST_1.H5"}, np.array([str(n % 7) for n in range(14)], dtype="S")),
    ],
)
def test_every_spelling_of_files_and_labels_gives_the_same_cells(tmp_path, files, labels):
    for name in files.values():
        with h5py.File(tmp_path / name, "w") as file:
            file["data"] = np.zeros((14, 2, 8, 8), np.uint16)
            file["labels"] = labels
    items = COOS7.load(tmp_path, RECIPE)
    assert [item.metadata["split"] for item in items] == ["train"] * 14 + ["test1"] * 14
    assert [item.id for item in items] == [f"{split}/{n:06d}" for split in ("train", "test1") for n in range(14)]
    assert [item.metadata["label"] for item in items] == 4 * [f"{n} {name}" for n, name in enumerate(CLASSES)]
    assert CLASSES[2::4] == ("golgi", "nuclear envelope")


def test_words_are_shown_as_they_are_and_two_files_of_one_set_are_refused(tmp_path):
    for name in ("train.hdf5", "test2.hdf5", "testing_2.hdf5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["data"] = np.zeros((2, 2, 8, 8), np.uint16)
            file["labels"] = ["ER", "Golgi"]
    with pytest.raises(InputError, match="all look like test2: keep one"):
        COOS7.load(tmp_path, RECIPE)
    (tmp_path / "testing_2.hdf5").unlink()
    assert [item.metadata["label"] for item in COOS7.load(tmp_path, RECIPE)] == ["ER", "Golgi"] * 2
    (tmp_path / "latest_results").mkdir()  # holds "test", and is none
    assert len(COOS7.load(tmp_path, RECIPE)) == 4
