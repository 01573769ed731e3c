"""Tables of the Image Data Resource: found and read in every dress; what each study's source makes of its archive."""

import shutil
from pathlib import Path

import pytest
from archives import scanned, write_table
from archives_idr import MAKERS, operetta, write_deltavision, write_image, write_stack

from builder.annotate import annotate_source
from builder.sources import SOURCES, idr, idr0003, idr0009, idr0067, idr0072
from builder.sources.base import Archive, Field, RejectedItem
from builder.vocabulary import load_vocabulary
from cytoimagenet_hf.core.errors import InputError

TEXT = "Plate,Well,Compound Name %% url=https://a/%s\nP1,A1,Dmso\n"
COLUMNS = {"plate": "Plate", "well": "Well", "compound": "Compound Name"}


def archive_of(name: str, root: Path) -> Archive:
    return Archive(root, SOURCES[name])


def made(name: str, root: Path) -> tuple[dict[str, Field], list[RejectedItem]]:
    """What is found in the simulated archive of a source."""
    MAKERS[name](root)
    return scanned(name, root)


def table_with(tmp_path: Path, text: str = TEXT, name: str = "idr0088-screenA-annotation.csv") -> Archive:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text, encoding="utf-8")
    return archive_of("idr0088", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + TEXT.encode(), id="byte-order mark"),
        pytest.param(TEXT.encode("utf-16"), id="utf-16"),
        pytest.param(TEXT.replace("P1,A1,Dmso", "P1,A1,Dmso,").encode(), id="trailing comma"),
        pytest.param(TEXT.replace(",", "\t").encode(), id="tabs"),
        pytest.param((TEXT + ",,\n,,\n").encode(), id="lines of separators"),
        pytest.param(TEXT.replace("\n", "\r\n").encode(), id="carriage returns"),
        pytest.param(TEXT.replace("Plate,", " Plate ,").replace("P1", " P1 ").encode(), id="blanks"),
    ],
)
def test_a_table_is_read_in_any_dress(tmp_path, content):
    (tmp_path / "idr0088-screenA-annotation.csv").write_bytes(content)
    table = idr.annotation(archive_of("idr0088", tmp_path), COLUMNS)
    assert table.to_dict("records") == [{"plate": "P1", "well": "A01", "compound": "Dmso"}]


def test_cells_stay_text(tmp_path):
    table = idr.annotation(table_with(tmp_path, "Plate,Well,Compound Name\n001,E2,NA\n1E2,B1,1-Jan\n"), COLUMNS)
    assert table.to_numpy().tolist() == [["001", "E02", "NA"], ["1E2", "B01", "1-Jan"]]


def test_the_shallowest_table_wins_and_annotation_goes_before_library(tmp_path):
    table_with(tmp_path, TEXT.replace("Dmso", "old"), "backup/idr0088-screenA-annotation.csv")
    table_with(tmp_path, TEXT.replace("Dmso", "library"), "idr0088-screenA-library.txt")
    table = table_with(tmp_path, name="IDR0088-ScreenA-annotation.csv")  # letter case does not matter
    assert idr.annotation(table, COLUMNS)["compound"].tolist() == ["Dmso"]


def test_a_missing_table_and_a_missing_column_are_said_with_the_path(tmp_path):
    with pytest.raises(InputError, match=r"no idr0088-screenA-annotation\.csv.*Fetch"):
        idr.annotation(archive_of("idr0088", tmp_path), COLUMNS)
    archive = table_with(tmp_path, "Plate,Position\nP1,A1\n")
    with pytest.raises(InputError, match=r"idr0088-screenA-annotation\.csv has no column 'Well'.*Position"):
        idr.annotation(archive, COLUMNS)
    optional = idr.annotation(archive, {"plate": "Plate", "well": "Well"}, optional=["well"])
    assert optional.to_numpy().tolist() == [["P1", ""]]


def test_a_well_that_a_spreadsheet_spoilt_is_refused(tmp_path):
    MAKERS["idr0080"](tmp_path)
    path = tmp_path / "idr0080-screenA-annotation.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",B3,", ",100,"), encoding="utf-8")
    with pytest.raises(InputError, match="'100' is not a well"):
        scanned("idr0080", tmp_path)


