"""Single cells: boxes around the centres that tables and label images give; which label image is of which field."""

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Box, find_cells, look
from cytoimagenet_hf.images.labels import find_objects, is_outline
from cytoimagenet_hf.images.masks import kind_of_objects

ROWS, COLUMNS = np.mgrid[:20, :30].astype(np.uint16)
FIELD = 100 * ROWS + COLUMNS


@pytest.fixture
def found(tmp_path):
    """Plate P, wells A01 and A02, one site, channels DNA (rows and columns) and ER (that plus 5000); no masks yet."""
    (tmp_path / "plate").mkdir()
    for well in ("A01", "A02"):
        for channel, above in (("DNA", 0), ("ER", 5000)):
            tifffile.imwrite(tmp_path / "plate" / f"P_{well}_s1_{channel}.tif", FIELD + np.uint16(above))
    (tmp_path / "masks").mkdir()
    return look(tmp_path / "plate", pattern="{plate}_{well}_s{site}_{c}.tif")


def table(path: Path, **columns) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def at(x, y, wells=("A01",)):
    """Columns of one cell in each of these wells."""
    places = {"Metadata_Well": list(wells), "Metadata_Site": 1, "ObjectNumber": 1}
    return places | {"Location_Center_X": x, "Location_Center_Y": y}


def labels(**boxes):
    """A label image: number → (top, left, bottom, right)."""
    plane = np.zeros((20, 30), np.uint16)
    for number, (top, left, bottom, right) in boxes.items():
        plane[top:bottom, left:right] = int(number[1:])
    return plane


CELLS = labels(n4=(1, 1, 9, 11), n9=(10, 12, 18, 22), n11=(0, 25, 4, 30))
NUCLEI = labels(n1=(3, 3, 5, 5), n2=(3, 6, 6, 9), n3=(12, 14, 15, 18))


def write(folder, **planes):
    for name, plane in planes.items():
        tifffile.imwrite(folder / f"{name}.tif", plane)


def ids(made):
    return [image.id for image in made.images]


# Tables of centres


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
    assert ids(made) == ["P/A01/1/1", "P/A01/1/2"]
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
    assert ids(find_cells(found, cells, size=6)) == ["P/A02/1/3"]
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
        tifffile.imwrite(tmp_path / f"P_A01_s1_t{time}.tif", FIELD)
    found = look(tmp_path, pattern="{plate}_{well}_s{site}_t{t}.tif")
    assert ids(found) == ["P/A01/1/1", "P/A01/1/2"]
    centre = {"Nuclei_Location_Center_X": [9], "Nuclei_Location_Center_Y": [9], "ObjectNumber": [1]}
    cells = table(tmp_path / "c.csv", Metadata_Plate=["P"], Metadata_Well=["A01"], Metadata_Site=[1], **centre)
    with pytest.raises(InputError, match="P/A01/1/1 and P/A01/1/2 lie at one plate, well and site"):
        find_cells(found, cells, size=4)
    table(tmp_path / "locations" / "P" / "A01-1-Nuclei.csv", **centre)
    with pytest.raises(InputError, match="lie at one plate, well and site"):
        find_cells(found, tmp_path / "locations", size=4)
    by_id = table(tmp_path / "c.csv", id=["P/A01/1/2"], **centre)
    assert ids(find_cells(found, by_id, size=4)) == ["P/A01/1/2/1"]


def test_locations_of_deepprofiler_have_their_place_as_number(found, tmp_path) -> None:
    columns = {"Nuclei_Location_Center_X": [9, 12], "Nuclei_Location_Center_Y": [9, 9]}
    table(tmp_path / "locations" / "P" / "A02-1-Nuclei.csv", **columns)
    table(tmp_path / "locations" / "P" / "B09-1-Nuclei.csv", **columns)
    made = find_cells(found, tmp_path / "locations", size=6)
    assert ids(made) == ["P/A02/1/x9.0y9.0", "P/A02/1/x12.0y9.0"]
    assert [file.path for file in made.ignored if "no image" in file.reason] == ["P/B09-1-Nuclei.csv"]


