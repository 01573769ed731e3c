"""The first stage on small archives: what it writes, what it records, what it refuses."""

import gzip
import json
import lzma
import os
import shutil
from dataclasses import replace
from pathlib import Path

import archives
import pandas as pd
import pyarrow.parquet as pq
import pytest

from builder.annotate import annotate
from builder.rows import field_id
from builder.sources import SOURCES
from builder.sources.filter import SourceFilter, choose_sources
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA


def make(raw: Path, *names: str) -> Path:
    for name in names:
        (raw / name).mkdir(parents=True)
        archives.MAKERS[name](raw / name)
    return raw


def rows(output: Path) -> pd.DataFrame:
    return pq.read_table(output / "annotations.parquet").to_pandas().set_index("idx")


def annotated(raw: Path, output: Path) -> Path:
    annotate(raw, output)
    return output


def rejected(output: Path) -> dict[str, int]:
    table = pd.read_parquet(output / "annotate.rejected.parquet")
    return table["reason"].value_counts().to_dict()


def test_writes_table_rejections_and_summary(tmp_path):
    raw, output = make(tmp_path / "raw", "bbbc013", "kag_leukemia", "bbbc006"), tmp_path / "out"
    summary = annotate(raw, output)
    table = pq.read_table(output / "annotations.parquet")
    assert table.schema == ANNOTATION_SCHEMA
    assert table["idx"].to_pylist() == sorted(table["idx"].to_pylist())
    assert (summary.rows_in, summary.kept, summary.rejected) == (29, 21, {"out_of_focus": 8})
    assert summary.by_source["bbbc006"] == {"kept": 8, "rejected": 8}
    written = json.loads((output / "annotate.summary.json").read_text())
    assert written["kept"] == 21
    assert rejected(output) == {"out_of_focus": 8}


def test_a_row_in_full(tmp_path):
    annotate(make(tmp_path / "raw", "bbbc013"), tmp_path / "out")
    row = rows(tmp_path / "out").loc[field_id("bbbc013", "A12/channel2")]
    assert row["path"] == "bbbc013/BBBC013_v1_images_bmp"
    assert row["filename"] == "Channel2-12-A-12.BMP"
    assert list(row["channel_files"]) == ["bbbc013/BBBC013_v1_images_bmp/Channel2-12-A-12.BMP"]
    assert list(row["channels"]) == ["nucleus"]
    assert row["compound"] == "wortmannin"
    assert row["cell_type"] == "u2os"
    assert row["well"] == "A12"
    assert row["control"] == "positive"
    assert row["licence"] == "cc-by-3.0"
    assert pd.isna(row["gene"])


def test_pages_and_regions_are_recorded(tmp_path):
    annotate(make(tmp_path / "raw", "bbbc041", "bbbc051", "cil_kinome"), tmp_path / "out")
    table = rows(tmp_path / "out")
    assert {tuple(pages) for pages in table.loc[table.dir_name == "bbbc051", "channel_pages"]} == {(3,)}
    two_planes = table.loc[field_id("cil_kinome", "53465")]
    assert list(two_planes["channels"]) == ["nucleus", "protein"]
    assert list(two_planes["channel_files"]) == ["cil_kinome/53465.tif"] * 2
    assert list(two_planes["channel_pages"]) == [0, 1]
    boxes = table.loc[table.dir_name == "bbbc041", "region"].map(tuple)
    assert set(boxes) == {(0, 3, 0, 4), (2, 5, 1, 5), (4, 7, 2, 6)}