def test_contradicting_rows_for_a_well_are_refused_with_the_well(tmp_path):
    MAKERS["idr0093"](tmp_path)
    with open(tmp_path / "idr0093-screenA-annotation.csv", "a", encoding="utf-8") as table:
        table.write("001,B2,Homo sapiens,s999,,PLK1,PLK1,\n")
    with pytest.raises(InputError, match="001 B02"):
        scanned("idr0093", tmp_path)


def test_plates_files_are_read_in_either_order_of_columns(tmp_path):
    lines = [
        "P1\t/uod/idr/filesets/idr0088-cox/2020/a/p1/",
        "/uod/idr/filesets/idr0088-cox/2020/b/run 2.wpi\tP2",
        "/uod/idr/filesets/idr0088-cox/2020/no plate",
    ]
    (tmp_path / "idr0088-screenA-plates.tsv").write_text("\n".join(lines), encoding="utf-8")
    folders = idr.server_folders(archive_of("idr0088", tmp_path))
    assert folders == {"2020/a/p1": "P1", "2020/b": "P2"}
    assert idr.server_folders(archive_of("idr0088", tmp_path), screen="screenB") == {}


def test_idr0003_keeps_plates_and_brightfield_apart(tmp_path):
    fields, _ = made("idr0003", tmp_path)
    assert set(fields) == {
        *("DTT p1/A01/1", "DTT p1/A01/1/brightfield", "DTT p1/B02/3", "DTT p1/B02/3/brightfield"),
        *("starvation p17/A01/2", "starvation p17/A01/2/brightfield"),
    }
    assert fields["DTT p1/A01/1"].channels == ("protein", "cytosol")
    assert fields["DTT p1/A01/1/brightfield"].files == ("201301120/Images/DTT/p1/A01_001--Transmit.tif",)


@pytest.mark.parametrize(
    ("name", "well", "site"),
    [
        ("A01--GFP.tif", "A01", None),
        ("b7-3--Cherry.TIF", "b7", "3"),
        ("scan.P24.pos02--Transmit.tif", "P24", "02"),
        ("--W00025--P00003--Z00000--T00000--GFP.tif", None, "00003"),
        ("A1--W00001--P00002--Z00000--T00000--GFP.tif", "A1", "00002"),
    ],
)
def test_idr0003_reads_the_stems_that_a_plate_may_have(name, well, site):
    match = idr0003.NAME.fullmatch(name)
    assert (match["well"], match["site"]) == (well, site)


def test_idr0003_reads_every_position_of_a_plate_that_scanr_named(tmp_path):
    MAKERS["idr0003"](tmp_path)
    for position in (1, 2, 3):
        for channel in ("GFP", "Cherry", "Transmit"):
            name = f"P24--W00384--P{position:05d}--Z00000--T00000--{channel}.tif"
            write_image(tmp_path / "starvation" / "p17" / name)
    fields, _ = scanned("idr0003", tmp_path)
    assert {key for key in fields if "P24" in key and not key.endswith("brightfield")} == {
        *("starvation p17/P24/1", "starvation p17/P24/2", "starvation p17/P24/3")
    }


def test_idr0009_files_named_by_the_dye_alone_are_the_same_channels(tmp_path):
    whole, _ = made("idr0009", tmp_path)
    for path in sorted(tmp_path.rglob("*--W00002--*.tif")):
        path.rename(path.with_name("A2" + path.name.replace("nucleus-dapi", "dapi").replace("vsvg-cfp", "cfp")))
    fields, _ = scanned("idr0009", tmp_path)
    assert fields.keys() == whole.keys()
    assert [name.rpartition("--")[2] for name in fields["0305-01--2007-04-03/A02/1"].files] == [
        *("dapi.tif", "pm-647.tif", "cfp.tif")
    ]


def test_idr0009_tells_phenotypes_by_value_where_headings_are_shifted(tmp_path):
    MAKERS["idr0009"](tmp_path)
    table = idr0009.rows(archive_of("idr0009", tmp_path))
    strong = "strong inhibition of secretion"
    assert table["phenotype"].tolist() == ["", strong, strong]
    assert table["plate"].unique().tolist() == ["0305-01--2007-04-03"]  # not moved by the trailing separator


