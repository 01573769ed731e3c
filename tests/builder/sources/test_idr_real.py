"""The real tables of the Image Data Resource and of Recursion: rows and labels as counted in them."""

import shutil
from pathlib import Path

import pytest

from builder.sources import (
    SOURCES,
    idr0003,
    idr0009,
    idr0016,
    idr0017,
    idr0021,
    idr0037,
    idr0041,
    idr0067,
    idr0072,
    idr0080,
    idr0081,
    idr0088,
    idr0093,
    rec_rxrx1,
)
from builder.sources.base import Archive, Field, RejectedItem
from builder.sources.idr import server_folders
from builder.sources.plates import plate_folders

pytestmark = pytest.mark.real


def archive_of(name: str, real_root: Path) -> Archive:
    return Archive(real_root / name, SOURCES[name])


def archive_of_heads(name: str, real_root: Path, tmp_path: Path) -> Archive:
    """The first rows of tables whose rest is not here, under the names of the tables."""
    for table in sorted((real_root / name).glob("head_*")):
        shutil.copy(table, tmp_path / table.name.removeprefix("head_"))
    return Archive(tmp_path, SOURCES[name])


def test_idr0088(real_root):
    table = idr0088.rows(archive_of("idr0088", real_root))
    assert len(table) == 317_430
    assert table["plate"].nunique() == 1_199
    compounds = table["compound"].str.lower().value_counts()
    assert len(compounds) == 1_177
    assert (compounds["dmso"], compounds["aminosalicylate"], compounds.min()) == (33_568, 480, 149)
    mechanisms = table["phenotype"].str.lower().value_counts()
    assert (mechanisms[""], len(mechanisms) - 1) == (74_223, 292)
    assert mechanisms["phosphodiesterase inhibitor"] == 5_704
    assert not table["phenotype"].str.contains("_").any()
    assert table["cell_type"].value_counts().to_dict() == {"HepG2": 106_327, "WPMY-1": 105_972, "A549": 105_131}
    assert table["cell_visible"].value_counts().to_dict() == {
        ("nucleus", "tp53bp1", "clta"): 63_754,
        ("nucleus", "er", "mitochondria"): 63_714,
        ("nucleus", "golgi", "sqstm1"): 63_429,
        ("nucleus", "microtubules", "rela"): 63_413,
        ("nucleus", "actin", "rab5a"): 63_120,
    }


def test_idr0088_every_row_is_accounted_for(real_root):
    reasons = [item.reason for item in SOURCES["idr0088"].scan(archive_of("idr0088", real_root))]
    assert len(reasons) == 317_430
    assert set(reasons) == {"no_image_file"}


def test_idr0037(real_root):
    table = idr0037.rows(archive_of("idr0037", real_root))
    lines = table["cell_type"].value_counts()
    assert (len(table), table["plate"].nunique(), len(lines)) == (3_303, 69, 115)
    assert lines["A1ATD-iPSC patient 1"] == 573
    assert lines.value_counts()[[36, 27, 9]].to_dict() == {36: 14, 27: 55, 9: 18}


def test_idr0037_every_measurement_has_a_folder_of_its_own(real_root, tmp_path):
    archive = archive_of("idr0037", real_root)
    table = idr0037.rows(archive)
    plate_of = idr0037._plate_of(archive, table)
    measured = table.drop_duplicates("plate")
    folders = "images/" + measured["_operetta"].str.replace("/", "_") + "__2015-01-01T00_00_00-Measurement1/Images"
    assert [plate_of(folder) for folder in folders] == measured["plate"].tolist()


def test_idr0009_screen_b_is_not_shifted_by_its_trailing_separators(real_root):
    table = idr0009.rows(archive_of("idr0009", real_root))
    assert (len(table), table["plate"].nunique()) == (26_880, 70)
    sirnas, genes = table["sirna"].value_counts(), table["gene"].value_counts()
    assert (sirnas["Q103860"], sirnas["Q24546"], sirnas[""]) == (944, 472, 6_683)
    assert (genes["GOSR1"], genes["RAB1A"], genes["AADAT"], genes[""]) == (560, 560, 43, 10_076)
    controls = table["control"].value_counts().drop("").to_dict()
    assert controls == {"positive control": 1_153, "negative control": 176, "empty well": 70}
    assert table["phenotype"].value_counts().drop("").to_dict() == {"strong inhibition of secretion": 5_867}