def test_filters(tmp_path):
    raw = make(tmp_path / "raw", "bbbc013", "bbbc038", "bbbc015")
    annotate(raw, tmp_path / "a", sources=SourceFilter(only=["BBBC013"]))
    assert set(rows(tmp_path / "a").dir_name) == {"bbbc013"}
    annotate(raw, tmp_path / "b", sources=SourceFilter(exclude=["bbbc013"]))
    assert set(rows(tmp_path / "b").dir_name) == {"bbbc015", "bbbc038"}
    annotate(raw, tmp_path / "c", sources=SourceFilter(licences=["cc0", "cc-by"]))
    assert set(rows(tmp_path / "c").dir_name) == {"bbbc013", "bbbc038"}
    with pytest.raises(InputError, match="no such licence"):
        annotate(raw, tmp_path / "d", sources=SourceFilter(licences=["gpl"]))
    with pytest.raises(InputError, match=r"bbbc999.*no such source"):
        annotate(raw, tmp_path / "d", sources=SourceFilter(only=["bbbc999"]))
    with pytest.raises(InputError, match=r"bbbc010.*no such folder"):
        annotate(raw, tmp_path / "d", sources=SourceFilter(only=["bbbc010"]))


def test_cc_by_does_not_take_in_non_commercial_licences():
    licences = {source.licence for source in choose_sources(SourceFilter(licences=["cc-by"])).values()}
    assert licences
    assert all(licence.startswith("cc-by-") and "nc" not in licence for licence in licences)


# Refusals


def test_no_known_source(tmp_path):
    (tmp_path / "raw" / "holiday").mkdir(parents=True)
    with pytest.raises(InputError, match="it holds holiday"):
        annotate(tmp_path / "raw", tmp_path / "out")
    with pytest.raises(InputError, match="is not a folder"):
        annotate(tmp_path / "nowhere", tmp_path / "out")
    make(tmp_path / "raw", "bbbc013")
    with pytest.raises(InputError, match=f"pass --raw {tmp_path / 'raw'}"):
        annotate(tmp_path / "raw" / "bbbc013", tmp_path / "out")
    assert not (tmp_path / "out" / "annotations.parquet").exists()


def test_two_folders_of_one_source_are_refused(tmp_path):
    raw = make(tmp_path / "raw", "bbbc013")
    try:
        (raw / "BBBC013").mkdir()
    except FileExistsError:
        pytest.skip("names differ by more than case on this disk")
    with pytest.raises(InputError, match="holds BBBC013 and bbbc013, both bbbc013: rename or remove one"):
        annotate(raw, tmp_path / "out")


def test_benchmarks_are_refused_by_name(tmp_path):
    raw = make(tmp_path / "raw", "bbbc013")
    (raw / "bbbc021").mkdir()
    with pytest.raises(InputError, match="BBBC021 is a benchmark"):
        annotate(raw, tmp_path / "a", sources=SourceFilter(only=["bbbc021"]))
    summary = annotate(raw, tmp_path / "b")
    assert summary.details["refused"] == ["bbbc021"]
    assert summary.rejected == {"benchmark_set": 1}
    assert annotate(raw, tmp_path / "c", sources=SourceFilter(exclude=["bbbc021"])).rejected == {}
    shutil.rmtree(raw / "bbbc013")
    with pytest.raises(InputError, match="BBBC021, a benchmark"):
        annotate(raw, tmp_path / "d")


@pytest.mark.parametrize(
    "file", ["Week1/Week1_22123/a.tif", "BBBC021_v1_image.csv", "test1/0/12_protein.tif", "ACTIN/ACTIN_1_gfp.tif"]
)
def test_benchmarks_are_refused_by_their_files(tmp_path, file):
    raw = make(tmp_path / "raw", "bbbc013")
    (raw / "bbbc013" / file).parent.mkdir(parents=True, exist_ok=True)
    (raw / "bbbc013" / file).touch()
    with pytest.raises(InputError, match="a benchmark"):
        annotate(raw, tmp_path / "out")
    assert not (tmp_path / "out" / "annotations.parquet").exists()


def test_a_benchmark_under_another_name_is_refused(tmp_path):
    folder = tmp_path / "my_cells" / "Week1" / "Week1_22123"
    folder.mkdir(parents=True)
    (folder / "a.tif").touch()
    for raw in (tmp_path, tmp_path / "my_cells"):
        with pytest.raises(InputError, match="holds BBBC021, a benchmark"):
            annotate(raw, tmp_path / "out")


# Bad input