def test_idr0017_names_controls_after_the_library(tmp_path):
    fields, _ = made("idr0017", tmp_path)
    named = {field.well: (field.compound, field.control) for field in fields.values()}
    assert named == {
        "A01": (None, "untreated"),
        "A03": ("Kainsäure", None),
        "C01": ("DAPT", "positive"),
        "C02": ("Taxol", "positive"),
        "C23": ("DMSO", "negative"),
        "B04": ("Taxol", None),
    }


def test_idr0037_finds_a_measurement_by_its_plate_name_or_by_the_plates_file(tmp_path):
    MAKERS["idr0037"](tmp_path)
    moved = tmp_path / "images" / "somewhere else" / "Images"
    shutil.move(tmp_path / "images" / "2015-05-11 HipSci Exp33__2015-05-11T10_00_00-Measurement1" / "Images", moved)
    assert {field.plate for field in scanned("idr0037", tmp_path)[0].values()} == {"experiment_01"}
    line = "experiment_33\t/uod/idr/filesets/idr0037-vigilante-hipsci/images/somewhere else\n"
    (tmp_path / "idr0037-screenA-plates.tsv").write_text(line, encoding="utf-8")
    fields, skipped = scanned("idr0037", tmp_path)
    assert {field.donor for field in fields.values()} == {None, "HPSI-ffdm"}
    assert skipped == []
    assert fields["experiment_33/H12/9/brightfield"].files[0].endswith(operetta(8, 12, "09", "4"))


def test_idr0067_versions_of_a_field_belong_together(tmp_path):
    fields, skipped = made("idr0067", tmp_path)
    assert {field.site for field in fields.values()} == {"1B_010618_Hsp104Htb1_Meiosis_01_47"}
    raw = fields["Figure 1B/1B_010618_Hsp104Htb1_Meiosis_01_47_R3D.dv"]
    assert (raw.channels, raw.pages) == (("hsp104-egfp", "htb1-mcherry"), (4, 5))
    assert [item.reason for item in skipped] == ["electron_microscopy"]


@pytest.mark.parametrize("projection", ["MAX_{}_R3D_D3Dzproj.tif", "MAX_{}_zporj_R3D_D3D.tif", "{}_zproj.tif"])
def test_idr0067_knows_a_projection_however_it_is_spelled(projection):
    assert idr0067._VERSION.sub("", projection.format("010618_Meiosis_05")) == "010618_Meiosis_05"


@pytest.mark.parametrize(
    ("channels", "stains"),
    [
        ("FITC = Hsp104-eGFP, mCherry = Htb1-mCherry", ("hsp104-egfp", "htb1-mcherry")),
        (
            "FITC = yeGFP-Spo20(51-91), mCherry = Nup49-mCherry, DAPI",
            ("yegfp-spo20(51-91)", "nup49-mcherry", "nucleus"),
        ),
    ],
)
def test_idr0067_stains_are_the_tagged_proteins(channels, stains):
    assert idr0067._stains(channels) == stains


def test_idr0072_joins_folders_that_are_spelled_otherwise(tmp_path):
    fields, _ = made("idr0072", tmp_path)
    assert sorted((field.plate, field.well, field.site, field.pages) for field in fields.values()) == [
        ("VAMP_DEG_20120507/Meas_01", "A03", "1", (0,)),
        ("WS_MCF10A_Landmark_20180509/Meas_02", "N01", "1", (0, 1)),
        ("WS_MCF10A_Landmark_20180613/Meas_01", "N01", "1", (0, 1)),
        ("WS_MCF10A_Landmark_20180613/Meas_01", "N01", "2", (2, 3)),
        ("WS_MCF10A_Landmark_20180613/Meas_01", "N02", "1", (0, 1)),
    ]
    assert {field.cell_visible for field in fields.values() if field.well == "N02"} == {"nucleus"}


