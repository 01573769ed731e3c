"""Illumination functions: found by plate and channel, divided by, and refused where they do not fit."""

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_illumination, look

PATTERN = "{plate}_{well}_s{site}_{c}.tif"
FUNCTION = np.array([[1.0, 2.0], [0.5, 4.0]])


@pytest.fixture
def found(tmp_path):
    (tmp_path / "plate").mkdir()
    for plate in ("p1", "p2"):
        tifffile.imwrite(tmp_path / "plate" / f"{plate}_A01_s1_OrigDNA.tif", np.full((2, 2), 100, np.uint16))
    (tmp_path / "illum").mkdir()
    return look(tmp_path / "plate", pattern=PATTERN)


def test_each_plate_has_its_own_function(found, tmp_path) -> None:
    np.save(tmp_path / "illum" / "p1_IllumDNA.npy", FUNCTION)
    (tmp_path / "illum" / "p2").mkdir()
    np.save(tmp_path / "illum" / "p2" / "IllumDNA.npy", 2 * FUNCTION)
    one, two = find_illumination(found, tmp_path / "illum").images
    assert one.read()[0].tolist() == [[100, 50], [200, 25]]
    assert two.read()[0].tolist() == [[50, 25], [100, 12]]  # 12.5 is rounded to the even number
    np.save(tmp_path / "illum" / "p1_IllumDNA.npy", FUNCTION / 1000)
    assert one.read()[0].tolist() == [[65535, 50_000], [65535, 25_000]]  # what is beyond the dtype is its largest
    assert one.read()[0].dtype == np.uint16
    assert one.stamp != found.images[0].stamp


def test_the_table_of_cellprofiler(found, tmp_path) -> None:
    np.save(tmp_path / "illum" / "p_IllumDNA.npy", FUNCTION)
    table = tmp_path / "illum" / "load_data_with_illum.csv"
    row = "{},A01,1,p_IllumDNA.npy,/home/ubuntu/elsewhere"
    head = "Metadata_Plate,Metadata_Well,Metadata_Site,FileName_IllumDNA,PathName_IllumDNA"
    table.write_text("\n".join([head, row.format("p1"), row.format("p2")]))
    made = find_illumination(found, table)
    assert made.images[1].read()[0].tolist() == [[100, 50], [200, 25]]
    assert "divided by the illumination functions" in made.notes[-1]
    table.write_text("\n".join([head, row.format("p1")]))
    with pytest.raises(InputError, match="no illumination function for channel origdna of p2/A01/1"):
        find_illumination(found, table)
    (tmp_path / "illum" / "p_IllumDNA.npy").unlink()
    with pytest.raises(InputError, match=r"line 2: p_IllumDNA\.npy lies neither"):
        find_illumination(found, table)


@pytest.mark.parametrize(
    ("function", "message"),
    [(np.ones((2, 3)), "is 2 x 3 and origdna is 2 x 2"), (np.zeros((2, 2)), "not above 0")],
)
def test_functions_that_do_not_fit(found, tmp_path, function, message) -> None:
    np.save(tmp_path / "illum" / "IllumDNA.npy", function)
    for plate in ("p1", "p2"):
        np.save(tmp_path / "illum" / f"{plate}_IllumDNA.npy", function)
    with pytest.raises(InputError, match=message):
        find_illumination(found, tmp_path / "illum").images[0].read()


def test_a_folder_without_functions(found, tmp_path) -> None:
    with pytest.raises(InputError, match="holds no illumination functions"):
        find_illumination(found, tmp_path / "illum")
