"""Sources of the BBBC, the Cell Image Library and Kaggle on the real tables and the real lists of file names."""

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from builder.rows import annotate_source
from builder.sources import SOURCES, kag_hpa, kag_hpa_single
from builder.sources.base import Archive, Field, RejectedItem
from builder.vocabulary import load_vocabulary
from cytoimagenet_hf.dataset.splits import assign_splits, leak_report

pytestmark = pytest.mark.real


def scanned(name: str, folder: Path, files: Iterable[str]) -> tuple[list[Field], list[RejectedItem]]:
    """What a source makes of a listing, without the files themselves."""
    archive = Archive(folder, SOURCES[name])
    archive.__dict__["files"] = tuple(sorted(files))
    items = list(SOURCES[name].scan(archive))
    return [i for i in items if isinstance(i, Field)], [i for i in items if isinstance(i, RejectedItem)]


def published(real_root: Path, name: str) -> pd.DataFrame:
    """The table of the original author, with the path below the source's folder in `file`."""
    table = pd.read_csv(next((real_root / name).glob("cytoimagenet_*_metadata.csv*")))
    below = table["path"].str.partition(f"/{name}")[2].str.strip("/")
    return table.assign(
        file=[f"{folder}/{file}".lstrip("/") for folder, file in zip(below, table["filename"], strict=True)]
    )


def test_bbbc005_lists_no_ground_truth(real_root, tmp_path):
    files = published(real_root, "bbbc005")["file"]
    assert len(files) == 2_400
    assert scanned("bbbc005", tmp_path, files) == ([], [])
    fields, _ = scanned("bbbc005", tmp_path, {f"BBBC005_v1_images/{file.rpartition('/')[2]}" for file in files})
    assert Counter(field.cell_visible for field in fields) == {"cell body": 600, "nucleus": 600}


def test_bbbc006(real_root, tmp_path):
    fields, _ = scanned("bbbc006", tmp_path, published(real_root, "bbbc006")["file"])
    assert len(fields) == 1_536
    assert len({field.well for field in fields}) == 384
    assert Counter(field.cell_visible for field in fields) == {"nucleus": 768, "actin": 768}


def test_bbbc013(real_root, tmp_path):
    shutil.copy(real_root / "bbbc013" / "BBBC013_platemap_long_nM.csv", tmp_path)
    files = [*published(real_root, "bbbc013")["file"], "BBBC013_platemap_long_nM.csv"]
    fields, skipped = scanned("bbbc013", tmp_path, files)
    assert (len(fields), skipped) == (192, [])
    wells = {field.well: field.compound for field in fields}
    assert Counter(wells.values()) == {"Wortmannin": 40, "LY294002": 40, "none": 16}


@pytest.mark.parametrize(
    ("name", "number", "wells"), [("bbbc014", 192, 96), ("bbbc015", 288, 36), ("bbbc026", 864, 96)]
)
def test_file_names(real_root, tmp_path, name, number, wells):
    fields, skipped = scanned(name, tmp_path, published(real_root, name)["file"])
    assert (len(fields), skipped) == (number, [])
    assert len({field.well for field in fields}) == wells


def test_bbbc017_library(real_root, tmp_path):
    (tmp_path / "bbbc_colon_metadata.xls").write_bytes(
        gzip.decompress((real_root / "bbbc017" / "bbbc_colon_metadata.xls.gz").read_bytes())
    )
    wells = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]
    names = [
        f"NIRHTa+{plate:03d}/AS_09125_0501160{plate:05d}_{well}f00d0.DIB" for plate in range(1, 15) for well in wells
    ]
    fields, _ = scanned("bbbc017", tmp_path, [*names, "bbbc_colon_metadata.xls"])
    genes = Counter((field.gene or "").lower() for field in fields)
    assert len(fields) == 14 * 384
    assert len(genes) == 870
    assert {gene: genes[gene] for gene in ("shluc", "shlamin", "pgk-gfp", "empty", "sfrs2")} == {
        "shluc": 192,
        "shlamin": 192,
        "pgk-gfp": 192,
        "empty": 311,
        "sfrs2": 33,
    }