def test_idr0072_follows_the_plates_file_and_reports_contradicting_rows(tmp_path):
    MAKERS["idr0072"](tmp_path)
    write_stack(tmp_path / "disk 2" / "Meas_01" / "001003000.flex", 2)
    (tmp_path / "idr0072-screenB-plates.tsv").write_text(
        "VAMP_DEG_20120507/Meas_01\t/uod/idr/filesets/idr0072-schormann-subcellref/disk 2/Meas_01\n", encoding="utf-8"
    )
    fields, _ = scanned("idr0072", tmp_path)
    assert fields["VAMP_DEG_20120507/Meas_01/A03/001003000/1"].gene == "GOLGA5"
    with open(tmp_path / "idr0072-screenB-annotation.csv", "a", encoding="utf-8") as table:
        table.write("VAMP_DEG_20120507/Meas_01,A3,Mus musculus,NMuMG,VAMP5,VAMP5,\n")
    _, skipped = scanned("idr0072", tmp_path)
    assert "conflicting_rows" in {item.reason for item in skipped}


def test_idr0072_reads_a_folder_without_its_measurement_where_the_plate_has_one(tmp_path):
    plates = {idr0072._letters(name): name for name in ("A_2012/Meas_01", "B_2012/Meas_01", "B_2012/Meas_02")}
    names = [idr0072._plate_of(folder, plates) for folder in ("ftp/A_2012", "ftp/B_2012", "A_2012/Meas_03", "Meas_01")]
    assert names == ["A_2012/Meas_01", None, None, None]


def test_idr0080_chooses_the_version_plate_by_plate(tmp_path):
    MAKERS["idr0080"](tmp_path)
    table = tmp_path / "idr0080-screenA-annotation.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    more = [line.replace("SQ00014610", "SQ00014611") for line in lines[1:]]
    table.write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    second = tmp_path / "20200923-illumcorrected" / "SQ00014611"  # of the second plate only the corrected images
    shutil.copytree(tmp_path / "20200923-illumcorrected" / "SQ00014610", second)
    fields, skipped = scanned("idr0080", tmp_path)
    assert {key: "illumcorrected" in field.files[0] for key, field in fields.items()} == {
        f"SQ0001461{plate}/{well}/9": plate == 1 for plate in (0, 1) for well in ("A01", "B03", "P24")
    }
    assert {item.detail for item in skipped} == {"the original images of plate SQ00014610 are used"}


def test_idr0080_uses_one_version_of_the_images_under_the_same_keys(tmp_path):
    original, skipped = made("idr0080", tmp_path)
    assert {item.reason for item in skipped} == {"other_version"}
    shutil.rmtree(tmp_path / "images")
    corrected, _ = scanned("idr0080", tmp_path)
    assert set(original) == set(corrected) == {f"SQ00014610/{well}/9" for well in ("A01", "B03", "P24")}
    assert all("illumcorrected" in field.files[0] for field in corrected.values())


def test_idr0081_keeps_the_laboratories_of_a_plate_apart(tmp_path):
    fields, _ = made("idr0081", tmp_path)
    assert set(fields) == {
        *("uzh/preZ/A01/1", "uzh/BSF018292-1A/A02/1"),
        *("epfl/Za_BSF018104/B02/1", "epfl/BSF018292-1A/A02/1"),
    }
    assert fields["epfl/BSF018292-1A/A02/1"].plate == fields["uzh/BSF018292-1A/A02/1"].plate


def test_idr0088_shows_the_reporters_of_the_line(tmp_path):
    fields, _ = made("idr0088", tmp_path)
    assert fields["1013608253/B02/3"].cell_visible == ("nucleus", "actin", "rab5a")
    assert fields["110000252214/B02/1"].channels == ("nucleus", "er", "mitochondria")


def test_a_missing_channel_of_a_repeated_number_keeps_its_documented_name(tmp_path):
    MAKERS["idr0088"](tmp_path)
    missing = next((tmp_path / "20200722-awss3").rglob("1013608253_P23_T0001F001L01A03Z01C03.tif"))
    missing.unlink()
    files = scanned("idr0088", tmp_path)[0]["1013608253/P23/1"].files
    assert files[2] == missing.relative_to(tmp_path).as_posix()