@pytest.mark.parametrize(("x", "y", "message"), [(0, 0, "crosses the border"), (40, 5, "outside the image")])
def test_what_crosses_the_border_can_be_left_out(found, tmp_path, x, y, message) -> None:
    cells = table(tmp_path / "c.csv", **at(x, y))
    (image,) = find_cells(found, cells, size=4, border="leave").images
    with pytest.raises(InputError, match=message):
        image.read()
    if x == 0:
        mirrored = find_cells(found, cells, size=4).images[0].read()[0]
        np.testing.assert_array_equal(mirrored, np.pad(FIELD, 2, mode="reflect")[:4, :4])


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
        ({"Metadata_Well": ["A01"], "X": 1}, "no columns of centres"),
        ({"X": [1]}, "which image it is in"),
        (at(1, 1, ["H12"]), "belongs to an image"),
        (at("a", 1), "line 2: a centre is not a number, among 'a' and '1'"),
        (at(1, "inf"), "line 2: a centre is not a number"),
        (at(1, [1, 2], ["A01", "A01"]) | {"ObjectNumber": ["1", ""]}, "line 3: a cell has no ObjectNumber"),
    ],
)
def test_tables_that_cannot_serve(found, tmp_path, columns, message) -> None:
    with pytest.raises(InputError, match=message):
        find_cells(found, table(tmp_path / "c.csv", **columns), size=4)


def test_centres_with_decimal_commas(found, tmp_path) -> None:
    frame = pd.DataFrame(at(["10,5", "20"], ["7,25", "8,0"], ["A01", "A02"]))
    frame.to_csv(tmp_path / "c.csv", index=False, sep=";")
    made = find_cells(found, tmp_path / "c.csv", size=4)
    assert [image.metadata["Location_Center_X"] for image in made.images] == [10.5, 20]
    assert [image.metadata["Location_Center_Y"] for image in made.images] == [7.25, 8]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "at least 1"),
        ({"size": 4, "border": "zero"}, "mirror, leave"),
        ({}, "--cell-size"),
        ({"size": 4, "scale": 1.0}, "give one of them"),
        ({"scale": 0}, r"in \(0, 100\]"),
    ],
)
def test_wrong_options(found, tmp_path, options, message) -> None:
    write(tmp_path / "masks", P_A01_1=NUCLEI)
    with pytest.raises(InputError, match=message):
        find_cells(found, tmp_path / "masks", **options)


def test_centres_have_no_size(found, tmp_path) -> None:
    cells = table(tmp_path / "c.csv", **at(5, 5))
    for options in ({"scale": 1.0}, {"size": 4, "masked": True}):
        with pytest.raises(InputError, match="needs label images"):
            find_cells(found, cells, **options)


def test_images_alone_serve_as_what_look_found_does(found, tmp_path) -> None:
    cells = table(tmp_path / "c.csv", **at(9, 9))
    made, by_look = (find_cells(images, cells, size=4) for images in (found.images, found))
    assert (made.images, made.notes) == (by_look.images, by_look.notes)
    for nothing in ([], "plate", [tmp_path]):
        with pytest.raises(InputError, match="give what `look` found, or the images of `find_images`"):
            find_cells(nothing, cells, size=4)


def test_images_that_cannot_be_used_stay(found, tmp_path) -> None:
    next((tmp_path / "plate").glob("*A02*ER*")).unlink()
    again = look(tmp_path / "plate", pattern="{plate}_{well}_s{site}_{c}.tif")
    made = find_cells(again, table(tmp_path / "c.csv", **at(9, 9, ["A01", "A02"])), size=4)
    assert sorted(ids(made)) == ["P/A01/1/1", "P/A02/1"]
    assert [rejected.id for rejected in made.rejected] == ["P/A02/1"]


# Label images