def test_missing_table_names_source_and_table_and_the_way_out(tmp_path):
    raw = make(tmp_path / "raw", "bbbc013", "bbbc017")
    (raw / "bbbc017" / "bbbc_colon_metadata.xls").unlink()
    only = SourceFilter(only=["bbbc017"])
    with pytest.raises(InputError, match=r"bbbc017: bbbc_colon_metadata.xls.*--exclude bbbc017"):
        annotate(raw, tmp_path / "out", sources=only)
    assert list((tmp_path / "out").iterdir()) == []
    assert annotate(raw, tmp_path / "out", sources=SourceFilter(exclude=["bbbc017"])).kept == 6


def test_a_bad_table_is_recorded_and_the_other_sources_go_on(tmp_path):
    raw = make(tmp_path / "raw", "bbbc012", "bbbc013", "bbbc017", "bbbc022")
    (raw / "bbbc017" / "bbbc_colon_metadata.xls").unlink()
    (raw / "bbbc022" / "BBBC022_v1_image.csv").write_bytes(b"TableNumber,caf\xe9\n1,2\n")
    summary = annotate(raw, tmp_path / "out")
    assert set(rows(tmp_path / "out")["dir_name"]) == {"bbbc012", "bbbc013"}
    assert summary.details["refused"] == ["bbbc017", "bbbc022"]
    assert "not UTF-8" in summary.details["refused_because"]["bbbc022"]
    assert summary.rejected["unreadable_source"] == 2
    assert summary.rows_in == summary.kept + sum(summary.rejected.values())
    left_out = pd.read_parquet(tmp_path / "out" / "annotate.rejected.parquet")
    detail = left_out[left_out["reason"] == "unreadable_source"].set_index("dir_name")["detail"]
    assert "--exclude bbbc017" in detail["bbbc017"]


def test_a_source_of_which_no_file_fits_says_how_its_files_should_lie(tmp_path):
    raw = make(tmp_path / "raw", "bbbc013", "bbbc020")
    shutil.move(
        raw / "bbbc020" / "BBBC020_v1_images" / "jw-Kontrolle1" / "jw-Kontrolle1_c1.TIF", raw / "bbbc020" / "x.TIF"
    )
    shutil.rmtree(raw / "bbbc020" / "BBBC020_v1_images")
    reasons = annotate(raw, tmp_path / "out").details["refused_because"]
    assert "<sample>/<sample>_c1.TIF" in reasons["bbbc020"]


def test_bbbc014_has_the_cell_line_of_the_row_of_its_well(tmp_path):
    lines = rows(annotated(make(tmp_path / "raw", "bbbc014"), tmp_path / "out")).set_index("well")["cell_type"]
    assert lines.to_dict() == {"A01": "mcf7", "H12": "a549"}


def test_a_list_of_what_may_be_there_is_written_with_strokes_and_named(tmp_path):
    raw = make(tmp_path / "raw", "bbbc026", "bbbc038")
    table = rows(annotated(raw, tmp_path / "out")).drop_duplicates("dir_name").set_index("dir_name")
    assert table["organism"].to_dict() == {"bbbc026": "human|mouse", "bbbc038": "human/mouse/fly"}  # both are there
    assert table["uncertain"].dropna().to_dict() == {"bbbc038": "organism"}


def test_bbbc022_in_the_folders_of_idr0036(tmp_path):
    raw = make(tmp_path / "raw", "bbbc022")
    (raw / "bbbc022" / "BBBC022_v1_image.csv").unlink()
    stains = {"1": "Hoechst", "2": "ERSyto", "3": "ERSytoBleed", "4": "Ph_golgi", "5": "Mito"}
    for folder in list((raw / "bbbc022").iterdir()):
        folder.rename(folder.with_name(f"20585-{stains[folder.name[-1]]}"))
    header = ["Plate", "Well", "Compound Name", "Control Type"]
    wells = [["20585", "a1", "taxol", ""], ["20585", "a2", "", "mock"], ["20585", "p24", "aspirin", ""]]
    archives.write_table(raw / "bbbc022" / archives.BBBC022_LIBRARY, header, wells, delimiter="\t")
    table = rows(annotated(raw, tmp_path / "out"))
    assert len(table) == 6
    assert set(table["channel_files"].map(len)) == {5}
    for files, channels in zip(table["channel_files"], table["channels"], strict=True):
        folder_of = dict(zip(channels, (file.split("/")[1] for file in files), strict=True))
        assert folder_of == {
            "nucleus": "20585-Hoechst",
            "er": "20585-ERSyto",
            "nucleoli": "20585-ERSytoBleed",
            "actin+golgi": "20585-Ph_golgi",
            "mitochondria": "20585-Mito",
        }