def test_idr0021_is_joined_below_the_folder_of_its_dataset(tmp_path):
    fields, _ = made("idr0021", tmp_path)
    name = "Ctrl_Cep192_Cent_20101014_Thu-1301_1_SIR_PRJ.dv"
    assert len(fields[f"CENT2/{name}"].files) == 2
    assert len(fields[f"CEP192-M/{name}"].files) == 3
    write_deltavision(tmp_path / "Raw-files" / "CENT2" / "again" / name)
    _, skipped = scanned("idr0021", tmp_path)
    assert [item.reason for item in skipped] == ["ambiguous_file"]


def test_idr0041_takes_the_middle_of_the_stack_of_original_images(tmp_path):
    fields, skipped = made("idr0041", tmp_path)
    assert [field.pages for field in fields.values()] == [[45, 46, 47], [45, 46, 47]]
    assert {field.site for field in fields.values()} == {"cell0003_R0028"}
    assert skipped == []


def todays_idr0041(root: Path, table: str, columns: list[str], row_of) -> None:
    """Two time points of two cells as original images, and a map of the first."""
    rows = []
    for cell in ("cell0003_R0028", "cell0004_R0001"):
        folder = f"mitotic_cell_atlas/140411_KIF11_MitoSys1/{cell}"
        for time in ("T0001", "T0002"):
            write_stack(root / folder / "rawtif" / f"TR1_W0001_P0007_{time}.tif", 93)
            rows.append(row_of(cell, time, "raw", "original images"))
        rows.append(row_of(cell, "T0001", "conc", "concentration maps"))
    write_table(root / table, columns, rows, delimiter="\t" if table.endswith(".txt") else ",")


AUTHORS = [
    "Assay Name",
    "Image File",
    "Comment [Image File Path]",
    "Comment [Image File Type]",
    "Comment [Gene Symbol]",
]
ARCHIVES = ["Dataset Name", "Image Name", "Comment [Image File Type]", "Comment [Gene Symbol]"]


def of_the_authors(cell, time, kind, words):
    folder = f"mitotic_cell_atlas/140411_KIF11_MitoSys1/{cell}/{kind}tif"
    return ["140411_KIF11_MitoSys1", f"TR1_W0001_P0007_{time}.tif", folder, words, "KIF11"]


def of_the_archive(cell, time, kind, words):
    return [f"140411_KIF11_MitoSys1_{kind}", f"{cell}_{time}", words, "KIF11"]


def test_idr0041_gives_the_same_fields_by_the_table_of_the_archive_and_by_that_of_the_authors(tmp_path):
    todays_idr0041(tmp_path / "one", "idr0041-experimentA-annotation.csv", ARCHIVES, of_the_archive)
    todays_idr0041(tmp_path / "two", "idr0041-assays.txt", AUTHORS, of_the_authors)
    one, skipped = scanned("idr0041", tmp_path / "one")
    assert one == scanned("idr0041", tmp_path / "two")[0]
    assert skipped == []
    assert sorted((field.plate, field.site, key[-5:]) for key, field in one.items()) == [
        ("140411_KIF11_MitoSys1", cell, time)
        for cell in ("cell0003_R0028", "cell0004_R0001")
        for time in ("T0001", "T0002")
    ]


def test_idr0041_takes_the_corrected_images_of_a_cell_where_they_are_all_there(tmp_path):
    todays_idr0041(tmp_path, "idr0041-experimentA-annotation.csv", ARCHIVES, of_the_archive)
    for name in ("cell0003_R0028_T0001", "cell0003_R0028_T0002", "cell0004_R0001_T0001"):
        write_stack(tmp_path / "20180726-ftp" / "140411_KIF11_MitoSys1_raw" / f"{name}.tif", 93)
    fields, skipped = scanned("idr0041", tmp_path)
    assert {key: field.files[0].partition("/")[0] for key, field in fields.items()} == {
        "140411_KIF11_MitoSys1/cell0003_R0028/T0001": "20180726-ftp",
        "140411_KIF11_MitoSys1/cell0003_R0028/T0002": "20180726-ftp",
        "140411_KIF11_MitoSys1/cell0004_R0001/T0001": "mitotic_cell_atlas",
        "140411_KIF11_MitoSys1/cell0004_R0001/T0002": "mitotic_cell_atlas",
    }
    assert [item.reason for item in skipped] == ["other_version"] * 3


