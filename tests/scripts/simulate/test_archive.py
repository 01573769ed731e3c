"""The simulated archive: real layouts and columns, equal bytes for equal seeds, faults where they are said to be."""

import csv
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builder.annotate import annotate
from builder.sources import SOURCES
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.simulated import MARK
from cytoimagenet_hf.imaging import ImageReadError, quality_issue, read_image
from scripts.simulate import simulate_archive
from scripts.simulate.layouts import LAYOUTS
from scripts.simulate.sizes import SIZES

SEED = 5
TABLES = {
    "rec_rxrx1": "rec_rxrx1/rxrx1/metadata.csv",
    "bbbc022": "bbbc022/BBBC022_v1_image.csv",
    "idr0088": "idr0088/idr0088-screenA-annotation.csv.zip",
    "bbbc013": "bbbc013/BBBC013_platemap_long_nM.csv",
    "kag_leukemia": "kag_leukemia/C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data_labels.csv",
    "bbbc006": "bbbc006/BBBC006_v1_counts.csv",
    "cil_kinome": "cil_kinome/cil_kinome_mapping.csv",
    "kag_hpa": "kag_hpa/train.csv",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    root = tmp_path_factory.mktemp("archive")
    return root, simulate_archive(root, size="tiny", seed=SEED)


def table(root, source):
    return pd.read_csv(root / TABLES[source], dtype=str, keep_default_na=False)


def contents(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_tiny_archive_is_small(archive):
    root, _ = archive
    sizes = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
    assert len(sizes) > 500
    assert sum(sizes) < 16e6


def test_every_layout_has_a_source_of_that_name():
    assert len(LAYOUTS) >= 7
    assert LAYOUTS.keys() <= SOURCES.keys()


@pytest.mark.parametrize("workers", [1, 2])
def test_equal_seeds_write_equal_bytes_for_any_number_of_workers(archive, tmp_path, workers):
    root, _ = archive
    chosen = ["bbbc038", "kag_leukemia", "bbbc006"]
    simulate_archive(tmp_path, size="tiny", seed=SEED, sources=chosen, workers=workers)
    kept = (*chosen, MARK)
    expected = {path: digest for path, digest in contents(root).items() if path.split("/")[0] in kept}
    assert contents(tmp_path) == expected


def test_another_seed_writes_other_pixels(archive, tmp_path):
    root, _ = archive
    simulate_archive(tmp_path, size="tiny", seed=SEED + 1, sources=["cil_kinome"])
    old, new = contents(root), contents(tmp_path)
    images = [path for path in new if path.endswith(".tif")]
    assert images
    assert all(old[path] != new[path] for path in images)


def test_writing_twice_into_one_folder_changes_nothing(tmp_path):
    first = simulate_archive(tmp_path, size="tiny", seed=1, sources=["bbbc038"])
    before = contents(tmp_path)
    assert simulate_archive(tmp_path, size="tiny", seed=1, sources=["bbbc038"]) == first
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("source", "real"),
    [
        ("idr0088", "idr0088/idr0088-screenA-annotation.csv.zip"),
        ("bbbc013", "bbbc013/BBBC013_platemap_long_nM.csv"),
        ("kag_leukemia", "kag_leukemia/kag_leukemia_val.csv"),
        ("cil_kinome", "cil_kinome/cil_kinome_mapping.csv"),
        ("bbbc006", "bbbc006/bbbc_human_u2os_focus.csv.gz"),
        ("kag_hpa", "kag_hpa/head_kag_hpa_2019_train.csv"),
    ],
)
def test_tables_have_the_columns_of_the_real_ones(archive, real_root, source, real):
    root, _ = archive
    assert list(table(root, source)) == list(pd.read_csv(real_root / real, nrows=2))


def test_the_zipped_table_holds_one_member_named_as_the_real_one(archive):
    root, _ = archive
    with zipfile.ZipFile(root / TABLES["idr0088"]) as zipped:
        assert zipped.namelist() == ["idr0088-screenA-annotation.csv"]
        header = next(csv.reader(io.TextIOWrapper(zipped.open(zipped.namelist()[0]), "utf-8")))
    assert header[:2] == ["Plate", "Well"]


@pytest.mark.parametrize(
    ("pattern", "dtype", "channels"),
    [
        ("rec_rxrx1/rxrx1/images/HUVEC-01/Plate1/*_s1_w1.png", np.uint8, 1),
        ("bbbc022/BBBC022_v1_images_20585w5/IXMtest_*_s1_w5*.tif", np.uint16, 1),
        ("idr0088/20200722-awss3/*/*/raw_images_for_IDR/*/*/*/*_T0001F001L01A03Z01C03.tif", np.uint16, 1),
        ("bbbc013/BBBC013_v1_images_bmp/Channel2-*-*-*.BMP", np.uint8, 1),
        ("kag_leukemia/C-NMC_Leukemia/training_data/fold_*/all/UID_*_all.bmp", np.uint8, 3),
        ("bbbc006/BBBC006_v1_images_z_16/mcf-z-stacks-03212011_*_s2_w1*.tif", np.uint16, 1),
        ("cil_kinome/53464.tif", np.uint8, 1),
        ("kag_hpa/train/*_green.png", np.uint8, 1),
        ("bbbc038/stage1_train/*/images/*.png", np.uint8, 3),
    ],
)
def test_names_and_depths_are_those_of_the_real_files(archive, pattern, dtype, channels):
    root, planted = archive
    spoilt = {*planted.truncated, *planted.empty, *planted.uniform, *planted.binary, *planted.dim}
    files = [path for path in sorted(root.glob(pattern)) if str(path.relative_to(root)) not in spoilt]
    assert files
    image = read_image(files[0])
    assert image.dtype == dtype
    assert image.ndim == (3 if channels == 3 else 2)
    assert quality_issue(image.mean(axis=2) if channels == 3 else image) in (
        {"dim"} if "leukemia" in pattern else {None}  # as in the real set: cells cut out on black
    )


def test_twelve_bit_sources_keep_to_twelve_bits_and_use_them(archive):
    root, _ = archive
    image = read_image(next(iter(sorted(root.glob("bbbc022/*w1/*.tif")))))
    assert image.max() < 4096
    assert len(np.unique(image)) > 256


def test_unreadable_files_do_not_decode(archive):
    root, planted = archive
    assert len(planted.truncated) == 2
    assert len(planted.empty) == 1
    for path in planted.truncated + planted.empty:
        with pytest.raises(ImageReadError):
            read_image(root / path)


def test_images_without_content_are_what_they_are_called(archive):
    root, planted = archive
    for reason in ("uniform", "binary", "dim"):
        paths = getattr(planted, reason)
        assert len(paths) == 1
        image = read_image(root / paths[0])
        assert quality_issue(image if image.ndim == 2 else image.mean(axis=2)) == reason


def test_missing_channels_leave_their_siblings(archive):
    root, planted = archive
    assert len(planted.missing_channels) == 2
    rxrx1 = next(path for path in planted.missing_channels if path.startswith("rec_rxrx1"))
    siblings = [root / rxrx1.replace("_w5.png", f"_w{channel}.png") for channel in (1, 2, 3, 4, 6)]
    assert not (root / rxrx1).exists()
    assert all(path.exists() for path in siblings)


def test_duplicates_are_equal_under_different_labels(archive):
    root, planted = archive
    sirna = table(root, "rec_rxrx1").set_index(["experiment", "plate", "well", "site"])["sirna"]
    leukemia = table(root, "kag_leukemia").set_index("new_names")["labels"]
    assert len(planted.duplicates) == 2
    for first, second in planted.duplicates:
        assert [(root / path).read_bytes() for path in first] == [(root / path).read_bytes() for path in second]
        labels = []
        for path in (Path(first[0]), Path(second[0])):
            if path.parts[0] == "rec_rxrx1":
                well, site, _ = path.stem.split("_")
                labels.append(sirna[path.parts[-3], path.parts[-2].removeprefix("Plate"), well, site[1:]])
            else:
                named = path.stem.rpartition("_")[2]
                labels.append({"1": "all", "0": "hem"}[leukemia[path.name]] if named.isdigit() else named)
        assert labels[0] != labels[1]


def test_odd_labels_stand_in_the_tables_as_they_are(archive):
    root, planted = archive
    written = {*table(root, "idr0088")["Compound Name"], *table(root, "idr0088")["Compound MoA"]}
    odd = {label for label, category in planted.odd_labels.items() if category in ("compound", "phenotype")}
    assert {"Y-27632 * 2HCl", "A 23187 | Calcimycin", "(+)-Bay K 8644 [R]"} <= odd & written
    sirna = {*table(root, "rec_rxrx1")["sirna"]}
    assert {"s86", "s8645", "EMPTY"} <= sirna  # one begins another


def test_the_small_size_names_a_label_that_begins_another():
    reporters = {field.labels["reporter"] for field in LAYOUTS["idr0088"](SIZES["small"], 0).fields}
    assert {"ACTB-RAB5A", "RAB5-RELA"} <= reporters


def test_the_small_size_has_labels_of_several_kinds_with_many_fields():
    counts: dict[tuple[str, str], int] = {}
    for layout in LAYOUTS.values():
        for field in layout(SIZES["small"], 0).fields:
            for item in field.labels.items():
                counts[item] = counts.get(item, 0) + 1
    common = [item for item, count in counts.items() if count >= 30 and item[1]]
    assert 30 <= len(common) <= 70
    assert {category for category, _ in common} >= {"compound", "sirna", "phenotype", "cell_type", "cell_visible"}


def test_builder_reports_the_rows_and_files_that_do_not_match(archive, tmp_path):
    root, planted = archive
    summary = annotate(root, tmp_path / "out")
    rejected = pd.read_parquet(tmp_path / "out" / "annotate.rejected.parquet")
    assert summary.kept + len(rejected) == summary.rows_in
    without_files = rejected[rejected["reason"] == "no_image_file"]
    assert sorted(without_files["dir_name"]) == sorted(paths[0].split("/")[0] for paths in planted.rows_without_files)
    strays = rejected[rejected["reason"] == "image_without_row"]
    assert set(strays["dir_name"]) == {"idr0088"}
    kept = pd.read_parquet(tmp_path / "out" / "annotations.parquet")
    used = {file for files in kept["channel_files"] for file in files}
    assert planted.masks
    assert not used & set(planted.masks)
    assert set(planted.uniform) <= used
    assert not used & {path for paths in planted.files_without_rows for path in paths}


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="size 'huge' is not known: choose one of tiny, small"):
        simulate_archive(tmp_path, size="huge", seed=0)
    with pytest.raises(InputError, match="no simulated layout for bbbc021: known are rec_rxrx1"):
        simulate_archive(tmp_path, seed=0, sources=["bbbc021"])
    assert not any(tmp_path.iterdir())