@pytest.mark.parametrize(
    ("source", "table", "header", "rows", "message"),
    [
        ("kag_hpa", "train.csv", ["Id", "Labels"], [["a", "1"]], r"train\.csv has no column Target"),
        (
            *("bbbc013", "BBBC013_platemap_long_nM.csv"),
            ["row_name", "column_name", "compound", "concentration", "role"],
            [["A", 1, "wortmannin", 1, "experiment"], ["A", 1, "none", 0, "empty"]],
            "two rows for A01",
        ),
        (
            *("bbbc012", "BBBC012_platemap.csv", ["well", "phenotype"], [["1E+02", "wt"]]),
            r"bbbc012.*'1E\+02' is not a well.*spreadsheet",
        ),
    ],
)
def test_a_table_that_cannot_be_joined_is_an_error_with_its_place(tmp_path, source, table, header, rows, message):
    raw = make(tmp_path / "raw", source)
    archives.write_table(raw / source / table, header, rows)
    with pytest.raises(InputError, match=message):
        annotate(raw, tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "file", "reason"),
    [
        ("bbbc014", "BBBC014_v1_images/Channel 1-02-H-11-00.Bmp", "contradictory_name"),
        ("kag_hpa", "external/someone_green.png", "image_without_row"),  # a folder that is no test set
    ],
)
def test_one_odd_image_is_recorded_and_the_others_are_read(tmp_path, source, file, reason):
    raw = make(tmp_path / "raw", source)
    whole = annotate(raw, tmp_path / "whole").kept
    archives.write_image(raw / source / file)
    summary = annotate(raw, tmp_path / "out")
    assert (summary.kept, summary.rejected) == (whole, {reason: 1})


def test_repeated_fields_are_recorded(tmp_path):
    raw = make(tmp_path / "raw", "bbbc013")
    folder = raw / "bbbc013" / "BBBC013_v1_images_bmp"
    shutil.copytree(folder, raw / "bbbc013" / "copy")
    summary = annotate(raw, tmp_path / "out")
    assert (summary.kept, summary.rejected) == (6, {"duplicate_key": 6})
    first = rows(tmp_path / "out").loc[field_id("bbbc013", "A01/channel1")]
    assert first["path"] == "bbbc013/BBBC013_v1_images_bmp"


def test_plate_without_images_and_images_without_a_row(tmp_path):
    raw = make(tmp_path / "raw", "bbbc022")
    header = list(archives.BBBC022_COLUMNS)
    names = [f"IXMtest_A01_s1_w{w}.tif" for w in (2, 1, 5, 4, 3)]
    table = raw / "bbbc022" / "BBBC022_v1_image.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]) + "\n")  # P24, site 9
    with open(table, "a") as handle:
        handle.write(",".join(["1", *names, "20586", "A01", "treated", "vitexin"]) + "\n")
    archives.write_image(raw / "bbbc022" / "stray.png")
    summary = annotate(raw, tmp_path / "out")
    assert header[1] in lines[0]
    assert summary.kept == 5
    assert summary.rejected == {"image_without_row": 6, "no_image_file": 1}


def test_missing_channels_keep_the_row_and_the_name(tmp_path):
    raw = make(tmp_path / "raw", "bbbc022")
    gone = next((raw / "bbbc022" / "BBBC022_v1_images_20585w3").glob("IXMtest_A01_s1_*"))
    gone.unlink()
    annotate(raw, tmp_path / "out")
    files = rows(tmp_path / "out").loc[field_id("bbbc022", "20585/A01/1"), "channel_files"]
    assert len(files) == 5
    assert files[2] == gone.relative_to(raw).as_posix()


