"""Wells, and joining the images of plates to tables, on spelled-out files."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.sources.base import Archive, Field, RejectedItem
from builder.sources.plates import View, group_wells, join_wells, plate_folders, well_name, well_number
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.wells import well_at

NAME = re.compile(r"(?P<well>[a-z]\d+)_s(?P<site>\d+)_w(?P<channel>\d)\.tif", re.IGNORECASE)
STAINS = {"1": "nucleus", "2": "actin"}


def rows(*places: tuple[str, str], **labels: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"plate": [place[0] for place in places], "well": [place[1] for place in places], **labels})


def join(archive: Archive, table: pd.DataFrame, *views: View, **options) -> list[Field | RejectedItem]:
    images = group_wells(archive, NAME, plate_folders(table["plate"].unique().tolist()))
    return list(join_wells(table, images, views or [View(STAINS)], **options))


@given(st.integers(1, 32), st.integers(1, 48))
def test_a_well_keeps_its_name_however_it_is_padded(row, column):
    name = well_at(row, column)
    letters = name.rstrip("0123456789")
    assert well_name(f"{letters.lower()}{column}") == well_name(f"{letters}{column:03d}") == name


@pytest.mark.parametrize("text", ["", "1E2", "100.0", "A0", "A", "01-Jan", "ABC1"])
def test_what_is_no_well_is_refused(text):
    with pytest.raises(InputError, match="not a well"):
        well_name(text)


def test_running_numbers_of_a_384_well_plate_are_its_wells():
    assert len({well_number(number) for number in range(1, 385)}) == 384
    assert [well_number(number) for number in (1, 24, 25, 384)] == ["A01", "A24", "B01", "P24"]


def test_files_join_their_row_whatever_their_case_and_depth(archive):
    files = archive("deeper/PLATE7/a01_s2_W2.TIF", "deeper/PLATE7/a01_s2_W1.TIF")
    (field,) = join(files, rows(("plate7", "A01"), compound=["DMSO"]))
    assert field.key == "plate7/A01/2"
    assert field.files == ("deeper/PLATE7/a01_s2_W1.TIF", "deeper/PLATE7/a01_s2_W2.TIF")
    assert (field.channels, field.compound, field.plate, field.well, field.site) == (
        ("nucleus", "actin"),
        "DMSO",
        "plate7",
        "A01",
        "2",
    )


def test_a_missing_channel_is_listed_under_the_name_it_would_have(archive):
    (field,) = join(archive("p/A01_s1_w2.tif"), rows(("p", "A01")))
    assert field.files == ("p/A01_s1_w1.tif", "p/A01_s1_w2.tif")


def test_rows_without_images_and_wells_that_are_left_out_are_named(archive):
    table = rows(("p", "A01"), ("p", "A02"), ("p", "A03"), left_out=["", "", "quality_control"])
    items = join(archive("p/A01_s1_w1.tif", "p/A03_s1_w1.tif"), table)
    assert [item.key for item in items if isinstance(item, Field)] == ["p/A01/1"]
    assert [item for item in items if isinstance(item, RejectedItem)] == [
        RejectedItem("p/A02", "no_image_file"),
        RejectedItem("p/A03_s1_w1.tif", "quality_control", "p/A03"),
    ]


def test_a_second_file_for_a_channel_is_reported_and_the_first_kept(archive):
    items = join(archive("a/p/A01_s1_w1.tif", "b/p/A01_s1_w1.tif"), rows(("p", "A01")))
    assert items[0].files[0] == "a/p/A01_s1_w1.tif"
    assert items[1] == RejectedItem(
        "b/p/A01_s1_w1.tif", "duplicate_file", "same field and channel as a/p/A01_s1_w1.tif"
    )


def test_brightfield_is_a_view_of_its_own(archive):
    views = View(STAINS), View({"3": "brightfield"}, {"microscopy": "brightfield"}, suffix="/brightfield")
    items = join(archive("p/A01_s1_w1.tif", "p/A01_s1_w2.tif", "p/A01_s1_w3.tif"), rows(("p", "A01")), *views)
    assert [(field.key, field.channels, field.microscopy) for field in items] == [
        ("p/A01/1", ("nucleus", "actin"), None),
        ("p/A01/1/brightfield", ("brightfield",), "brightfield"),
    ]


def test_rows_of_a_table_with_sites_take_their_own_site(archive):
    table = rows(("p", "A01"), ("p", "A01"), site=["1", "3"], sirna=["s1", "s3"])
    items = join(archive("p/A01_s1_w1.tif", "p/A01_s2_w1.tif"), table)
    assert [(type(item), item.key) for item in items] == [(Field, "p/A01/1"), (RejectedItem, "p/A01/3")]


def test_a_prefix_keeps_screens_apart(archive):
    (field,) = join(archive("p/A01_s1_w1.tif"), rows(("p", "A01")), prefix="epfl/")
    assert field.key == "epfl/p/A01/1"


def test_a_repeated_row_is_harmless_and_a_contradicting_one_is_refused(archive):
    files = archive("p/A01_s1_w1.tif")
    assert len(join(files, rows(("p", "A01"), ("p", "A01"), compound=["a", "a"]))) == 1
    with pytest.raises(InputError, match="p A01"):
        join(files, rows(("p", "A01"), ("p", "A01"), compound=["a", "b"]))


def test_folders_are_found_by_name_or_by_their_documented_path():
    plate_of = plate_folders(["DTT p1", "001"], {"Images/DTT/p1": "DTT p1", "20200910-rsync/001": "001"})
    assert plate_of("more/images/dtt/P1/sub") == "DTT p1"
    assert plate_of("20200910-rsync/001") == plate_of("elsewhere/001/tif") == "001"
    assert plate_of("20200910-rsync/01_batch") is None
