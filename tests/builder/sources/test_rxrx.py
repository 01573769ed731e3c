"""RxRx archives: metadata per site, and the competition's tables of RxRx1."""

import shutil
from pathlib import Path

import pytest
from archives import scanned, write_image, write_table
from archives_idr import MAKERS

from builder.sources import SOURCES, rec_rxrx1, rxrx
from builder.sources.base import Archive, RejectedItem
from cytoimagenet_hf.core.errors import InputError


def test_a_site_is_its_six_channels_in_stain_order(tmp_path):
    MAKERS["rec_rxrx1"](tmp_path)
    fields, skipped = scanned("rec_rxrx1", tmp_path)
    field = fields["RPE-01_2/M23/2"]
    assert field.files == tuple(f"rxrx1/images/RPE-01/Plate2/M23_s2_w{channel}.png" for channel in range(1, 7))
    assert field.channels == ("nucleus", "er", "actin", "nucleoli", "mitochondria", "golgi")
    assert (field.plate, field.well, field.site, field.sirna) == ("RPE-01_2", "M23", "2", "n337250")
    assert skipped == []


def test_rxrx19a_has_no_mitochondria(tmp_path):
    MAKERS["rec_rxrx19a"](tmp_path)
    fields, _ = scanned("rec_rxrx19a", tmp_path)
    assert {field.channels for field in fields.values()} == {("nucleus", "er", "actin", "nucleoli", "golgi")}
    assert fields["VERO-01_1/AA02/1"].control == "untreated"


def test_experiments_are_the_same_with_one_digit_or_two():
    assert rxrx.plate_of("rxrx1/images/HUVEC-1/Plate3") == rxrx.plate_of("train/HUVEC-01/Plate3") == "HUVEC-01_3"
    assert rxrx.plate_of("rxrx1/images/HUVEC-1") is None


def test_images_named_with_one_digit_join_a_table_with_two(tmp_path):
    MAKERS["rec_rxrx1"](tmp_path)
    images = tmp_path / "rxrx1" / "images"
    shutil.move(images / "RPE-01", images / "RPE-1")
    assert "RPE-01_2/M23/2" in scanned("rec_rxrx1", tmp_path)[0]


def test_a_line_without_images_is_named_and_a_missing_channel_is_listed(tmp_path):
    MAKERS["rec_rxrx2"](tmp_path)
    plate = tmp_path / "rxrx2" / "images" / "HUVEC-1" / "Plate1"
    for image in plate.glob("AA02_s4_*"):
        image.unlink()
    (plate / "AA02_s2_w3.png").unlink()
    fields, skipped = scanned("rec_rxrx2", tmp_path)
    assert skipped == [RejectedItem("HUVEC-01_1/AA02/4", "no_image_file")]
    assert fields["HUVEC-01_1/AA02/2"].files[2] == "rxrx2/images/HUVEC-1/Plate1/AA02_s2_w3.png"


def test_two_lines_for_a_site_are_refused(tmp_path):
    MAKERS["rec_rxrx19b"](tmp_path)
    with open(tmp_path / "rxrx19b" / "metadata.csv", "a", encoding="utf-8") as table:
        table.write("HUVEC-1_1_AA02_1,HUVEC-1_1_AA02,HUVEC,HUVEC-1,1,AA02,1,storm-severe,other,,\n")
    with pytest.raises(InputError, match="HUVEC-01_1 AA02 1"):
        scanned("rec_rxrx19b", tmp_path)


def test_a_wrong_column_is_said_with_the_path(tmp_path):
    MAKERS["rec_rxrx2"](tmp_path)
    path = tmp_path / "rxrx2" / "metadata.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("treatment,", "compound,", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"metadata\.csv has no column.*treatment"):
        scanned("rec_rxrx2", tmp_path)


def competition(root: Path, untreated: str, treated: str) -> None:
    start = ["id_code", "experiment", "plate", "well"]
    write_table(root / "train.csv", [*start, "sirna"], [["HUVEC-01_1_B03", "HUVEC-01", 1, "B03", treated]])
    write_table(root / "test.csv", start, [["U2OS-04_2_C05", "U2OS-04", 2, "C05"]])
    for name, place in (("train", ["HUVEC-01_1_B02", "HUVEC-01"]), ("test", ["U2OS-04_2_B02", "U2OS-04"])):
        row = [*place, place[0].split("_")[1], "B02", untreated, "negative_control"]
        write_table(root / f"{name}_controls.csv", [*start, "sirna", "well_type"], [row])
    for channel in range(1, 7):
        write_image(root / "train" / "HUVEC-01" / "Plate1" / f"B03_s1_w{channel}.png")
        write_image(root / "test" / "U2OS-04" / "Plate2" / f"B02_s2_w{channel}.png")


@pytest.mark.parametrize(
    ("untreated", "treated", "label"),
    [("UNTREATED", "sirna_250", "sirna_250"), ("1138", "513", "sirna_id_513")],
)
def test_the_tables_of_the_competition_stand_in_for_the_metadata(tmp_path, untreated, treated, label):
    competition(tmp_path, untreated, treated)
    table = rec_rxrx1.rows(Archive(tmp_path, SOURCES["rec_rxrx1"]))
    assert len(table) == 8  # four wells, two sites each
    fields, skipped = scanned("rec_rxrx1", tmp_path)
    assert fields["HUVEC-01_1/B03/1"].sirna == label
    assert fields["HUVEC-01_1/B03/1"].cell_type == "HUVEC"
    assert fields["U2OS-04_2/B02/2"].sirna == "UNTREATED"
    assert len(skipped) == 6


def test_without_any_table_the_message_names_both(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match=r"metadata\.csv.*train\.csv.*Fetch"):
        scanned("rec_rxrx1", tmp_path)


@pytest.mark.parametrize("odd", ["one", "²"])
def test_one_odd_plate_cell_is_a_rejection_and_not_the_end(tmp_path, odd):
    MAKERS["rec_rxrx19b"](tmp_path)
    whole, _ = scanned("rec_rxrx19b", tmp_path)
    with open(tmp_path / "rxrx19b" / "metadata.csv", "a", encoding="utf-8") as table:
        table.write(f"HUVEC-1_x_AA09_1,HUVEC-1_x_AA09,HUVEC,HUVEC-1,{odd},AA09,1,healthy,,,\n")
    fields, skipped = scanned("rec_rxrx19b", tmp_path)
    assert fields == whole
    assert skipped == [RejectedItem(f"HUVEC-01_{odd.upper()}/AA09/1", "plate_is_no_number")]