def test_library_join_without_the_image_table(tmp_path):
    raw = make(tmp_path / "raw", "bbbc022")
    (raw / "bbbc022" / "BBBC022_v1_image.csv").unlink()
    library = raw / "bbbc022" / "idr0036-screenA-library.txt"
    header = ["Plate", "Well", "Compound Name", "Control Type"]
    lines = [["20585", "A1", "NIFLUMIC ACID", ""], ["20585", "A2", "DMSO", "mock"]]
    archives.write_table(library, header, lines, delimiter="\t")
    next((raw / "bbbc022" / "BBBC022_v1_images_20585w3").glob("IXMtest_A01_s1_*")).unlink()
    summary = annotate(raw, tmp_path / "out")
    table = rows(tmp_path / "out")
    assert summary.kept == 4
    assert summary.rejected == {"image_without_row": 10, "no_row": 2}
    assert set(table["compound"]) == {"niflumic acid", "dmso"}
    assert set(table.loc[table["compound"] == "dmso", "control"]) == {"negative"}
    first = table.loc[field_id("bbbc022", "20585/A01/1")]
    assert first["channel_files"][2] == "bbbc022/BBBC022_v1_images_20585w3/IXMtest_A01_s1_w3*.tif"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_and_trailing_commas(tmp_path, encoding):
    raw = make(tmp_path / "raw", "bbbc013")
    table = raw / "bbbc013" / "BBBC013_platemap_long_nM.csv"
    text = "row_name,column_name,compound,concentration,role\nA,1,β-caffeine,0,experiment,\nE,12,Ethanolö,1,empty,\n"
    table.write_text(text, encoding=encoding)
    annotate(raw, tmp_path / "out")
    assert set(rows(tmp_path / "out")["compound"].dropna()) == {"β-caffeine", "ethanolö"}


def test_latin_1_is_read_where_a_source_says_so_and_refused_where_none_does(tmp_path, monkeypatch):
    raw = make(tmp_path / "raw", "bbbc013")
    table = raw / "bbbc013" / "BBBC013_platemap_long_nM.csv"
    text = "row_name,column_name,compound,concentration,role\nA,1,caféine,0,experiment\n"
    table.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"bbbc013: .*line 2.* is not UTF-8"):
        annotate(raw, tmp_path / "out")
    registry = {"bbbc013": replace(SOURCES["bbbc013"], encoding="latin-1")}
    monkeypatch.setattr("builder.sources.filter.SOURCES", registry)
    annotate(raw, tmp_path / "out", sources=SourceFilter())
    assert set(rows(tmp_path / "out")["compound"].dropna()) == {"caféine"}
    assert {name for name, source in SOURCES.items() if source.encoding} == {"idr0017"}


def test_numbers_stay_text(tmp_path):
    """`1E2` is a name, not 100; `053464` keeps its zero."""
    raw = make(tmp_path / "raw", "cil_kinome")
    archives.write_image(raw / "cil_kinome" / "1E2.tif")
    archives.write_image(raw / "cil_kinome" / "053464.tif")
    lines = [["1E2.zip", "AGC"], ["053464.zip", "TK"]]
    archives.write_table(raw / "cil_kinome" / "cil_kinome_mapping.csv", ["file_name", "kinase"], lines)
    annotate(raw, tmp_path / "out")
    assert set(rows(tmp_path / "out")["site"]) == {"1E2", "053464"}


def test_names_that_leave_the_archive(tmp_path):
    raw = make(tmp_path / "raw", "cil_kinome")
    archives.write_image(tmp_path / "secret.tif")
    (raw / "cil_kinome" / "link.tif").symlink_to(tmp_path / "secret.tif")
    lines = [["../../secret.zip", "TK"], ["/etc/secret.zip", "TK"], ["link.zip", "TK"], ["53464.zip", "AGC"]]
    archives.write_table(raw / "cil_kinome" / "cil_kinome_mapping.csv", ["file_name", "kinase"], lines)
    summary = annotate(raw, tmp_path / "out")
    assert summary.kept == 1
    assert summary.rejected == {"image_without_row": 4, "outside_root": 3}