def test_idr0016_of_the_pilot_plates(real_root):
    table = idr0016.rows(archive_of("idr0016", real_root))
    compounds = table["compound"].value_counts()
    assert (len(table), len(compounds), compounds["DMSO"]) == (7_680, 1_600, 1_280)
    assert table["plate"].nunique() == 20
    assert table["plate"].str.isdecimal().all()


def test_idr0021(real_root):
    table = idr0021.rows(archive_of("idr0021", real_root))
    assert (len(table), table["image"].nunique(), table["dataset"].nunique()) == (414, 369, 10)
    assert not table.duplicated(["dataset", "image"]).any()
    assert table["channels"].value_counts().to_dict() == {2: 349, 3: 65}


def test_idr0041_of_one_protein(real_root):
    table = idr0041.rows(archive_of("idr0041", real_root))
    assert (len(table), set(table["gene"])) == (560, {"KIF11"})
    assert set(table["assay"]) == {"140411_KIF11_MitoSys1", "140411_KIF11_MitoSys2"}
    assert (table["cell"].str.fullmatch(r"cell\d+_R\d+") & table["time"].str.fullmatch(r"T\d{4}")).all()
    assert not table.duplicated(["assay", "cell", "time"]).any()


def test_idr0081(real_root):
    table = idr0081.rows(archive_of("idr0081", real_root))
    assert table["laboratory"].value_counts().to_dict() == {"uzh": 768 + 768 + 6_144, "epfl": 768 + 6_144}
    drugs = table[table["plate"].str.startswith("BSF")]
    for laboratory in ("uzh", "epfl"):
        screen = drugs[drugs["laboratory"] == laboratory]
        assert (screen["left_out"] == "").sum() == 5_120
        assert screen["quality"].value_counts().to_dict() == {"pass": 5_120, "": 520, "fail": 504}
    kept = table[table["left_out"] == ""]
    assert kept["compound"].nunique() == 1_153
    assert (kept["compound"] == "Dimethyl sulfoxide").sum() == 2_560


def test_plates_files(real_root):
    assert len(server_folders(archive_of("idr0003", real_root))) == 85
    folders = server_folders(archive_of("idr0017", real_root))
    assert len(folders) == 96
    below = "20151124/14_X-Man_10x/source/2011-11-17_X-Man_LOPAC_X{}_LP_S01_1"
    # The genotypes of the lines in the order of X, as idr0017 lists them.
    genotypes = [folders[below.format(f"{number:02d}")].partition("_LOPAC")[0] for number in range(1, 13)]
    assert (genotypes[4], genotypes[11]) == ("PARENTAL007", "PARENTAL001")
    named = [line.replace(" & ", "_&_").replace(" ", "_") for line in idr0017.LINES.values()]
    assert named[:4] + named[5:11] == genotypes[:4] + genotypes[5:11]
    assert (list(idr0017.LINES)[4], list(idr0017.LINES)[11]) == ("par007", "par001")


def test_idr0093_plates_file_finds_every_plate(real_root):
    folders = server_folders(archive_of("idr0093", real_root))
    plates = sorted(folders.values())
    assert plates == [f"{number:03d}" for number in range(1, 84)]
    plate_of = plate_folders(plates, folders)
    assert {plate_of(f"download/{folder}") == plate for folder, plate in folders.items()} == {True}