def test_label_images(found, tmp_path) -> None:
    plane = labels(n5=(4, 10, 7, 13), n9=(15, 2, 18, 5))
    write(tmp_path / "masks", P_A01_1_cp_masks=plane, P_A02_1=plane[:10], other=plane)
    made = find_cells(found, tmp_path / "masks", size=3)
    assert ids(made) == ["P/A01/1/5", "P/A01/1/9", "P/A02/1/5"]
    np.testing.assert_array_equal(made.images[0].read()[0], FIELD[4:7, 10:13])
    with pytest.raises(InputError, match="P/A02/1/5: the image is 20 x 30"):
        made.images[2].read()
    assert [file.path for file in made.ignored if file.reason == "no image has this name"] == ["other.tif"]


@pytest.mark.parametrize(
    ("value", "dtype"), [(255, np.uint8), (1, np.uint8), (255, np.uint16), (65535, np.uint16), (True, np.bool_)]
)
def test_connected_parts_of_a_binary_mask_are_cells(found, tmp_path, value, dtype) -> None:
    touching = labels(n1=(4, 10, 7, 13), n2=(15, 2, 18, 5), n3=(18, 5, 21, 8))  # two touch at a corner: one cell
    three, single = ((plane > 0) * dtype(value) for plane in (touching, labels(n1=(4, 10, 7, 13))))
    write(tmp_path / "masks", P_A01_1=three, P_A02_1=single)
    made = find_cells(found, tmp_path / "masks", size=3)
    assert ids(made) == ["P/A01/1/1", "P/A01/1/2", "P/A02/1/1"]
    np.testing.assert_array_equal(made.images[0].read()[0], FIELD[4:7, 10:13])
    assert any("masks are binary" in note for note in made.notes)


def test_one_cell_keeps_its_number_beside_a_mask_without_cells(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1=labels(n7=(4, 10, 7, 13)))
    made = find_cells(found, tmp_path / "masks", size=3)
    assert ids(made) == ["P/A01/1/7"]
    assert not any("binary" in note for note in made.notes)
    write(tmp_path / "masks", P_A01_1=labels(), P_A02_1=labels(n7=(4, 10, 7, 13)))
    assert ids(find_cells(found, tmp_path / "masks", size=3)) == ["P/A02/1/7"]


def test_nuclei_are_joined_to_the_cell_that_they_overlap_most(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1_Nuclei=NUCLEI, P_A01_1_Cells=CELLS)
    made = find_cells(found, tmp_path / "masks", size=4)
    facts = {image.metadata["cell"]: image.metadata for image in made.images}
    assert facts["4"]["Nuclei_Number_Object_Number"] == 2  # the larger of two
    assert facts["4"]["Children_Nuclei_Count"] == 2
    assert facts["9"]["Nuclei_Number_Object_Number"] == 3
    assert (facts["9"]["cell_area"], facts["9"]["cell_border"], facts["11"]["cell_border"]) == (80, 0, 1)
    assert (facts["9"]["ImageNumber"], facts["9"]["ObjectNumber"]) == (1, 9)
    assert [(one.id, one.reason) for one in made.rejected] == [("P/A01/1/11", "no object of Nuclei overlaps it")]
    by_nucleus = find_cells(found, tmp_path / "masks", size=4, rows="nuclei")
    assert ids(by_nucleus) == ["P/A01/1/1", "P/A01/1/2", "P/A01/1/3"]


def test_a_box_of_the_cells_own_size_and_nothing_but_the_cell(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1=labels(n7=(2, 3, 6, 5)))
    (image,) = find_cells(found, tmp_path / "masks", scale=1.5, masked=True).images
    pixels = image.read()[0]
    assert pixels.shape == (6, 6)  # 1.5 x the longer side
    assert sorted(pixels[pixels > 0]) == sorted(FIELD[2:6, 3:5].ravel())


def test_nothing_of_a_masked_cell_is_mirrored(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1=labels(n7=(0, 0, 3, 3)))
    (image,) = find_cells(found, tmp_path / "masks", size=8, masked=True).images
    assert np.count_nonzero(image.read()[1]) == 9


