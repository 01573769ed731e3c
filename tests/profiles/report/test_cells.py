"""Pictures of typical and extreme cells: which are chosen, how they are cut, and their outlines."""

import re

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_cells, look
from cytoimagenet_hf.profiles.report import cells as sheets
from cytoimagenet_hf.profiles.report.cells import make_cell_sheet
from cytoimagenet_hf.tables.features import make_table


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """Ten cells of 6 x 6 pixels in well A01: features 0, ..., 9, so that 4 and 5 lie nearest to the mean."""
    monkeypatch.setattr(sheets, "TYPICAL", 2)
    monkeypatch.setattr(sheets, "EXTREME", 1)
    labels = np.zeros((40, 100), np.uint16)
    for number in range(10):
        labels[10:16, 10 * number + 2 : 10 * number + 8] = number + 1
    for folder, plane in (("plate", 100 * labels), ("masks", labels)):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / f"p_A01_s1_{'dna' if folder == 'plate' else 'Cells'}.tif", plane)
    found = look(tmp_path / "plate", pattern="{plate}_{well}_s{site}_{c}.tif")
    images = find_cells(found, tmp_path / "masks", size=8, patterns=["{plate}_{well}_s{site}_Cells.tif"]).images
    facts = {"plate": ["p"] * 10, "well": ["A01"] * 10}
    return make_table([image.id for image in images], np.arange(10.0)[:, None], facts), images


def test_the_nearest_and_the_farthest_cells_of_each_treatment(cells) -> None:
    table, images = cells
    sheet = make_cell_sheet(table, images, {"taxol": [("p", "A01")], "absent": [("p", "B01")]})
    ((name, typical, extreme),) = sheet.rows
    assert (name, sheet.side, sheet.left_out) == ("taxol", 32, ())
    assert {one.id for one in typical} == {"p/A01/1/5", "p/A01/1/6"}
    assert extreme[0].id in ("p/A01/1/1", "p/A01/1/10")
    assert typical[0].distance == pytest.approx(0.5 / np.arange(10.0).std())
    assert typical[0].picture.startswith("data:image/jpeg;base64,")
    # 6 x 6 pixels in the middle of 32: from the middle of pixel 14 to that of pixel 19
    assert set(re.findall(r"[\d.]+", typical[0].outlines["Cells"])) == {"14.5", "19.5"}
    with pytest.raises(InputError, match="no cell that is left belongs to a well"):
        make_cell_sheet(table, images, {"absent": [("p", "B01")]})


def test_cells_that_cannot_be_read_are_counted(cells, tmp_path) -> None:
    table, images = cells
    (tmp_path / "plate" / "p_A01_s1_dna.tif").write_bytes(b"II*\0 broken")
    with pytest.raises(InputError, match="none of the 3 cells can be read; the first: "):
        make_cell_sheet(table, images, {"taxol": [("p", "A01")]})