def test_idr0041_says_which_columns_tell_an_image_where_none_does(tmp_path):
    columns = ["Dataset Name", "Comment [Image File Type]", "Comment [Gene Symbol]"]
    write_table(tmp_path / "idr0041-assays.txt", columns, [["a_raw", "original images", "KIF11"]], delimiter="\t")
    with pytest.raises(InputError, match=r"1 images without assay, cell or time point.*Image Name"):
        scanned("idr0041", tmp_path)


def test_idr0093_shows_pcna_in_the_second_channel_and_rna_in_the_third():
    assert SOURCES["idr0093"].stains == {"1": "nucleus", "2": "pcna", "3": "rna", "4": "protein", "5": "channel 5"}


def test_idr0072_has_the_nucleus_first_in_screen_a_and_second_in_screen_b(tmp_path):
    MAKERS["idr0072"](tmp_path)
    write_stack(tmp_path / "VAMP_DEG_20120507" / "Meas_01" / "001003000.flex", 2)
    fields, _ = scanned("idr0072", tmp_path)
    pages = {field.plate: field.pages for field in fields.values() if len(field.files) == 2 and field.site == "1"}
    assert pages["WS_MCF10A_Landmark_20180613/Meas_01"] == (0, 1)
    assert pages["VAMP_DEG_20120507/Meas_01"] == (1, 0)
    assert {field.channels[0] for field in fields.values() if len(field.files) == 2} == {"nucleus"}


def test_idr0093_finds_plate_82_by_the_plates_file(tmp_path):
    MAKERS["idr0093"](tmp_path)
    write_image(tmp_path / "20200901-rsync" / "09_batch" / "plate82" / "082_O24_T0001F001L01A01Z01C01.tif")
    fields, _ = scanned("idr0093", tmp_path)
    assert {field.plate for field in fields.values()} == {"001", "082"}


def test_the_plate_names_of_idr0072_meet_those_of_the_server(tmp_path):
    pairs = {
        "WS_MCF10A_Landmark_20180506/Meas_01": "WS_MCF10A-landmark_library_20180506_Meas_01",
        "WS_MCF10A_Landmark_20180621/Meas01": "WS_MCF10A_landmarks_20180621/Meas_01",
        "2015-10-29 plate115/Meas_01": "2015-10-29 plate115/Meas_01",
    }
    plates = {idr0072._letters(plate): plate for plate in pairs}
    assert [idr0072._plate_of(f"disk/Plates/{folder}", plates) for folder in pairs.values()] == list(pairs)


def test_controls_are_named_alike_across_studies(tmp_path):
    controls = {}
    for name in ("idr0009", "idr0017", "idr0080", "idr0081", "idr0088", "idr0093"):
        MAKERS[name](tmp_path / name)
        table, _ = annotate_source(SOURCES[name], tmp_path / name, load_vocabulary())
        controls[name] = {(row["well"], row["control"]) for row in table.to_pylist() if row["control"]}
    assert controls == {
        "idr0009": {("A01", "untreated"), ("P24", "positive")},
        "idr0017": {("A01", "untreated"), ("C01", "positive"), ("C02", "positive"), ("C23", "negative")},
        "idr0080": {("A01", "untreated"), ("P24", "negative")},
        "idr0081": {("A01", "negative"), ("B02", "negative")},
        "idr0088": {("B02", "negative")},
        "idr0093": {("B02", "positive"), ("O23", "negative")},
    }


@pytest.mark.parametrize("name", ["idr0003", "idr0037", "idr0067"])
def test_brightfield_rows_say_so_and_show_cell_bodies(name, tmp_path):
    MAKERS[name](tmp_path / name)
    table, _ = annotate_source(SOURCES[name], tmp_path / name, load_vocabulary())
    rows = table.to_pylist()
    bright = [row for row in rows if row["microscopy"] == "brightfield"]
    assert {(tuple(row["channels"]), row["cell_visible"]) for row in bright} == {(("brightfield",), "cell body")}
    others = [row for row in rows if row["microscopy"] == "fluorescence"]
    assert len(bright) + len(others) == len(rows) > len(bright) > 0
    assert not any("brightfield" in row["channels"] for row in others)
