"""The simulated benchmark sets: real layouts, classes that differ by structure and not by brightness."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from skimage.feature import hog, local_binary_pattern
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.imaging import normalize, read_image
from scripts.simulate import batch_optics, draw_field, expose, simulate_benchmarks
from scripts.simulate.bbbc021 import bbbc021
from scripts.simulate.single_cells import COOS7_CLASSES, COOS7_SHIFT, coos7, mouse_cell
from scripts.simulate.sizes import SIZES

SEED = 3


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("benchmarks")
    simulate_benchmarks(root, size="tiny", seed=SEED)
    return root


def treatments(size):
    """The table of mechanisms, without DMSO, as it would be written."""
    moa = bbbc021(SIZES[size], SEED).tables["bbbc021/BBBC021_v1_moa.csv"]
    return moa[moa["compound"] != "DMSO"]


def test_bbbc021_tables_have_the_columns_and_the_spelling_of_the_real_ones(sets, real_root):
    for name, real in (("image", "BBBC021_v1_image.csv.gz"), ("moa", "BBBC021_v1_moa.csv")):
        simulated = pd.read_csv(sets / "bbbc021" / f"BBBC021_v1_{name}.csv")
        published = pd.read_csv(real_root / "bbbc021" / real)
        assert list(simulated) == list(published), name
    assert set(simulated["moa"]) <= set(published["moa"])
    assert set(simulated["compound"]) <= set(published["compound"])


def test_bbbc021_rows_name_files_that_are_there_and_no_others(sets):
    root = sets / "bbbc021"
    images = pd.read_csv(root / "BBBC021_v1_image.csv")
    named = {
        f"{row[f'Image_PathName_{stain}']}/{row[f'Image_FileName_{stain}']}"
        for _, row in images.iterrows()
        for stain in ("DAPI", "Tubulin", "Actin")
    }
    assert named == {str(path.relative_to(root)) for path in root.rglob("*.tif")}
    assert len(named) == 3 * len(images)
    first = read_image(root / sorted(named)[0])
    assert first.dtype == np.uint16
    assert first.max() > 4095


def test_bbbc021_concentrations_join_as_numbers(sets):
    moa = pd.read_csv(sets / "bbbc021" / "BBBC021_v1_moa.csv", dtype=str)
    assert set(moa["concentration"].str.len().sub(moa["concentration"].str.find("."))) == {7}  # six decimals
    images = pd.read_csv(sets / "bbbc021" / "BBBC021_v1_image.csv")
    keys = set(zip(moa["compound"], moa["concentration"].astype(float), strict=True))
    written = set(zip(images["Image_Metadata_Compound"], images["Image_Metadata_Concentration"], strict=True))
    assert keys <= written
    assert ("DMSO", 0.0) in keys
    assert {compound for compound, _ in written - keys} == {"calpain inhibitor 2 (ALLM)"}  # of no class


def test_bbbc021_has_compounds_to_match_and_one_that_cannot():
    moa = treatments("small")
    assert 38 <= len(moa) <= 103
    assert not moa.duplicated(["compound", "concentration"]).any()
    compounds = moa.groupby("moa")["compound"].nunique()
    assert len(compounds) == 12
    assert (compounds >= 2).sum() == 11
    assert (compounds == 1).sum() == 1


def test_bbbc021_compounds_of_a_class_come_from_different_weeks():
    images = bbbc021(SIZES["small"], SEED).tables["bbbc021/BBBC021_v1_image.csv"]
    weeks = images.groupby("Image_Metadata_Compound")["Image_PathName_DAPI"].agg(
        lambda p: {x.split("/")[0] for x in p}
    )
    by_class = treatments("small").drop_duplicates("compound").groupby("moa")["compound"]
    for mechanism, compounds in by_class:
        used = [weeks[compound] for compound in compounds]
        assert all(len(week) == 1 for week in used)
        assert len(set.union(*used)) == len(used), mechanism
    assert len(weeks["DMSO"]) == 4


def test_coos7_has_every_class_in_every_set(sets):
    root = sets / "coos7"
    assert {path.name for path in root.iterdir()} == {"train", "test1", "test2", "test3", "test4"}
    for part in root.iterdir():
        assert {path.name for path in part.iterdir()} == COOS7_CLASSES.keys()
    stems = {str(path).removesuffix("_protein.tif") for path in root.rglob("*_protein.tif")}
    assert len(stems) == 7 * (SIZES["tiny"].train_cells + 4 * SIZES["tiny"].test_cells)
    one = sorted(stems)[0]
    protein, nucleus, mask = (read_image(f"{one}_{name}.tif") for name in ("protein", "nucleus", "mask"))
    assert protein.shape == nucleus.shape == mask.shape == (64, 64)
    assert protein.dtype == nucleus.dtype == np.uint16
    assert set(np.unique(mask)) == {0, 255}
    assert nucleus[mask > 0].mean() > 2 * nucleus[mask == 0].mean()


def test_coos7_sets_shift_further_and_test1_shares_the_training_plates():
    optics = {part: [] for part in COOS7_SHIFT}
    for field in coos7(SIZES["small"], SEED).fields:
        optics[field.key.split("/")[1]].append(field.optics)
    assert {*optics["test1"]} == {*optics["train"]}
    assert all(not {*optics[part]} & {*optics["train"]} for part in ("test2", "test3", "test4"))
    severities = [COOS7_SHIFT[f"test{n}"] for n in (1, 2, 3, 4)]
    assert severities == sorted(set(severities))


def test_cyclops_has_the_nineteen_folders(sets):
    folders = sorted((sets / "cyclops" / "chong_labeled").iterdir())
    assert len(folders) == 19
    assert {"DEAD", "GHOST", "SPINDLE", "SPINDLEPOLE"} <= {folder.name for folder in folders}
    for folder in folders:
        for number in range(SIZES["tiny"].yeast_cells):
            for channel in ("gfp", "rfp"):
                image = read_image(folder / f"{folder.name}_{number}_{channel}.tif")
                assert image.dtype == np.float32
                assert image.shape == (64, 64)
                assert image.min() >= 0
                assert image.std() > 0


def test_equal_seeds_write_equal_bytes(sets, tmp_path):
    simulate_benchmarks(tmp_path, size="tiny", seed=SEED, names=["cyclops"], workers=2)
    written = sorted(tmp_path.rglob("*.tif"))
    assert len(written) == 19 * 2 * SIZES["tiny"].yeast_cells
    for path in written:
        old = sets / path.relative_to(tmp_path)
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(old.read_bytes()).digest()


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="no simulated layout for rxrx1: known are bbbc021, coos7, cyclops"):
        simulate_benchmarks(tmp_path, seed=0, names=["rxrx1"])


def test_structure_tells_classes_apart_and_brightness_hardly_does():
    """A descriptor of edges and textures must far outdo a histogram of raw gray values, across plates."""
    histograms, textures, labels, held_out = [], [], [], []
    for label, structure in enumerate(COOS7_CLASSES.values()):
        for number in range(36):
            rng = derive_rng(0, "separation", f"{structure}/{number}")
            optics = batch_optics(derive_rng(0, "plate", str(number % 9)), severity=1.0)
            cell = draw_field(rng, mouse_cell(0, f"{structure}/{number}"), 64, [structure], single=True)[structure]
            pixels = expose(rng, cell, optics, depth="uint16")
            histograms.append(np.histogram(pixels, bins=32, range=(0, 65535))[0])
            textures.append(describe(normalize(pixels)))
            labels.append(label)
            held_out.append(number % 9 >= 6)  # plates 6, 7 and 8
    brightness, structure = accuracy(histograms, labels, held_out), accuracy(textures, labels, held_out)
    assert brightness < 0.65
    assert structure > brightness + 0.15


def describe(image):
    """Oriented gradients without their place, and local binary patterns at three scales."""
    eight = (image * 255).astype(np.uint8)
    gradients = hog(image, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(1, 1), feature_vector=False)
    patterns = [
        np.histogram(local_binary_pattern(eight, 8, radius, "uniform"), bins=10, range=(0, 10))[0] / 4096
        for radius in (1, 2, 4)
    ]
    radial = [image[ring].mean() for ring in _rings()]
    return np.concatenate([np.sort(gradients.reshape(-1, 9), axis=0)[::8].ravel(), *patterns, radial])


def _rings():
    ys, xs = np.indices((64, 64)) - 31.5
    distance = np.hypot(ys, xs)
    return [(distance >= low) & (distance < low + 4) for low in range(0, 32, 4)]


def accuracy(features, labels, held_out):
    features, labels, held_out = (np.asarray(values) for values in (features, labels, held_out))
    scaler = StandardScaler().fit(features[~held_out])
    model = KNeighborsClassifier(7).fit(scaler.transform(features[~held_out]), labels[~held_out])
    return model.score(scaler.transform(features[held_out]), labels[held_out])
