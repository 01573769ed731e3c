"""CYCLoPs: which label a folder gets under each recipe."""

from collections import Counter

import h5py
import numpy as np
import pytest

from cytoimagenet_hf.benchmarks import RECIPES
from cytoimagenet_hf.benchmarks.tasks.cyclops import CYCLOPS, folder_labels
from cytoimagenet_hf.core.errors import InputError

FOLDERS = [
    *("ACTIN", "BUDNECK", "BUDTIP", "CELLPERIPHERY", "CYTOPLASM", "DEAD", "ENDOSOME", "ER", "GHOST", "GOLGI"),
    *("MITOCHONDRIA", "NUCLEARPERIPHERY", "NUCLEI", "NUCLEOLUS", "PEROXISOME", "SPINDLE", "SPINDLEPOLE"),
    *("VACUOLARMEMBRANE", "VACUOLE"),
]


def test_corrected_gives_each_folder_its_own_label():
    labels = folder_labels(FOLDERS, shifted=False)
    assert len(labels) == 17
    assert len(set(labels.values())) == 16
    assert labels["SPINDLEPOLE"] == "SPINDLE"
    assert not {"DEAD", "GHOST"} & set(labels)
    assert all(label == folder for folder, label in labels.items() if folder != "SPINDLEPOLE")


def test_published_shifts_labels_as_the_original_did():
    labels = folder_labels(FOLDERS, shifted=True)
    assert labels["ACTIN"] == "ACTIN"  # before DEAD nothing moves
    assert (labels["DEAD"], labels["ENDOSOME"], labels["ER"]) == ("ENDOSOME", "ER", "GOLGI")
    assert (labels["GHOST"], labels["GOLGI"]) == ("MITOCHONDRIA", "NUCLEARPERIPHERY")  # after GHOST by two
    assert (labels["NUCLEOLUS"], labels["PEROXISOME"]) == ("SPINDLE", "SPINDLE")
    assert "VACUOLE" not in labels
    assert "VACUOLARMEMBRANE" not in labels


def test_simulated_set_under_both_recipes(simulated, class_features):
    counts = {}
    for name, recipe in RECIPES.items():
        items = CYCLOPS.load(simulated / "cyclops", recipe)
        counts[name] = Counter((item.metadata["folder"], item.metadata["label"]) for item in items)
    assert any(folder == "DEAD" for folder, _ in counts["published"])
    assert not any(folder in ("DEAD", "GHOST") for folder, _ in counts["corrected"])
    assert any(folder != label for folder, label in counts["published"] if folder != "SPINDLEPOLE")
    table = class_features("cyclops", noise=0.01)
    items = CYCLOPS.load(simulated / "cyclops", RECIPES["corrected"])
    (score,) = CYCLOPS.score(table, items, RECIPES["corrected"], 0, k=3)
    assert score.correct.mean() > 0.99
    assert score.details["classes"] == 16


def test_a_folder_between_is_found_and_problems_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no class folders.*DeepLoc"):
        CYCLOPS.load(tmp_path, RECIPES["corrected"])
    folder = tmp_path / "chong_labeled" / "ER"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"no \*_gfp\.tif"):
        CYCLOPS.load(tmp_path, RECIPES["corrected"])
    for channel in ("gfp", "rfp"):
        (folder / f"ER_7_{channel}.tif").touch()
    (item,) = CYCLOPS.load(tmp_path, RECIPES["corrected"])
    assert (item.id, item.metadata["label"]) == ("ER/ER_7", "ER")
    with pytest.raises(InputError, match="is not a folder"):
        CYCLOPS.load(tmp_path / "absent", RECIPES["corrected"])


def _deeploc(path, *, side=4, cells=6, names=("ER", "GHOST", "SPINDLEPOLE"), fields=None):
    """A file of DeepLoc's form; pixel value = 100 * cell + place, so that planes tell where they came from."""
    with h5py.File(path, "w") as file:
        file["data1"] = 100.0 * np.arange(cells)[:, None] + np.arange(2 * side * side)
        file["Index1"] = np.eye(3, dtype=np.uint8)[np.arange(cells) % 3]
        file.attrs["Index1_columns"] = np.array(names, dtype="S17")
        if fields is not None:
            file["Info1"] = np.stack([np.arange(cells), fields], axis=1).astype(float)
            file["Info1_columns"] = np.array(["Area", "ImageNumber"], dtype="S12")


def test_deeploc_files_give_flat_channel_major_cells_with_their_classes(tmp_path):
    _deeploc(tmp_path / "Chong_train_set.hdf5")
    _deeploc(tmp_path / "Chong_test_set.hdf5", fields=[7, 7, 7, 9, 9, 9])
    items = CYCLOPS.load(tmp_path, RECIPES["corrected"])
    assert [item.id for item in items[:2]] == ["test/000000", "test/000002"]
    assert [item.metadata["label"] for item in items[:4]] == ["ER", "SPINDLE", "ER", "SPINDLE"]
    assert [item.metadata.get("group") for item in items] == ["7", "7", "9", "9", None, None, None, None]
    _deeploc(tmp_path / "Chong_test_set.hdf5", fields=[1234567, 1234567, 1234567, 1234568, 1234568.5, 1234568.5])
    groups = [item.metadata.get("group") for item in CYCLOPS.load(tmp_path, RECIPES["corrected"])[:4]]
    assert groups == ["1234567", "1234567", "1234568", "1234568.5"]
    protein, cytosol = items[1].read()
    assert protein.tolist() == (200 + np.arange(16).reshape(4, 4)).tolist()
    assert cytosol.tolist() == (216 + np.arange(16).reshape(4, 4)).tolist()


def test_deeploc_files_with_doubtful_content_are_refused(tmp_path):
    file = tmp_path / "Chong_train_set.hdf5"
    _deeploc(file, names=("ER", "GHOST"))
    with pytest.raises(InputError, match="names 2 classes for 3 columns"):
        CYCLOPS.load(tmp_path, RECIPES["corrected"])
    _deeploc(file)
    with h5py.File(file, "a") as content:
        content["Index1"][4] = [1, 1, 0]
    with pytest.raises(InputError, match="1 cells have no class or several, such as row 4"):
        CYCLOPS.load(tmp_path, RECIPES["corrected"])
    _deeploc(file)
    with pytest.raises(InputError, match="no column 'plate' in Info1"):
        CYCLOPS.load(tmp_path, RECIPES["corrected"], group="plate")


@pytest.mark.real
def test_a_real_deeploc_file_is_read(real_root, tmp_path):
    (tmp_path / "set.hdf5").symlink_to(real_root / "cyclops_wt2" / "DeepLoc_Schuldiner_test_set_small.hdf5")
    items = CYCLOPS.load(tmp_path, RECIPES["corrected"])
    assert len(items) == 36
    assert {item.metadata["label"] for item in items} <= {
        *("ER", "Bud", "Bud Neck", "Cell Periphery", "Cytosol", "Mitochondria", "Nuclear Periphery", "Nucleus"),
        *("Punctate", "Vacuole", "Vacuole Membrane"),
    }
    assert [plane.shape for plane in items[0].read()] == [(64, 64), (64, 64)]