def test_bbbc022_library(real_root, tmp_path):
    folder = tmp_path / "bbbc022"
    folder.mkdir()
    shutil.copy(real_root / "bbbc022" / "idr0036-screenA-library.txt.gz", folder)
    library = pd.read_csv(folder / "idr0036-screenA-library.txt.gz", sep="\t", dtype=str)
    wells = library["Well"].str[0] + library["Well"].str[1:].str.zfill(2)
    names = [
        f"BBBC022_v1_images_{plate}w1/IXMtest_{well}_s1_w1.tif"
        for plate, well in zip(library["Plate"], wells, strict=True)
    ]
    fields, skipped = scanned("bbbc022", folder, [*names, "idr0036-screenA-library.txt.gz"])
    vocabulary = load_vocabulary()
    compounds = Counter(vocabulary.label("compound", field.compound).text for field in fields)
    assert (len(fields), skipped) == (7_680, [])
    assert compounds["dmso"] == 1_280
    assert len({field.compound for field in fields}) == 1_600
    assert len(compounds) == 1_547  # 53 names differ by letter case alone


def test_bbbc041_boxes(real_root, tmp_path):
    folder = tmp_path / "malaria"
    folder.mkdir()
    content = gzip.decompress((real_root / "bbbc041" / "BBBC041_test.json.gz").read_bytes())
    (folder / "test.json").write_bytes(content)
    (folder / "training.json").write_text(json.dumps([]))
    fields, skipped = scanned("bbbc041", tmp_path, ["malaria/test.json", "malaria/training.json"])
    assert len(fields) + len(skipped) == 5_922
    assert Counter(field.cell_type for field in fields) == {
        "red blood cell": 5_614,
        "ring": 169,
        "trophozoite": 111,
        "gametocyte": 12,
        "schizont": 11,
        "difficult": 5,
    }
    assert all(field.files[0].endswith(".jpg") for field in fields)


def test_bbbc048_lists(real_root, tmp_path):
    paths: set[str] = set()
    for fold in ("train", "test"):
        lines = gzip.decompress((real_root / "bbbc048" / f"{fold}_fold_1.lst.gz").read_bytes()).decode().splitlines()
        paths |= {line.split("\t")[2].removeprefix("../data/") for line in lines}
    files = [path.replace("_merged.jpg", f"_Ch{channel}.ome.jpg") for path in paths for channel in (3, 4, 6)]
    fields, _ = scanned("bbbc048", tmp_path, [*files, *paths])
    assert len(paths) == 32_266
    assert len({field.key for field in fields}) == len(fields) == 96_798
    counts = Counter(field.phenotype for field in fields)
    assert {stage: count // 3 for stage, count in counts.items()} == {
        "g1": 14_333,
        "s": 8_616,
        "g2": 8_601,
        "prophase": 606,
        "metaphase": 68,
        "telophase": 27,
        "anaphase": 15,
    }


def test_bbbc051_folders(real_root, tmp_path):
    table = published(real_root, "bbbc051")
    fields, _ = scanned("bbbc051", tmp_path, table["file"])
    vocabulary = load_vocabulary()
    types = Counter(vocabulary.label("cell_type", field.cell_type).text for field in fields)
    assert types == Counter(table["cell_type"])
    assert set(types.values()) == {800}


def test_cil_kinome(real_root, tmp_path):
    shutil.copy(real_root / "cil_kinome" / "cil_kinome_mapping.csv", tmp_path)
    fields, _ = scanned("cil_kinome", tmp_path, ["cil_kinome_mapping.csv"])
    vocabulary = load_vocabulary()
    assert len(fields) == 908
    assert len({field.cell_visible for field in fields}) == 12
    assert {vocabulary.label("cell_visible", field.cell_visible).text for field in fields} == {"kinase"}


def test_kag_cell_cycle(real_root, tmp_path):
    fields, _ = scanned("kag_cell_cycle", tmp_path, published(real_root, "kag_cell_cycle")["file"])
    assert Counter(field.phenotype for field in fields) == {"interphase": 57, "mitosis": 33}


