"""CYCLoPs: which label a folder gets under each recipe."""

from collections import Counter

import pytest

from cytoimagenet_hf.benchmarks import RECIPES
from cytoimagenet_hf.benchmarks.cyclops import CYCLOPS, folder_labels
from cytoimagenet_hf.errors import InputError

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
    found = {}
    for name, recipe in RECIPES.items():
        items = CYCLOPS.load(simulated / "cyclops", recipe)
        found[name] = Counter((item.metadata["folder"], item.metadata["label"]) for item in items)
    assert any(folder == "DEAD" for folder, _ in found["published"])
    assert not any(folder in ("DEAD", "GHOST") for folder, _ in found["corrected"])
    assert any(folder != label for folder, label in found["published"] if folder != "SPINDLEPOLE")
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
    with pytest.raises(InputError, match="is no folder"):
        CYCLOPS.load(tmp_path / "absent", RECIPES["corrected"])