def test_unknown_names_and_an_archive_of_another_source(tmp_path):
    (tmp_path / "raw" / "bbbc011").mkdir(parents=True)
    archives.MAKERS["bbbc015"](tmp_path / "raw" / "bbbc011")
    summary = annotate(tmp_path / "raw", tmp_path / "out")
    assert (summary.kept, summary.rejected) == (0, {"image_without_row": 8})
    assert summary.details["nothing_usable"] == ["bbbc011"]


def test_folders_of_sources_may_be_links(tmp_path):
    make(tmp_path / "elsewhere", "bbbc013")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "BBBC013").symlink_to(tmp_path / "elsewhere" / "bbbc013")
    assert annotate(tmp_path / "raw", tmp_path / "out").kept == 6
    assert set(rows(tmp_path / "out")["path"]) == {"BBBC013/BBBC013_v1_images_bmp"}


def test_real_archives(real_root, tmp_path):
    summary = annotate(real_root / "archives", tmp_path / "out")
    kept = {name: counts["kept"] for name, counts in summary.by_source.items()}
    assert summary.rejected == {}
    assert kept == {
        "bbbc010": 4,
        "bbbc013": 12,
        "bbbc014": 4,
        "bbbc017": 1,
        "bbbc038": 135,
        "kag_leukemia": 7,
        "rec_rxrx1": 4,
    }
    table = rows(tmp_path / "out").groupby("dir_name")
    assert set(table.get_group("bbbc010")["phenotype"]) == {"wildtype", "dead"}
    assert set(table.get_group("bbbc013")["compound"].dropna()) == {"wortmannin"}
    assert set(table.get_group("bbbc017")["gene"]) == {"phkg2 targeted"}
    assert table.get_group("kag_leukemia")["phenotype"].value_counts().to_dict() == {"leukemia": 4, "wildtype": 3}


def test_what_cannot_be_listed_is_recorded_and_the_rest_is_read(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    folder = make(raw, "bbbc013") / "bbbc013"
    whole = annotate(raw, tmp_path / "whole").kept
    (folder / "loop.tif").symlink_to("loop.tif")
    (folder / "gone.tif").symlink_to("nowhere.tif")
    (folder / "closed").mkdir()
    os.mkfifo(folder / "pipe.tif")
    with open(os.fsencode(folder) + b"/caf\xe9.tif", "wb"):
        pass
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("cytoimagenet_hf.images.walk.os.scandir", refuse)
    summary = annotate(raw, tmp_path / "out")
    assert summary.kept == whole
    assert summary.rejected == {"broken_link": 2, "name_not_utf8": 1, "no_file": 1, "unreadable_folder": 1}
    details = pd.read_parquet(tmp_path / "out" / "annotate.rejected.parquet")["detail"]
    assert {detail.partition(":")[0] for detail in details} == {
        *("loop.tif", "gone.tif", "closed", "caf\\xe9.tif", "pipe.tif")
    }


def test_a_folder_that_cannot_be_listed_at_all_says_so(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    (raw / "bbbc013").mkdir(parents=True)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("cytoimagenet_hf.images.walk.os.scandir", refuse)
    with pytest.raises(InputError, match=r"cannot list .*bbbc013.*Permission denied"):
        annotate(raw, tmp_path / "out")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_table_packed_under_a_plain_name_is_read(tmp_path, pack):
    folder = make(tmp_path / "raw", "bbbc013") / "bbbc013"
    table = folder / "BBBC013_platemap_long_nM.csv"
    table.write_bytes(pack(table.read_bytes()))
    summary = annotate(tmp_path / "raw", tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "annotations.parquet").to_pylist()
    assert {row["compound"] for row in rows} >= {"wortmannin", "ly294002"}
    assert summary.kept == 6