def test_kag_hpa_head(real_root, tmp_path):
    shutil.copy(real_root / "kag_hpa" / "head_kag_hpa_2019_train.csv", tmp_path / "train.csv")
    labels = kag_hpa.read_labels(Archive(tmp_path, SOURCES["kag_hpa"]))
    assert len(labels) == 5
    assert labels["00070df0-bbc3-11e8-b2bc-ac1f6b6435d0"] == ("cytokinetic bridge", "nucleoplasm")


def test_kag_hpa_single(real_root, tmp_path):
    shutil.copy(real_root / "kag_hpa_single" / "kag_hpa_singlecell_2021_train.csv.gz", tmp_path / "train.csv.gz")
    labels = kag_hpa_single.read_labels(Archive(tmp_path, SOURCES["kag_hpa_single"]))
    assert len(labels) == 21_806
    # Worked out by hand from the rows 8|5|0, 14|0 and 6|1.
    assert labels["5c27f04c-bb99-11e8-b2b9-ac1f6b6435d0"] == (
        "intermediate filaments",
        "nuclear bodies",
        "nucleoplasm",
    )
    assert labels["5fb643ee-bb99-11e8-b2b9-ac1f6b6435d0"] == ("nucleoplasm",)
    assert labels["60b57878-bb99-11e8-b2b9-ac1f6b6435d0"] == ("nuclear membrane",)
    fields, _ = scanned("kag_hpa_single", tmp_path, ["train.csv.gz"])
    assert len(fields) == 87_224


def test_kag_leukemia_validation(real_root, tmp_path):
    shutil.copy(
        real_root / "kag_leukemia" / "kag_leukemia_val.csv", tmp_path / "C-NMC_test_prelim_phase_data_labels.csv"
    )
    files = [f"validation_data/C-NMC_test_prelim_phase_data/{number}.bmp" for number in range(1, 1_868)]
    fields, skipped = scanned("kag_leukemia", tmp_path, [*files, "C-NMC_test_prelim_phase_data_labels.csv"])
    assert skipped == []
    assert Counter(field.phenotype for field in fields) == {"leukemia": 1_219, "wildtype": 648}


def fields_on_both_sides(name: str, folder: Path, seed: int) -> tuple[int, int, int]:
    """Rows, physical fields and those of them on both sides of the default split, had every row its image."""
    table, _ = annotate_source(SOURCES[name], folder, load_vocabulary())
    images = table.to_pandas().assign(image_id=table["idx"].to_pylist())
    images["label"] = images["cell_visible"].fillna("none")
    split = assign_splits(images, seed=seed)
    report = leak_report(images.assign(split=split.to_numpy()))
    assert len(images) < 10 or set(split) == {"train", "validation"}
    return len(images), report.groups, report.groups_on_both_sides


@pytest.mark.parametrize("seed", range(3))
def test_the_whole_plate_of_bbbc013_has_no_well_on_both_sides(real_root, seed):
    folder = real_root / "plates" / "bbbc013"
    if not folder.is_dir():
        pytest.skip("needs the whole plate of BBBC013 in ../shared/real/plates")
    assert fields_on_both_sides("bbbc013", folder, seed) == (192, 96, 0)


@pytest.mark.parametrize("seed", range(3))
def test_idr0067_has_no_field_on_both_sides(real_root, tmp_path, seed):
    """Files as the table names them, without pixels: the whole table where it is there, else its first rows."""
    tables = sorted(
        (real_root / "idr0067").glob("*idr0067-experimentA-annotation.csv*"), key=lambda path: len(path.name)
    )
    shutil.copy(tables[0], tmp_path / tables[0].name.removeprefix("head_"))
    table = pd.read_csv(tables[0])
    for folder, name in zip(table["Comment [Image File Path]"], table["Image Name"], strict=True):
        path = tmp_path / folder.strip("/") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    rows, fields, both = fields_on_both_sides("idr0067", tmp_path, seed)
    assert both == 0
    if not tables[0].name.startswith("head_"):
        assert (rows, fields) == (336, 84)
    else:
        assert (rows, fields) == (5, 2)