def test_idr0093_reads_the_columns_that_the_study_names(real_root, tmp_path):
    config = (real_root / "idr0093" / "idr0093-screenA-bulkmap-config.yml").read_text(encoding="utf-8")
    columns = ["siRNA Pool Identifier 1", "Gene Symbol", "Control Type"]
    assert all(f"name: {name}\n" in config for name in columns)
    text = ",".join(["Plate", "Well", *columns]) + "\n1,B2,s10427,KIF11,positive control\n"
    (tmp_path / "idr0093-screenA-annotation.csv").write_text(text, encoding="utf-8")
    table = idr0093.rows(Archive(tmp_path, SOURCES["idr0093"]))
    assert table.to_dict("records") == [
        {"plate": "001", "well": "B02", "sirna": "s10427", "gene": "KIF11", "control": "positive control"}
    ]


def test_head_of_idr0003(real_root, tmp_path):
    table = idr0003.rows(archive_of_heads("idr0003", real_root, tmp_path))
    assert table["gene"].tolist() == ["", "", "FMP27", "TRM3", "URA2"]
    assert table["phenotype"].unique().tolist() == ["dithiothreitol"]
    assert table[["plate", "well"]].to_numpy().tolist()[0] == ["DTT p1", "A01"]


def test_head_of_idr0017(real_root, tmp_path):
    table = idr0017.rows(archive_of_heads("idr0017", real_root, tmp_path))
    assert len(table) == 10  # five wells, two replicates
    assert table["plate"].unique().tolist() == [f"2011-11-17_X-Man_LOPAC_X01_LP_S01_{number}" for number in (1, 2)]
    assert table["compound"].tolist()[:3] == ["", "", "DL-alpha-Methyl-p-tyrosine"]
    assert table["control"].tolist()[:3] == ["untreated", "untreated", ""]


def test_head_of_idr0067(real_root, tmp_path):
    archive = archive_of_heads("idr0067", real_root, tmp_path)
    table = idr0067.rows(archive)
    assert table["protein"].unique().tolist() == ["Hsp104"]
    assert (table["left_out"] == "").all()
    assert table["image"].is_unique
    assert {item.reason for item in SOURCES["idr0067"].scan(archive)} == {"no_image_file"}


def test_head_of_idr0072(real_root, tmp_path):
    table = idr0072.rows(archive_of_heads("idr0072", real_root, tmp_path))
    assert table["organism"].value_counts().to_dict() == {"human": 5, "mouse": 5}
    assert set(zip(table["cell_type"], table["gene"], table["protein"], strict=True)) == {
        ("MCF 10A", "CALR", "Calr-KDEL"),
        ("NMuMG", "GOLGA5", "Golgin84"),
    }


def test_head_of_idr0080(real_root, tmp_path):
    table = idr0080.rows(archive_of_heads("idr0080", real_root, tmp_path))
    assert table["plate"].unique().tolist() == ["SQ00014610"]
    assert table["gene"].tolist()[:4] == ["", "MCL1", "AKT1", "KRAS"]


def test_rxrx1_of_the_competition(real_root):
    archive = archive_of("rec_rxrx1", real_root)
    table = rec_rxrx1.rows(archive)
    wells = table.groupby(["plate", "well"])["site"].agg(list)
    assert len(wells) == 62_759
    assert set(map(tuple, wells)) == {("1", "2")}
    assert (table["sirna"] == "UNTREATED").sum() == 492
    assert table["cell_type"].unique().tolist() == ["HEPG2", "HUVEC", "RPE", "U2OS"]
    items = list(SOURCES["rec_rxrx1"].scan(archive))
    assert len(items) == 125_518
    assert all(isinstance(item, RejectedItem) and item.reason == "no_image_file" for item in items)


def test_rxrx1_real_images(real_root):
    archive = Archive(real_root / "archives" / "rec_rxrx1", SOURCES["rec_rxrx1"])
    fields = [item for item in SOURCES["rec_rxrx1"].scan(archive) if isinstance(item, Field)]
    assert [field.key for field in fields] == [
        *("HEPG2-01_1/B02/1", "HEPG2-01_2/B02/1", "HEPG2-08_1/B02/1", "HEPG2-08_2/B02/1")
    ]
    assert all((archive.root / file).is_file() for field in fields for file in field.files)
