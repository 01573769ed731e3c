"""Label images of several kinds of object: which field they are of, and how their objects are joined."""

import json

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_cells, look
from cytoimagenet_hf.images.labels import find_objects, is_outline
from cytoimagenet_hf.images.masks import kind_of_objects

FIELD = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)
PATTERN = "{plate}_{well}_s{site}_{c}.tif"


@pytest.fixture
def found(tmp_path):
    """Plate P, wells A01 and A02, one site, channels DNA and ER."""
    (tmp_path / "plate").mkdir()
    for well in ("A01", "A02"):
        for channel in ("DNA", "ER"):
            tifffile.imwrite(tmp_path / "plate" / f"P_{well}_s1_{channel}.tif", FIELD)
    (tmp_path / "masks").mkdir()
    return look(tmp_path / "plate", pattern=PATTERN)


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
    assert [image.id for image in by_nucleus.images] == ["P/A01/1/1", "P/A01/1/2", "P/A01/1/3"]


def test_a_box_of_the_cells_own_size_and_nothing_but_the_cell(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1=labels(n7=(2, 3, 6, 5)))
    (image,) = find_cells(found, tmp_path / "masks", scale=1.5, masked=True).images
    pixels = image.read()[0]
    assert pixels.shape == (6, 6)  # 1.5 x the longer side
    assert sorted(pixels[pixels > 0]) == sorted(FIELD[2:6, 3:5].ravel())


def test_nothing_of_a_masked_cell_is_mirrored(found, tmp_path) -> None:
    write(tmp_path / "masks", P_A01_1=labels(n7=(0, 0, 3, 3)))
    (image,) = find_cells(found, tmp_path / "masks", size=8, masked=True).images
    assert np.count_nonzero(image.read()[1]) == 8  # nine pixels, of which the first is 0


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


def test_outlines_are_refused(found, tmp_path) -> None:
    ring = np.zeros((20, 30), np.uint8)
    ring[2:12, 2:12] = 255
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


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "--cell-size"), ({"size": 4, "scale": 1.0}, "give one of them"), ({"scale": 0}, r"in \(0, 100\]")],
)
def test_boxes_that_cannot_be(found, tmp_path, options, message) -> None:
    write(tmp_path / "masks", P_A01_1=NUCLEI)
    with pytest.raises(InputError, match=message):
        find_cells(found, tmp_path / "masks", **options)


def test_centres_have_no_size(found, tmp_path) -> None:
    table = tmp_path / "c.csv"
    table.write_text("Metadata_Well,ObjectNumber,Metadata_Site,Location_Center_X,Location_Center_Y\nA01,1,1,5,5\n")
    for options in ({"scale": 1.0}, {"size": 4, "masked": True}):
        with pytest.raises(InputError, match="needs label images"):
            find_cells(found, table, **options)


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
    assert json.loads((store / "labels" / ".zattrs").read_text()) == {"labels": ["nuclei"]}


def test_names_of_kinds() -> None:
    names = ["", "_MaskNuclei", "_cell", "-cp_masks", "_Cytoplasm", "_golgi_labels"]
    assert [kind_of_objects(name) for name in names] == ["Cells", "Nuclei", "Cells", "Cells", "Cytoplasm", "Golgi"]


def test_an_empty_label_image_has_no_objects() -> None:
    assert find_objects(np.zeros((3, 3), np.uint8)).numbers.size == 0