@pytest.mark.parametrize("name", ["P_A02_s1_DNA_MaskNuclei", "P_A02_s1_ER-nuclei", "P_A02_1_nuc_masks"])
def test_a_mask_is_named_after_the_id_or_a_file_of_its_image(found, tmp_path, name) -> None:
    write(tmp_path / "masks", **{name: NUCLEI})
    made = find_cells(found, tmp_path / "masks", size=4)
    assert {image.id for image in made.images} == {f"P/A02/1/{number}" for number in (1, 2, 3)}
    assert made.images[0].objects[0].kind == "Nuclei"


def test_a_pattern_of_names(found, tmp_path) -> None:
    write(tmp_path / "masks", seg_A1_Nuclei=NUCLEI, seg_A1_Cells=CELLS, other=NUCLEI)
    made = find_cells(found, tmp_path / "masks", size=4, patterns=["seg_{well}_{object}.tif"])
    assert [ref.kind for ref in made.images[0].objects] == ["Cells", "Nuclei"]
    assert "does not match" in next(one.reason for one in made.ignored if one.path == "other.tif")
    one = find_cells(found, tmp_path / "masks", size=4, patterns=["seg_{well}_Nuclei.tif"])
    assert one.images[0].objects[0].kind == "Nuclei"
    with pytest.raises(InputError, match="no mask matches"):
        find_cells(found, tmp_path / "masks", size=4, patterns=["{well}_x.tif"])


def test_labels_beyond_16_bits(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1=NUCLEI.astype(np.uint32) * 70_000)
    made = find_cells(found, tmp_path / "masks", size=4, masked=True)
    assert [image.metadata["ObjectNumber"] for image in made.images] == [70_000, 140_000, 210_000]
    assert np.count_nonzero(made.images[2].read()[0]) == 12


def test_numbers_of_label_images_are_those_stored_however_they_are_shown(found, tmp_path) -> None:
    plane = labels(n5=(4, 10, 7, 13), n9=(15, 2, 18, 5)).astype(np.uint8)
    colours = np.arange(3 * 256, dtype=np.uint16).reshape(3, 256)
    tifffile.imwrite(tmp_path / "masks" / "P_A01_1.tif", plane, photometric="palette", colormap=colours)
    tifffile.imwrite(tmp_path / "masks" / "P_A02_1.tif", plane, photometric="miniswhite")
    wanted = ["P/A01/1/5", "P/A01/1/9", "P/A02/1/5", "P/A02/1/9"]
    assert ids(find_cells(found, tmp_path / "masks", size=3)) == wanted
    picture = PIL.Image.fromarray(plane)
    picture.putpalette(bytes(range(256)) * 3)
    (tmp_path / "masks" / "P_A01_1.tif").unlink()
    picture.save(tmp_path / "masks" / "P_A01_1.png")
    assert ids(find_cells(found, tmp_path / "masks", size=3)) == wanted


def test_a_mask_that_jpeg_has_blurred_is_refused(found, tmp_path) -> None:
    PIL.Image.fromarray(labels(n9=(4, 10, 7, 13)).astype(np.uint8)).save(tmp_path / "masks" / "P_A01_1.jpg")
    with pytest.raises(InputError, match=r"P_A01_1\.jpg is a JPEG, .*: save label images as PNG or TIFF"):
        find_cells(found, tmp_path / "masks", size=3)


@pytest.mark.parametrize("name", ["P_A01_1.tif", "P_A01_1.npy"])
def test_a_mask_of_several_planes_is_refused(found, tmp_path, name) -> None:
    planes = np.stack([NUCLEI, NUCLEI])
    if name.endswith("npy"):
        np.save(tmp_path / "masks" / name, planes)
    else:
        tifffile.imwrite(tmp_path / "masks" / name, planes, photometric="minisblack")
    with pytest.raises(InputError, match=f"{name} holds several planes: a label image is one"):
        find_cells(found, tmp_path / "masks", size=3)


