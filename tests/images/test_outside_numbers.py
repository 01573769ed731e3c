"""Numbers in tables, names and options that fit no column: a reason for the row, or one line; never a fault."""

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import look
from cytoimagenet_hf.images.source import natural
from cytoimagenet_hf.options.source import parse_stains, split_names

LONG = "9" * 5000
HEAD = "FileName_DNA,PathName_DNA,Metadata_Plate,Metadata_Well,Metadata_Site"


@pytest.fixture
def table(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.arange(1600, dtype="u2").reshape(40, 40))

    def write(content):
        (tmp_path / "t.csv").write_text(content)
        return tmp_path / "t.csv"

    return write


@pytest.mark.parametrize("number", ["inf", "nan", "1e30", LONG, "-1", "x"])
@pytest.mark.parametrize("axis", ["Frame", "Series", "C"])
def test_a_plane_that_no_file_has_is_a_reason_for_its_row(table, number, axis) -> None:
    (image,) = look(table(f"{HEAD},{axis}_DNA\na.tif,.,P,A01,1,{number}\n")).images
    assert f"line 2: {axis}" in image.reason_against()


def test_a_site_of_thousands_of_digits_is_text(table) -> None:
    (image,) = look(table(f"{HEAD}\na.tif,.,P,A01,{LONG}\n")).images
    assert image.metadata["site"] == LONG


def test_ids_of_thousands_of_digits_are_sorted(table) -> None:
    images = look(table(f"id,path\n{LONG},a.tif\n10,a.tif\n9,a.tif\n")).images
    assert [image.id for image in images] == ["9", "10", LONG]
    assert sorted(["c10", "c2", "b", "c1x"], key=natural) == ["b", "c1x", "c2", "c10"]


def test_a_broken_address_is_a_reason_for_its_row(table) -> None:
    (image,) = look(table("URL_DNA,Metadata_Plate,Metadata_Well\nhttp://[::1,P,A01\n")).images
    assert "is not an address" in image.reason_against()


def test_a_focus_plane_beyond_all_numbers_is_a_reason(tmp_path) -> None:
    digits = "9" * 40
    tifffile.imwrite(tmp_path / f"A01_z{digits}.tif", np.zeros((4, 4), np.uint16))
    (image,) = look(tmp_path, pattern="{well}_z{z}.tif").images
    assert "is not a whole number" in image.reason_against()


def test_names_with_commas_quotes_and_beginnings(tmp_path) -> None:
    for n, name in enumerate(("DAPI 377,447", "GFP 469,525"), 1):
        tifffile.imwrite(tmp_path / f"A1_01_{n}_1_{name}_001.tif", np.full((4, 4), n, np.uint16))
    for stains in ("DAPI 377,447=dna,GFP 469,525=er", '"DAPI 377,447"=dna,GFP=er', "dapi=dna,gfp=er", "1=dna,2=er"):
        assert look(tmp_path, stains=stains).images[0].channels == ("dna", "er")
    for channels in ("GFP 469,525,DAPI 377,447", '"GFP 469,525",dapi', ["GFP 469,525", "DAPI 377,447"]):
        assert look(tmp_path, channels=channels).images[0].channels == ("gfp 469,525", "dapi 377,447")
    with pytest.raises(InputError, match="no channel '447'"):
        look(tmp_path, channels="447")


def test_a_beginning_that_several_names_share_is_asked_about(tmp_path) -> None:
    for name in ("DAPI", "DAP12", "ch10"):
        tifffile.imwrite(tmp_path / f"A01_{name}.tif", np.zeros((4, 4), np.uint16))
    with pytest.raises(InputError, match="may be dap12 or dapi"):
        look(tmp_path, pattern="{well}_{c}.tif", channels="dap")
    with pytest.raises(InputError, match="no channel 'ch1'"):  # ch1 is not ch10
        look(tmp_path, pattern="{well}_{c}.tif", channels="ch1")


def test_lists_of_names() -> None:
    assert split_names('a, "b,c" ,d') == ["a", "b,c", "d"]
    assert parse_stains("a=b=dna") == {"a=b": "dna"}
