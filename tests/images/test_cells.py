"""Single cells: boxes around the centres that tables and label images give."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Box, find_cells, look

ROWS, COLUMNS = np.mgrid[:20, :30].astype(np.uint16)
FIELD = 100 * ROWS + COLUMNS


@pytest.fixture
def found(tmp_path):
    """Plate P, wells A01 and A02, one site, channels 1 (rows and columns) and 2 (that plus 5000)."""
    for well in ("A01", "A02"):
        for channel in (1, 2):
            (tmp_path / "plate").mkdir(exist_ok=True)
            pixels = FIELD + np.uint16(5000 * (channel - 1))
            tifffile.imwrite(tmp_path / "plate" / f"P_{well}_s1_w{channel}.tif", pixels)
    return look(tmp_path / "plate")


def table(path: Path, **columns) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_centres_of_cellprofiler_by_well(found, tmp_path) -> None:
    cells = table(
        tmp_path / "cells.csv",
        Metadata_Plate=["P", "P", "Q"],
        Metadata_Well=["A1", "A01", "A01"],
        Metadata_Site=[1, 1, 1],
        ObjectNumber=[1, 2, 1],
        Nuclei_Location_Center_X=[10.2, 20.0, 5.0],
        Nuclei_Location_Center_Y=[8.0, 9.6, 5.0],
    )
    made = find_cells(found, cells, size=4)
    assert [image.id for image in made.images] == ["P/A01/1/1", "P/A01/1/2"]
    first, second = (image.read() for image in made.images)
    np.testing.assert_array_equal(first[0], FIELD[6:10, 8:12])
    np.testing.assert_array_equal(second[1], FIELD[8:12, 18:22] + 5000)
    assert made.images[0].metadata["cell"] == "1"
    assert made.images[0].metadata["well"] == "A01"
    assert made.images[0].metadata["Location_Center_X"] == 10.2
    assert made.images[0].stamp != made.images[1].stamp
    assert made.notes[-3:] == (
        "2 cells of 1 images; boxes of 4 x 4 pixels, border: mirror",
        f"1 of 3 cells of {cells} belong to no image that can be used, in line 4 first",
        f"1 images have no cells in {cells}",
    )


def test_the_image_numbers_of_cellprofiler(found, tmp_path) -> None:
    table(tmp_path / "Image.csv", ImageNumber=[7], Metadata_Plate=["P"], Metadata_Well=["A02"], Metadata_Site=[1])
    cells = table(
        tmp_path / "Nuclei.csv", ImageNumber=[7], ObjectNumber=[3], Location_Center_X=[9], Location_Center_Y=[9]
    )
    assert [image.id for image in find_cells(found, cells, size=6).images] == ["P/A02/1/3"]
    (tmp_path / "Image.csv").unlink()
    with pytest.raises(InputError, match=r"Image\.csv"):
        find_cells(found, cells, size=6)


def test_image_numbers_that_runs_share_are_told_apart_by_the_run(found, tmp_path) -> None:
    images = {"ImageNumber": [1, 1], "Metadata_Plate": ["P", "P"], "Metadata_Well": ["A01", "A02"]}
    images["Metadata_Site"] = [1, 1]
    cells = {"ImageNumber": [1, 1], "ObjectNumber": [1, 1], "Location_Center_X": [9, 12], "Location_Center_Y": [9, 9]}
    table(tmp_path / "Image.csv", **images)
    with pytest.raises(InputError, match=r"two images of number 1, .*TableNumber"):
        find_cells(found, table(tmp_path / "Nuclei.csv", **cells), size=6)
    with pytest.raises(InputError, match=r"Image\.csv needs ImageNumber, TableNumber"):
        find_cells(found, table(tmp_path / "Nuclei.csv", **cells, TableNumber=[22, 11]), size=6)
    table(tmp_path / "Image.csv", **images, TableNumber=[11, 22])
    made = find_cells(found, table(tmp_path / "Nuclei.csv", **cells, TableNumber=[22, 11]), size=6)
    assert {image.id: image.metadata["Location_Center_X"] for image in made.images} == {
        "P/A02/1/1": 9.0,
        "P/A01/1/1": 12.0,
    }


def test_a_place_that_time_points_share_tells_no_image(tmp_path) -> None:
    for time in (1, 2):
        (tmp_path / "plate").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "plate" / f"P_A01_s1_t{time}.tif", FIELD)
    found = look(tmp_path / "plate", pattern="{plate}_{well}_s{site}_t{t}.tif")
    assert [image.id for image in found.images] == ["P/A01/1/1", "P/A01/1/2"]
    centre = {"Nuclei_Location_Center_X": [9], "Nuclei_Location_Center_Y": [9], "ObjectNumber": [1]}
    cells = table(tmp_path / "c.csv", Metadata_Plate=["P"], Metadata_Well=["A01"], Metadata_Site=[1], **centre)
    with pytest.raises(InputError, match="P/A01/1/1 and P/A01/1/2 lie at one plate, well and site"):
        find_cells(found, cells, size=4)
    table(tmp_path / "locations" / "P" / "A01-1-Nuclei.csv", **centre)
    with pytest.raises(InputError, match="lie at one plate, well and site"):
        find_cells(found, tmp_path / "locations", size=4)
    by_id = table(tmp_path / "c.csv", id=["P/A01/1/2"], **centre)
    assert [image.id for image in find_cells(found, by_id, size=4).images] == ["P/A01/1/2/1"]


def test_locations_of_deepprofiler_have_their_place_as_number(found, tmp_path) -> None:
    columns = {"Nuclei_Location_Center_X": [9, 12], "Nuclei_Location_Center_Y": [9, 9]}
    table(tmp_path / "locations" / "P" / "A02-1-Nuclei.csv", **columns)
    table(tmp_path / "locations" / "P" / "B09-1-Nuclei.csv", **columns)
    made = find_cells(found, tmp_path / "locations", size=6)
    assert [image.id for image in made.images] == ["P/A02/1/x9.0y9.0", "P/A02/1/x12.0y9.0"]
    assert [file.path for file in made.ignored if "no image" in file.reason] == ["P/B09-1-Nuclei.csv"]


def test_label_images(found, tmp_path) -> None:
    labels = np.zeros((20, 30), np.uint16)
    labels[4:7, 10:13], labels[15:18, 2:5] = 5, 9
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "P_A01_1_cp_masks.tif", labels)
    tifffile.imwrite(tmp_path / "masks" / "P_A02_1.tif", labels[:10])
    tifffile.imwrite(tmp_path / "masks" / "other.tif", labels)
    made = find_cells(found, tmp_path / "masks", size=3)
    assert [image.id for image in made.images] == ["P/A01/1/5", "P/A01/1/9", "P/A02/1/5"]
    np.testing.assert_array_equal(made.images[0].read()[0], FIELD[4:7, 10:13])
    with pytest.raises(InputError, match="P/A02/1/5: the image is 20 x 30"):
        made.images[2].read()
    assert [file.path for file in made.ignored if file.reason == "no image has this name"] == ["other.tif"]


@pytest.mark.parametrize(("x", "y", "message"), [(0, 0, "crosses the border"), (40, 5, "outside the image")])
def test_what_crosses_the_border_can_be_left_out(found, tmp_path, x, y, message) -> None:
    columns = {"Metadata_Well": ["A01"], "Metadata_Site": [1], "ObjectNumber": [1]}
    cells = table(tmp_path / "c.csv", **columns, Location_Center_X=[x], Location_Center_Y=[y])
    (image,) = find_cells(found, cells, size=4, border="leave").images
    with pytest.raises(InputError, match=message):
        image.read()
    if x == 0:
        mirrored = find_cells(found, cells, size=4).images[0].read()[0]
        expected = np.pad(FIELD, 2, mode="reflect")[:4, :4]
        np.testing.assert_array_equal(mirrored, expected)


@given(st.integers(0, 19), st.integers(0, 29), st.integers(1, 90))
def test_mirroring_is_numpys(row, column, size) -> None:
    half = size // 2
    padded = np.pad(FIELD, size, mode="reflect")
    top, left = row - half + size, column - half + size
    expected = padded[top : top + size, left : left + size]
    np.testing.assert_array_equal(Box(row - half, column - half, size).cut(FIELD), expected)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Metadata_Well": ["A01"], "X": [1]}, "no columns of centres"),
        ({"X": [1]}, "which image it is in"),
        (
            {"Metadata_Well": ["H12"], "Location_Center_X": [1], "Location_Center_Y": [1]},
            "belongs to an image",
        ),
        (
            {"Metadata_Well": ["A01"], "Location_Center_X": ["a"], "Location_Center_Y": [1]},
            "line 2: a centre is not a number",
        ),
        (
            {"Metadata_Well": ["A01"], "Location_Center_X": [1], "Location_Center_Y": ["inf"]},
            "line 2: a centre is not a number",
        ),
        (
            {
                "Metadata_Well": ["A01", "A01"],
                "ObjectNumber": ["1", ""],
                "Location_Center_X": [1, 2],
                "Location_Center_Y": [1, 2],
            },
            "line 3: a cell has no ObjectNumber",
        ),
    ],
)
def test_tables_that_cannot_serve(found, tmp_path, columns, message) -> None:
    with pytest.raises(InputError, match=message):
        find_cells(found, table(tmp_path / "c.csv", **columns), size=4)


@pytest.mark.parametrize(("options", "message"), [({"size": 0}, "at least 1"), ({"border": "zero"}, "mirror, leave")])
def test_wrong_options(found, tmp_path, options, message) -> None:
    with pytest.raises(InputError, match=message):
        find_cells(found, tmp_path, **{"size": 4, **options})


def test_images_alone_serve_as_what_look_found_does(found, tmp_path) -> None:
    columns = {"Metadata_Well": ["A01"], "Metadata_Site": [1], "ObjectNumber": [1]}
    cells = table(tmp_path / "c.csv", **columns, Location_Center_X=[9], Location_Center_Y=[9])
    made, by_look = (find_cells(images, cells, size=4) for images in (found.images, found))
    assert (made.images, made.notes) == (by_look.images, by_look.notes)
    for nothing in ([], "plate", [tmp_path]):
        with pytest.raises(InputError, match="give what `look` found, or the images of `find_images`"):
            find_cells(nothing, cells, size=4)


def test_images_that_cannot_be_used_stay(found, tmp_path) -> None:
    next((tmp_path / "plate").glob("*A02*w2*")).unlink()
    again = look(tmp_path / "plate")
    columns = {"Metadata_Well": ["A01", "A02"], "Metadata_Site": [1, 1], "ObjectNumber": [1, 1]}
    cells = table(tmp_path / "c.csv", **columns, Location_Center_X=[9, 9], Location_Center_Y=[9, 9])
    made = find_cells(again, cells, size=4)
    assert sorted(image.id for image in made.images) == ["P/A01/1/1", "P/A02/1"]
    assert [rejected.id for rejected in made.rejected] == ["P/A02/1"]


def mask(*boxes, value=255, dtype=np.uint8):
    labels = np.zeros((20, 30), dtype)
    for top, left in boxes:
        labels[top : top + 3, left : left + 3] = value
    return labels


@pytest.mark.parametrize(("value", "dtype"), [(255, np.uint8), (1, np.uint8), (255, np.uint16), (65535, np.uint16)])
def test_connected_parts_of_a_binary_mask_are_cells(found, tmp_path, value, dtype) -> None:
    (tmp_path / "masks").mkdir()
    three = mask((4, 10), (15, 2), (18, 5), value=value, dtype=dtype)  # the last two touch at a corner: one cell
    tifffile.imwrite(tmp_path / "masks" / "P_A01_1.tif", three)
    tifffile.imwrite(tmp_path / "masks" / "P_A02_1.tif", mask((4, 10), value=value, dtype=dtype))
    made = find_cells(found, tmp_path / "masks", size=3)
    assert [image.id for image in made.images] == ["P/A01/1/1", "P/A01/1/2", "P/A02/1/1"]
    np.testing.assert_array_equal(made.images[0].read()[0], FIELD[4:7, 10:13])
    assert any("masks are binary" in note for note in made.notes)


def test_one_cell_of_a_label_image_keeps_its_number(found, tmp_path) -> None:
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "P_A01_1.tif", mask((4, 10), value=7))
    made = find_cells(found, tmp_path / "masks", size=3)
    assert [image.id for image in made.images] == ["P/A01/1/7"]
    assert not any("binary" in note for note in made.notes)


def test_a_mask_without_cells_is_no_binary_mask(found, tmp_path) -> None:
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "P_A01_1.tif", mask())
    tifffile.imwrite(tmp_path / "masks" / "P_A02_1.tif", mask((4, 10), value=7))
    assert [image.id for image in find_cells(found, tmp_path / "masks", size=3).images] == ["P/A02/1/7"]