def test_outlines_are_refused(found, tmp_path) -> None:
    ring = np.zeros((20, 30), np.uint8)
    ring[2:12, 2:12] = 255
    assert not is_outline(ring)
    ring[3:11, 3:11] = 0
    assert is_outline(ring)
    write(tmp_path / "masks", P_A01_1=ring)
    with pytest.raises(InputError, match="outlines, not areas"):
        find_cells(found, tmp_path / "masks", size=4)
    (tmp_path / "masks" / "P_A01_1.tif").rename(tmp_path / "masks" / "P_A01_1_nuclei_outlines.tif")
    with pytest.raises(InputError, match="its name says outlines"):
        find_cells(found, tmp_path / "masks", size=4)


def test_kinds_that_overlap_nowhere_are_one_line(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1_Nuclei=labels(n1=(18, 0, 20, 3)), P_A01_1_Cells=labels(n1=(0, 0, 5, 5)))
    with pytest.raises(InputError, match="no object of Nuclei overlaps one of Cells in any field"):
        find_cells(found, tmp_path / "masks", size=4)


def test_kinds_of_different_size_are_recorded(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1_Nuclei=NUCLEI, P_A01_1_Cells=CELLS)
    write(tmp_path / "masks", P_A02_1_Nuclei=NUCLEI[:10], P_A02_1_Cells=CELLS)
    made = find_cells(found, tmp_path / "masks", size=4)
    reasons = {one.id: one.reason for one in made.rejected}
    assert reasons["P/A02/1/4"] == "the label image of Cells is 20 x 30 and that of Nuclei is 10 x 30"


def test_masks_without_fields_and_fields_without_masks_are_said(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1=NUCLEI, P_B07_1=NUCLEI)
    notes = " / ".join(find_cells(found, tmp_path / "masks", size=4).notes)
    assert "1 images have no cells" in notes
    assert "such as P_B07_1.tif: 1 no image has this name" in notes


def test_two_masks_of_one_kind_are_refused(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1_nuclei=NUCLEI, P_A01_s1_DNA_MaskNuclei=NUCLEI)
    with pytest.raises(InputError, match="both masks of Nuclei"):
        find_cells(found, tmp_path / "masks", size=4)


def test_a_changed_mask_changes_the_stamp(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1=NUCLEI)
    before = find_cells(found, tmp_path / "masks", size=4).images[0].stamp
    write(tmp_path / "masks", P_A01_1=np.vstack([NUCLEI, NUCLEI[:1]]))
    assert find_cells(found, tmp_path / "masks", size=4).images[0].stamp != before


def test_labels_of_ome_zarr(tmp_path) -> None:
    zarr = pytest.importorskip("zarr")
    store = tmp_path / "p.zarr"
    group = zarr.open_group(store, mode="w", zarr_format=2)
    scales = [{"version": "0.4", "axes": [{"name": n} for n in "cyx"], "datasets": [{"path": "0"}]}]
    group.attrs["multiscales"] = scales
    group.create_array("0", data=FIELD[None])
    nuclei = group.create_group("labels").create_group("nuclei")
    group["labels"].attrs["labels"] = ["nuclei"]
    nuclei.attrs["multiscales"] = [scales[0] | {"axes": [{"name": "y"}, {"name": "x"}]}]
    nuclei.create_array("0", data=NUCLEI)
    made = find_cells(look(store), store, size=2, masked=True)
    assert [image.metadata["ObjectNumber"] for image in made.images] == [1, 2, 3]
    np.testing.assert_array_equal(made.images[0].read()[0], FIELD[3:5, 3:5])


def test_names_of_kinds() -> None:
    names = {"": "Cells", "_cell": "Cells", "-cp_masks": "Cells", "_MaskNuclei": "Nuclei", "nucleus": "Nuclei"}
    names |= {"_Cytoplasm": "Cytoplasm", "_golgi_labels": "Golgi"}
    assert {name: kind_of_objects(name) for name in names} == names


def test_an_empty_label_image_has_no_objects() -> None:
    assert find_objects(np.zeros((3, 3), np.uint8)).numbers.size == 0
